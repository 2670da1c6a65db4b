package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hopblame/hopblame/topology"
)

// Place is a place in the lab that somebody else's program is to take.
type Place struct {
	Host    *topology.Host   // its node; Host.Listen and Host.Dial are for what is written in Go
	Listen  netip.AddrPort   // where it has to accept
	Source  netip.Addr       // of a proxy: the address that it has to connect from
	Servers []netip.AddrPort // of a proxy: whom it has to connect to
	// Dir is a folder of its own for its files. It goes where the run directory goes.
	Dir string
}

// Program is somebody else's program, to be run in a node.
type Program struct {
	Name string // or path
	Args []string
	// Files are written into the program's folder before it starts, by name. That is also
	// its working directory, so configurations are best named by Args as "haproxy.cfg".
	Files map[string]string
	// Stop is the signal by which it ends in good order, when all is over; 0 is SIGTERM.
	Stop syscall.Signal
}

// Names of what a program writes, in its folder.
const (
	stdoutFile = "stdout.log"
	stderrFile = "stderr.log"
)

// stopPatience is how long a program may take to end in good order.
const stopPatience = 15 * time.Second

// Process is a [Program] at work. The lab's end is its end in any case.
type Process struct {
	cmd  *topology.Cmd
	at   Place
	stop syscall.Signal
}

// Start starts p at its place and returns when it listens there. What it writes is in
// stdout.log and stderr.log of its folder. A program that is not installed is a
// [topology.UnsupportedError].
func (p Program) Start(ctx context.Context, at Place) (*Process, error) {
	path, err := lookUp(p.Name)
	if err != nil {
		return nil, err
	}
	if err := p.writeFiles(at.Dir); err != nil {
		return nil, err
	}
	s := &Process{cmd: at.Host.Command(ctx, path, p.Args...), at: at, stop: p.Stop}
	if s.stop == 0 {
		s.stop = syscall.SIGTERM
	}
	s.cmd.Dir = at.Dir
	stdout, err := os.Create(filepath.Join(at.Dir, stdoutFile))
	if err != nil {
		return nil, err
	}
	defer stdout.Close() // the program has it as well
	stderr, err := os.Create(filepath.Join(at.Dir, stderrFile))
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	s.cmd.Stdout, s.cmd.Stderr = stdout, stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	up, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() { // ends with the program
		err := s.cmd.Wait()
		ended(fmt.Errorf("%s ended (%v) and said: %s", p.Name, err, s.said()))
	}()
	if err := at.Host.AwaitListener(up, at.Listen); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (p Program) writeFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of %s: %w", p.Name, err)
	}
	for name, text := range p.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("file of %s: %w", p.Name, err)
		}
	}
	return nil
}

// said is what the program has written on its way, for an error.
func (s *Process) said() string {
	var said []string
	for _, name := range []string{stderrFile, stdoutFile} {
		if text, err := os.ReadFile(filepath.Join(s.at.Dir, name)); err == nil && len(text) > 0 {
			said = append(said, strings.TrimSpace(string(text)))
		}
	}
	if said == nil {
		return "nothing"
	}
	return strings.Join(said, "\n")
}

// Stdout opens what the program has written to its standard output so far.
func (s *Process) Stdout() (*os.File, error) { return os.Open(filepath.Join(s.at.Dir, stdoutFile)) }

// Close asks the program to end as its kind is asked, and waits until it has. One that
// does not is killed, which is an error; how it ends otherwise says nothing of the run.
func (s *Process) Close() error {
	_ = s.cmd.Process.Signal(s.stop) // it may have ended by itself
	killed := false
	done := make(chan struct{})
	timer := time.AfterFunc(stopPatience, func() { defer close(done); killed = true; _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	if !timer.Stop() {
		<-done
	}
	if killed {
		return fmt.Errorf("%s went on for %v after %v and was killed", s.cmd.Args[0], stopPatience, s.stop)
	}
	return nil
}
