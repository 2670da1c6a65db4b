package scratch

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// holderEnv tells the test binary to make a folder, say where, and wait to be killed.
const holderEnv = "HOPBLAME_SCRATCH_HOLDER"

func TestMain(m *testing.M) {
	if os.Getenv(holderEnv) == "" {
		os.Exit(m.Run())
	}
	f, err := New()
	if err == nil {
		err = os.WriteFile(filepath.Join(f.Path, "captures"), []byte("packets"), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(f.Path)
	io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent ends
	os.Exit(1)
}

func TestTheFolderOfAKilledProcessIsSweptAndNoOther(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, err := New()
	if err != nil {
		t.Fatal(err)
	}
	elses := filepath.Join(os.TempDir(), "somebody-elses")
	if err := os.Mkdir(elses, 0o755); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("/proc/self/exe")
	holder.Env = append(os.Environ(), holderEnv+"=1")
	holder.Stderr = os.Stderr
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSpace(line)

	Sweep()
	for _, held := range []string{path, mine.Path} {
		if _, err := os.Stat(held); err != nil {
			t.Errorf("swept, and its process is at work: %v", err)
		}
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // "signal: killed"
	Sweep()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is there, and its process was killed: %v", path, err)
	}
	if _, err := os.Stat(elses); err != nil {
		t.Error(err)
	}
	if err := mine.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("%v; left: %v", err, left)
	}
}
