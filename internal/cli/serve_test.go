package cli

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// served starts a server whose runs go to a folder, and a run in it that lasts.
func served(t *testing.T) (c *exec.Cmd, folder string) {
	t.Helper()
	c = command(t, "serve", "--listen", "127.0.0.1:0", "--dir", "kept")
	c.Stdout = nil
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
	at := strings.Fields(line)[3]
	answer, err := http.PostForm(at+"runs", url.Values{"scenario": {"firewall-drops-syn"}, "requests": {"20000"}})
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	folder = filepath.Join(c.Dir, "kept")
	await(t, "captures are written", func() bool {
		files, _ := filepath.Glob(filepath.Join(folder, "*", "1", "captures", "client-eth0.pcapng"))
		return len(files) > 0
	})
	return c, folder
}

func TestAServerThatIsInterruptedLeavesNothing(t *testing.T) {
	skipWithoutLabs(t)
	c, folder := served(t)
	if err := c.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := exitCodeOf(t, c.Wait()); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWhatAKilledServerLeftGoesWithTheNext(t *testing.T) {
	skipWithoutLabs(t)
	c, folder := served(t)
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
	next := command(t, "serve", "--listen", "127.0.0.1:0", "--dir", folder)
	next.Stdout = nil
	out, err := next.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("in the folder are %v, want the next one's alone (%v)", left, err)
	}
	if err := next.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := exitCodeOf(t, next.Wait()); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}
