package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Spool keeps what can be read only once, standard input and pipes, in temporary
// files, since an analysis reads everything twice. The files have no names where
// the system allows that, so that nothing is left however the process ends;
// elsewhere Close removes them. The zero value is ready.
type Spool struct {
	Stdin io.Reader // nil: that of the process
	Dir   string    // "": the system's folder for temporary files

	taken map[string]*spooled
}

type spooled struct {
	file *os.File
	size int64
	name string // to be removed; "" if it has none any more
}

// Take returns the capture in a file, or on standard input if the name is "-".
// Only what can be read once is copied, and only once however often it is asked
// for. Errors are of type *[InputError], or the context's.
func (s *Spool) Take(ctx context.Context, name string) (Capture, error) {
	c := Capture{File: name, Path: name}
	if name == stdinName {
		c.File = "stdin"
	} else if st, err := os.Stat(name); err != nil || st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice) == 0 {
		return c, nil // opening it says better what is wrong
	}
	if f := s.taken[name]; f != nil {
		c.spooled = f
		return c, nil
	}
	f, err := s.keep(ctx, &c)
	if err != nil {
		return c, err
	}
	if s.taken == nil {
		s.taken = map[string]*spooled{}
	}
	s.taken[name] = f
	c.spooled = f
	return c, nil
}

// stdinName stands for standard input.
const stdinName = "-"

// keep copies a capture into a temporary file.
func (s *Spool) keep(ctx context.Context, c *Capture) (*spooled, error) {
	file, err := os.CreateTemp(s.Dir, "hopblame-*")
	if err != nil {
		return nil, s.failed(c, err)
	}
	out := &spooled{file: file}
	if os.Remove(file.Name()) != nil { // not while it is open, on some systems
		out.name = file.Name()
	}
	done := make(chan error, 1)
	go func() { done <- s.copy(file, c) }() // a read of a pipe cannot be interrupted
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		out.size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		out.remove()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, s.failed(c, err)
	}
	return out, nil
}

func (s *Spool) copy(to *os.File, c *Capture) error {
	from := s.Stdin
	switch {
	case c.Path != stdinName:
		f, err := os.Open(c.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	case from == nil:
		from = os.Stdin
	}
	_, err := io.Copy(to, struct{ io.Reader }{from}) // no shortcut that would hide which of the two failed
	return err
}

func (s *Spool) failed(c *Capture, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && p.Op != "read" && (p.Op != "open" || p.Path != c.Path) {
		dir := s.Dir
		if dir == "" {
			dir = os.TempDir()
		}
		return &InputError{Kind: ErrIO, File: c.File, What: fmt.Sprintf("cannot be kept in %s while it is read twice", dir), Err: p.Err,
			Fix: "set TMPDIR to a folder with more room, or give a file"}
	}
	return &InputError{Kind: ErrIO, File: c.File, What: "cannot be read", Err: plain(err)}
}

func (f *spooled) remove() {
	f.file.Close()
	if f.name != "" {
		os.Remove(f.name)
	}
}

// Close gives the temporary files up. Captures of Take must no longer be used.
func (s *Spool) Close() {
	for _, f := range s.taken {
		f.remove()
	}
	s.taken = nil
}
