// Package scratch makes temporary folders that do not outlive their process for long,
// however it ends: one that was killed cannot clean up, so the next one does it.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix is what the folders' names begin with, whoever makes them.
const prefix = "hopblame-scratch-"

// Folder is a temporary folder. Its process holds a lock on it (flock(2)), which the
// kernel lets go of with the process.
type Folder struct {
	Path string
	lock *os.File
}

// New makes a folder in the one for temporary files, and sweeps that first.
func New() (*Folder, error) { return In(os.TempDir()) }

// In is [New] in a folder that is named, such as one from which what is ready can be
// moved into place.
func In(dir string) (*Folder, error) {
	SweepIn(dir)
	for {
		path, err := os.MkdirTemp(dir, prefix)
		if err != nil {
			return nil, fmt.Errorf("temporary folder: %w", err)
		}
		lock, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // swept before it was locked
		}
		if err != nil {
			return nil, fmt.Errorf("temporary folder: %w", err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			lock.Close()
			return nil, fmt.Errorf("temporary folder: lock %s: %w", path, err)
		}
		if _, err := os.Stat(path); err == nil {
			return &Folder{path, lock}, nil
		}
		lock.Close() // swept as well
	}
}

// Close removes the folder with all that is in it.
func (f *Folder) Close() error {
	return errors.Join(os.RemoveAll(f.Path), f.lock.Close())
}

// Sweep removes the caller's folders, of those for temporary files, whose process has
// ended. What cannot be removed stays: it is in nobody's way.
func Sweep() { SweepIn(os.TempDir()) }

// SweepIn is [Sweep] in a folder that is named.
func SweepIn(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			sweep(filepath.Join(dir, e.Name()))
		}
	}
}

func sweep(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var owner unix.Stat_t
	if err := unix.Fstat(fd, &owner); err != nil || int(owner.Uid) != os.Geteuid() {
		return
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil { // nobody holds it
		_ = os.RemoveAll(path)
	}
}
