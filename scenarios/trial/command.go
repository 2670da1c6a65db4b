package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hopblame/hopblame/internal/shell"
	"golang.org/x/sys/unix"
)

// Captures stands in a command for the folder of the captures.
const Captures = "{captures}"

// DefaultTimeout is how long a program may take for one run's captures.
const DefaultTimeout = 5 * time.Minute

// An Analyzer judges the captures of a folder, which has a points.json.
type Analyzer func(ctx context.Context, captures string) (*Verdicts, error)

// Command makes an analyzer of a command line for sh, in which [Captures] stands for the
// folder. It is to write its verdicts to standard output and to end with 0. After a
// timeout — 0 means [DefaultTimeout] — it is killed with all it started.
func Command(line string, timeout time.Duration) (Analyzer, error) {
	if !strings.Contains(line, Captures) {
		return nil, fmt.Errorf("analyzer %q has no %s, so it would never see any", line, Captures)
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return func(ctx context.Context, captures string) (*Verdicts, error) {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		c := exec.CommandContext(limited, "sh", "-c", strings.ReplaceAll(line, Captures, shell.Quote(captures)))
		c.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
		c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) }
		c.WaitDelay = time.Second // for a grandchild that has left the group and holds the pipe
		said, complained := &bounded{room: maxVerdicts + 1}, &bounded{room: 1 << 16}
		c.Stdout, c.Stderr = said, complained
		err := c.Run()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case limited.Err() != nil:
			return nil, fmt.Errorf("took longer than %v and was killed; --timeout gives it more", timeout)
		case err != nil && !errors.Is(err, exec.ErrWaitDelay):
			return nil, &brokenError{fmt.Errorf("%w%s", err, lastWords(complained.Bytes())), ending(complained.Bytes())}
		}
		v, err := Decode("its output", &said.Buffer)
		if err != nil {
			return nil, &brokenError{err, ending(complained.Bytes())}
		}
		return v, nil
	}, nil
}

// brokenError says why a program gave no verdicts, and how its complaints ended.
type brokenError struct {
	error
	stderr string
}

func (e *brokenError) Unwrap() error { return e.error }

// mostComplaints are the lines of a program's complaints that are kept: a stack of Python's
// fits.
const mostComplaints = 20

// ending is the end of a program's complaints.
func ending(stderr []byte) string {
	lines := slices.Collect(strings.Lines(string(bytes.TrimSpace(stderr))))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD' // it is for a terminal
		}
		return r
	}, strings.Join(lines[max(0, len(lines)-mostComplaints):], ""))
}

// lastWords are the line of a program's complaints that says most: the last, as of Python
// and of most; of a Go program that panicked the one that says so, before the stacks.
func lastWords(stderr []byte) string {
	last := ""
	for line := range strings.Lines(string(stderr)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return ": " + line
		} else if line != "" {
			last = ": " + line
		}
	}
	return last
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	room int
}

func (b *bounded) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p[:min(len(p), b.room-b.Len())])
	if err != nil {
		return n, err
	}
	return len(p), nil
}
