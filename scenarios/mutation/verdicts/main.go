// Command verdicts analyzes a folder of captures as hopblame analyze does, and prints the
// verdicts without their evidence. It is what package mutation builds with defects in it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/hopblame/hopblame/analyzer"
)

func main() {
	debug.SetTraceback("none") // of a crash the last line is to say what it was
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verdicts FOLDER")
		os.Exit(2)
	}
	if err := print(context.Background(), os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func print(ctx context.Context, w io.Writer, folder string) error {
	points, err := analyzer.LoadPoints(folder)
	if err != nil {
		return err
	}
	o := analyzer.Options{Workers: 1} // its neighbours have the other processors
	keys, err := os.Open(filepath.Join(folder, "keys.log"))
	switch {
	case err == nil:
		defer keys.Close()
		o.KeyLog = keys
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	r, err := analyzer.Analyze(ctx, points, o)
	if err != nil {
		return err
	}
	for i := range r.Verdicts {
		r.Verdicts[i].Evidence, r.Verdicts[i].Eliminated = nil, nil
	}
	return r.WriteJSON(w)
}
