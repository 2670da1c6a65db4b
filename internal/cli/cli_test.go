package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

func TestExitCode(t *testing.T) {
	unsupported := &topology.UnsupportedError{Feature: "an isolated lab", Why: "operation not permitted", Fix: "run as root", Err: unix.EPERM}
	for _, row := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing went wrong", nil, 0},
		{"the check failed and all has been said", &codeError{code: exitCheck}, 1},
		{"a usage error", usage(errors.New("x")), 2},
		{"a scenario file that is malformed", &scenarios.FileError{File: "x.yaml", Why: "is empty"}, 2},
		{"a scenario there is not", fmt.Errorf("run: %w", &scenarios.UnknownError{Name: "x"}), 2},
		{"a capture that is malformed", &analyzer.InputError{Kind: analyzer.ErrMalformed, File: "x"}, 2},
		{"a run directory that is in use", fmt.Errorf("out %w", scenarios.ErrNotEmpty), 2},
		{"a machine that cannot", unsupported, 3},
		{"a machine that cannot, deep inside", fmt.Errorf("build: %w", errors.Join(errors.New("x"), unsupported)), 3},
		{"a capture that cannot be read", &analyzer.InputError{Kind: analyzer.ErrIO, File: "x"}, 4},
		{"a disk that is too small", fmt.Errorf("x: %w", scenarios.ErrNoSpace), 4},
		{"a disk that is full", &fs.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}, 4},
		{"a run that is invalid", &codeError{exitInvalid, errors.New("x")}, 4},
		{"something in the kernel that exists already", fmt.Errorf("add link: %w", unix.EEXIST), 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := exitCode(t.Context(), row.err); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
			interrupted, cancel := context.WithCancel(t.Context())
			cancel()
			if got, want := exitCode(interrupted, row.err), exitInterrupted; row.err != nil && got != want {
				t.Errorf("interrupted: got %d, want %d", got, want)
			}
		})
	}
	if got, want := oneLine(unsupported), "an isolated lab is not possible on this machine: operation not permitted; fix: run as root"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if usage(nil) != nil {
		t.Error("no error became one of usage")
	}
}

func TestOneLine(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"one line stays", errors.New("x: y"), "x: y"},
		{"two are joined", errors.Join(errors.New("x"), errors.New("y")), "x; y"},
		{"what is said twice is said once", errors.Join(errors.New("x"), errors.New("y"), errors.New("x")), "x; y"},
		{"empty and indented lines go", errors.New("x\n\n\t y\r\n"), "x; y"},
	} {
		if got := oneLine(row.err); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestResultsThatCannotBeWrittenAreAnError(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"version"}, {"plan", "firewall-drops-syn", "--seed", "7"},
		{"plan", "firewall-drops-syn", "--seed", "7", "--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var stderr bytes.Buffer
			code := Main(args, &full{}, &stderr)
			last := strings.TrimRight(stderr.String(), "\n")
			if i := strings.LastIndexByte(last, '\n'); i >= 0 {
				last = last[i+1:] // plan has its count there as well
			}
			if code != exitInvalid || !strings.HasPrefix(last, "hopblame: ") || !strings.Contains(last, "no space left") {
				t.Errorf("got exit code %d and %q, want 4 and that no space is left", code, stderr.String())
			}
		})
	}
}

func TestColoursAndMovementAreForTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if wantsColor(f) || wantsColor(&bytes.Buffer{}) {
		t.Error("colours in a file")
	}
	if got := width(f); got != 100 {
		t.Errorf("a file is %d columns wide", got)
	}
	terminal := openTerminal(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !wantsColor(terminal) {
		t.Error("no colours on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if wantsColor(terminal) {
		t.Error("colours in spite of NO_COLOR")
	}
	t.Setenv("TERM", "dumb")
	if isTerminal(terminal) {
		t.Error("a terminal that cannot move is taken for one that can")
	}
	for columns, want := range map[uint16]int{80: 80, 300: 120, 10: 100} {
		if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
		if got := width(terminal); got != want {
			t.Errorf("of %d columns %d are used, want %d", columns, got, want)
		}
	}
}

// openTerminal returns a terminal that nobody looks at.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be made here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	return master // an end of a terminal like the other, to an ioctl
}

// command is hopblame as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "hopblame", args...)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "TMPDIR="+c.Dir)
	return c
}

func exitCodeOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: it never was so", what)
		}
	}
}

func skipWithoutLabs(t *testing.T) {
	t.Helper()
	err := labs(t)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnInterruptedRunCleansUpAndSaysSo(t *testing.T) {
	skipWithoutLabs(t)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			c := command(t, "run", "firewall-drops-syn", "--requests", "20000", "--out", "out")
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			capture := filepath.Join(c.Dir, "out", "captures", "client-eth0.pcapng")
			await(t, "the batch is on its way", func() bool {
				i, err := os.Stat(capture)
				return err == nil && i.Size() > 1<<16
			})
			started := below(t, c.Process.Pid)
			if len(started) == 0 {
				t.Error("the work is not done by a second process")
			}
			if err := c.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if got := exitCodeOf(t, c.Wait()); got != exitInterrupted {
				t.Errorf("exit code %d, want %d", got, exitInterrupted)
			}
			if got, want := stderr.String(), "hopblame: interrupted; everything was cleaned up\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if stdout.Len() > 0 {
				t.Errorf("on standard output: %q", stdout.String())
			}
			if _, err := os.Stat(filepath.Join(c.Dir, "out", "result.json")); err == nil {
				t.Error("a result of half a run")
			}
			for _, pid := range started {
				if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
					t.Errorf("process %d is left: %s", pid, name)
				}
			}
		})
	}
}

