package topology

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
)

// Cmd is somebody else's program running in a node: an [exec.Cmd] that starts on
// the host's thread and therefore in its namespace.
type Cmd struct {
	*exec.Cmd
	host *Host

	once sync.Once
	done chan struct{}
	err  error
}

// Command prepares a program to run in the node — haproxy, nginx, curl. It gets a
// PID namespace of its own, so that its workers and their children end with it,
// and it ends with the lab. ctx ends it too. The program must be installed;
// Start says so otherwise.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID,
		// The signal is sent when the thread that started the program ends,
		// which here is the host's own.
		Pdeathsig: syscall.SIGKILL,
	}
	return &Cmd{Cmd: c, host: h, done: make(chan struct{})}
}

// Start starts the program in the node.
func (c *Cmd) Start() error {
	err := c.host.Run(c.Cmd.Start)
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return &UnsupportedError{Feature: "running " + c.Args[0] + " in node " + c.host.name,
				Why: "the program is not installed", Fix: "install it (Debian: apt-get install " + c.Args[0] + ")", Err: err}
		}
		return fmt.Errorf("node %s: start %s: %w", c.host.name, c.Args[0], err)
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.commands = append(c.host.commands, c)
	return nil
}

// Wait waits for the program to end. It may be called more than once.
func (c *Cmd) Wait() error {
	c.once.Do(func() {
		c.err = c.Cmd.Wait()
		close(c.done)
	})
	<-c.done
	return c.err
}

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns its output and errors together.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// kill ends the program, and with its PID namespace all it has started.
func (c *Cmd) kill() {
	_ = c.Process.Kill() // it may have ended by itself
	_ = c.Wait()
}
