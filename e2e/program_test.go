package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"path/filepath"
	"syscall"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/topology"
)

// findProgram returns where a program is; who is not root may have no sbin in the
// path.
func findProgram(name string) (string, error) {
	for _, at := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (make tools, or Debian: apt-get install haproxy nginx-light curl wrk nghttp2-client)", name)
}

// needPrograms skips the spec if one is missing, and says which.
func needPrograms(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		if _, err := findProgram(name); err != nil {
			Skip(err.Error())
		}
	}
}

// program is somebody else's program that serves in a node.
type program struct {
	cmd  *topology.Cmd
	said bytes.Buffer // on stderr; to be read when it has ended
}

// startProgram starts a program in a directory of its own and waits until it
// listens.
func startProgram(ctx context.Context, host *topology.Host, listen netip.AddrPort, dir string, stdout io.Writer, name string, args ...string) (*program, error) {
	path, err := findProgram(name)
	if err != nil {
		return nil, err
	}
	p := &program{cmd: host.Command(ctx, path, args...)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, stdout, &p.said
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	up, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		err := p.cmd.Wait()
		ended(fmt.Errorf("%s ended (%v) and said: %s", name, err, p.said.String()))
	}()
	if err := host.AwaitListener(up, listen); err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks the program to end, as its kind is asked, and waits until it has.
func (p *program) stop(how syscall.Signal) {
	_ = p.cmd.Process.Signal(how) // it may have ended with the context
	_ = p.cmd.Wait()              // how it ends says nothing of the run
}