func TestARunThatKeepsNothingLeavesNothingWhenItIsInterrupted(t *testing.T) {
	skipWithoutLabs(t)
	c := command(t, "run", "firewall-drops-syn", "--requests", "20000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// Its captures have no names: wait for the open descriptors.
	await(t, "captures are open", func() bool {
		for _, pid := range append(below(t, c.Process.Pid), c.Process.Pid) {
			fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, c.Dir) && strings.HasSuffix(to, " (deleted)") {
					return true
				}
			}
		}
		return false
	})
	if err := c.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := exitCodeOf(t, c.Wait()); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
	if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// below lists the processes that descend from one, as far as they are known to
// this PID namespace.
func below(t *testing.T, ancestor int) (list []int) {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		f, err := os.Open(stat)
		if err != nil {
			continue // it has just ended
		}
		var pid, parent int
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fmt.Sscanf(lines.Text(), "Pid: %d", &pid)
			fmt.Sscanf(lines.Text(), "PPid: %d", &parent)
		}
		f.Close()
		parents[pid] = parent
	}
	for pid := range parents {
		for at := parents[pid]; at != 0; at = parents[at] {
			if at == ancestor {
				list = append(list, pid)
				break
			}
		}
	}
	return list
}

// smallDisk mounts a disk of its own; it goes with the sandbox of the tests.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, unix.EPERM) {
		t.Skip("no file system can be mounted here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestADiskThatIsTooSmallIsRefusedBeforeTheRun(t *testing.T) {
	skipWithoutLabs(t)
	out := filepath.Join(smallDisk(t, "10m"), "out")
	c := command(t, "run", "no-fault", "--requests", "100", "--out", out)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	got := exitCodeOf(t, c.Run())
	want := "hopblame: not enough disk space: the captures of 100 requests take about 65 MB and " + filepath.Dir(out) +
		" has 10 MB left; give --out on another disk, or fewer --requests\n"
	if got != exitInvalid || stderr.String() != want {
		t.Errorf("got  %d %s\nwant 4 %s", got, stderr.String(), want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it made the directory all the same")
	}
}

func TestADiskThatFillsUpDuringARunIsOneLine(t *testing.T) {
	skipWithoutLabs(t)
	disk := smallDisk(t, "400m")
	c := command(t, "run", "no-fault", "--requests", "20000", "--out", filepath.Join(disk, "out"))
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the captures have begun", func() bool {
		_, err := os.Stat(filepath.Join(disk, "out", "captures", "server2-eth0.pcapng"))
		return err == nil
	})
	// Its room ends, as if somebody else had taken it. It cannot shrink below
	// what is used by now.
	await(t, "the disk is full", func() bool {
		var s unix.Statfs_t
		if err := unix.Statfs(disk, &s); err != nil {
			t.Fatal(err)
		}
		used := (s.Blocks-s.Bfree)*uint64(s.Bsize) + 1<<18
		return unix.Mount("", disk, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", used)) == nil
	})
	got := exitCodeOf(t, c.Wait())
	line := stderr.String()
	if got != exitInvalid || strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "hopblame: capture at ") || !strings.Contains(line, "no space left on device") {
		t.Errorf("got %d %q, want 4 and one line that no space is left", got, line)
	}
	if stdout.Len() > 0 {
		t.Errorf("on standard output: %q", stdout.String())
	}
	for _, name := range []string{"result.json", "verdicts.json"} {
		if _, err := os.Stat(filepath.Join(disk, "out", name)); err == nil {
			t.Errorf("it left %s", name)
		}
	}
}

// whereNothingCanBeBuilt runs hopblame in a user namespace that may have no network
// namespace: a machine that cannot, made on one that can.
func whereNothingCanBeBuilt(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := command(t)
	c.Args = append([]string{"sh", "-c", `echo 0 >/proc/sys/user/max_net_namespaces && exec hopblame "$@"`, "hopblame"}, args...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	c.Path = sh
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	var out, messages bytes.Buffer
	c.Stdout, c.Stderr = &out, &messages
	err = c.Run()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Skip("no user namespace can be made here: ", err)
	}
	return exitCodeOf(t, err), out.String(), messages.String()
}

func TestWhereThereCanBeNoSandboxTheReasonAndTheFixAreGiven(t *testing.T) {
	skipWithoutLabs(t)
	got, stdout, line := whereNothingCanBeBuilt(t, "run", "no-fault", "--requests", "10")
	if got != exitUnsupported || strings.Count(line, "\n") != 1 || stdout != "" ||
		!strings.HasPrefix(line, "hopblame: an isolated lab is not possible on this machine: ") || !strings.Contains(line, "; fix: ") {
		t.Errorf("got %d, %q and %q, want 3 and one line with the fix", got, stdout, line)
	}
}

// The files say themselves what their line is. Where nothing can be built they say the
// same: they are refused before anything is.
func TestABrokenFileIsOneLineAndNothingIsBuilt(t *testing.T) {
	skipWithoutLabs(t)
	files, err := filepath.Glob("../../scenarios/testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			says, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
			if file, err = filepath.Abs(file); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			code, stdout, stderr := whereNothingCanBeBuilt(t, "run", file, "--out", out)
			if want := "hopblame: " + file + ":" + says + "\n"; code != exitUsage || stdout != "" || stderr != want {
				t.Errorf("got %d, %q\n%swant 2 and\n%s", code, stdout, stderr, want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("it made the run directory all the same")
			}
		})
	}
}
