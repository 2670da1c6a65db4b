package analyzer

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

func TestStandardInputIsReadOnceAndLeavesNothing(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 100)
	points := s.write()
	want, err := Analyze(t.Context(), points, Options{})
	s.check(err)
	raw, err := os.ReadFile(points[2].Path)
	s.check(err)
	dir := t.TempDir()
	spool := &Spool{Stdin: strings.NewReader(string(raw)), Dir: dir}
	for range 2 { // somebody may ask for two interfaces of it
		c, err := spool.Take(t.Context(), "-")
		s.check(err)
		points[2].Files = []Capture{c}
	}
	r, err := Analyze(t.Context(), points, Options{})
	s.check(err)
	if r.Points[2].File != "stdin" || r.Points[2].Packets != want.Points[2].Packets || len(r.Verdicts) != 1 || r.Verdicts[0].Hop != "firewall" {
		t.Errorf("got %s", show(r))
	}
	cited := 0
	for _, e := range r.Verdicts[0].Evidence {
		if e.File == "stdin" {
			cited++
		}
	}
	if cited == 0 {
		t.Error("no evidence in stdin")
	}
	spool.Close()
	empty(t, dir)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type breaking struct{ err error }

func (b breaking) Read([]byte) (int, error) { return 0, b.err }

func TestSpoolErrors(t *testing.T) {
	dir := t.TempDir()
	for _, row := range []struct {
		name  string
		spool Spool
		want  string
	}{
		{"an input that breaks", Spool{Dir: dir, Stdin: io.MultiReader(strings.NewReader("abc"), breaking{errors.New("boom")})}, "stdin: cannot be read: boom"},
		{"a folder that is not there", Spool{Dir: dir + "/no", Stdin: strings.NewReader("abc")}, "stdin: cannot be kept in " + dir + "/no while it is read twice: no such file or directory; set TMPDIR"},
	} {
		_, err := row.spool.Take(t.Context(), "-")
		if !errors.Is(err, ErrIO) || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		row.spool.Close()
	}
	empty(t, dir)
}

// TestWaitingForInputCanBeInterrupted has nobody who writes.
func TestWaitingForInputCanBeInterrupted(t *testing.T) {
	dir := t.TempDir()
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spool := &Spool{Stdin: r, Dir: dir}
	defer spool.Close()
	if _, err := spool.Take(ctx, "-"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	empty(t, dir)
}
