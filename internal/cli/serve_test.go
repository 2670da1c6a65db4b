package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// serving starts a server whose runs go to a folder, and returns where it is.
func serving(t *testing.T, folder string) (c *exec.Cmd, at string) {
	t.Helper()
	c = command(t, "serve", "--listen", "127.0.0.1:0", "--dir", folder)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.Fields(line)[3]
}

// busy starts a server, and a run in it that lasts.
func busy(t *testing.T, folder string) *exec.Cmd {
	t.Helper()
	c, at := serving(t, folder)
	answer, err := http.PostForm(at+"runs", url.Values{"scenario": {"firewall-drops-syn"}, "requests": {"20000"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	await(t, "captures are written", func() bool {
		files, _ := filepath.Glob(filepath.Join(folder, "*", "1", "captures", "client-eth0.pcapng"))
		return len(files) > 0
	})
	return c
}

// interrupted ends a server as Ctrl-C does.
func interrupted(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := exitCodeOf(t, c.Wait()); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}

func TestAServerThatIsInterruptedLeavesNothing(t *testing.T) {
	skipWithoutLabs(t)
	folder := t.TempDir()
	interrupted(t, busy(t, folder))
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWhatAKilledServerLeftGoesWithTheNext(t *testing.T) {
	skipWithoutLabs(t)
	folder := t.TempDir()
	c := busy(t, folder)
	started := below(t, c.Process.Pid)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	await(t, "all processes are gone", func() bool {
		for _, pid := range started {
			if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil { // one that nobody has waited for has none
				return false
			}
		}
		return true
	})
	next, _ := serving(t, folder)
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("in the folder are %v, want the next one's alone (%v)", left, err)
	}
	interrupted(t, next)
}
