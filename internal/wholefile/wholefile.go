// Package wholefile writes files that are there whole or not at all, whatever ends the
// process meanwhile: one that was there before stays as it was until then.
package wholefile

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write has a file written under another name in the same folder, on disk, and moves it into
// place. Everybody may read it. Errors are those of write, or of the file system with its
// path; nothing is left of the other name then.
func Write(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
