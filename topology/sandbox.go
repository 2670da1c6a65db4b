package topology

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The outer process tells the inner one by this variable that it is inside; the
// inner removes it, so that programs it starts do not inherit it.
const sandboxEnv = "_HOPBLAME_SANDBOX"

// File descriptors the inner process is given.
const (
	lifeFD   = 3 // read end of a pipe that the outer holds open as long as it lives
	statusFD = 4 // where the inner says how entering went, one line
)

// killed is the exit code of a process that SIGKILL ended, as shells give it.
const killed = 128 + int(unix.SIGKILL)

// ErrKilled says that somebody, as a rule the kernel for want of memory, killed
// the process that did the work.
var ErrKilled = errors.New("the process that did the work was killed (SIGKILL), perhaps for want of memory: try fewer requests, or fewer in flight")

// ErrInterrupted says that a signal asked for the end before the work had begun.
var ErrInterrupted = errors.New("interrupted before the work began")

// What the inner process says on statusFD.
const (
	statusOK     = "ok"
	statusNoProc = "no-proc" // cannot mount /proc for a PID namespace
	statusDenied = "denied"  // the user namespace gives no rights (AppArmor)
)

var inSandbox = os.Getenv(sandboxEnv) != ""

// sandboxErr is why Main had to go on outside.
var sandboxErr error

// sandbox describes one way of isolating the process, best first.
type sandbox struct {
	user bool // a user namespace, in which we are root
	pid  bool // a PID namespace, which takes every descendant with it
}

func candidates() []sandbox {
	if os.Geteuid() == 0 {
		return []sandbox{{pid: true}, {user: true, pid: true}, {}}
	}
	return []sandbox{{user: true, pid: true}, {user: true}}
}

// Sandbox makes the calling process one that may build labs and that leaves
// nothing behind. Call it first thing, before goroutines, files or flags matter:
// it starts the program again with the same arguments inside PID, mount and —
// without root — user namespaces, passes on signals, and exits with its exit
// code. In that second process it returns nil and work goes on. Whenever the
// first process dies, kill -9 included, the second one and all it has started die
// too: by parent-death signal, by the end of the life pipe, and because process 1
// of a PID namespace takes the rest along.
//
// It returns an [UnsupportedError] where the machine allows none of this, and in
// the first process [ErrKilled] when the second one was killed, [ErrInterrupted]
// when a signal came before there was one.
func Sandbox() error { return enterSandbox(false) }

// Main runs a test binary's tests inside a [Sandbox]:
//
//	func TestMain(m *testing.M) { topology.Main(m) }
//
// Where there can be no sandbox the tests run anyway; [Build] then says why it
// cannot, as an [UnsupportedError] to skip on.
func Main(m interface{ Run() int }) {
	// A fuzzing worker owns descriptors 3 and 4 itself.
	worker := false
	for _, a := range os.Args[1:] {
		worker = worker || strings.HasPrefix(a, "-test.fuzzworker")
	}
	if !worker {
		sandboxErr = enterSandbox(true)
	}
	os.Exit(m.Run())
}

func enterSandbox(underTestRunner bool) error {
	if inSandbox {
		return settle()
	}
	var last error
	for _, s := range candidates() {
		code, err := s.start(underTestRunner)
		if errors.Is(err, ErrKilled) || errors.Is(err, ErrInterrupted) {
			if !underTestRunner {
				return err
			}
			err = nil
		}
		if err == nil {
			// Not os.Exit: its hooks belong to the inner process (coverage
			// data would be written, or missed, twice).
			syscall.Exit(code)
		}
		last = err
	}
	return &UnsupportedError{Feature: "an isolated lab", Why: last.Error(), Fix: namespaceFix(last), Err: last}
}

// start runs the program inside and waits for it. An error means that it did not
// get as far as the program proper, or was killed; the latter and a signal are no
// reason to try a lesser sandbox.
func (s sandbox) start(underTestRunner bool) (exitCode int, err error) {
	life, lifeEnd, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("life pipe: %w", err)
	}
	defer lifeEnd.Close() // never inherited: closes when this process ends, however it ends
	status, statusEnd, err := os.Pipe()
	if err != nil {
		life.Close()
		return 0, fmt.Errorf("status pipe: %w", err)
	}
	defer status.Close()

	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{life, statusEnd}
	cmd.Env = append(os.Environ(), sandboxEnv+"="+s.String())
	cmd.SysProcAttr = s.attributes()

	// The parent-death signal belongs to the thread that forks: stay on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)

	err = cmd.Start()
	life.Close()
	statusEnd.Close()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", s, err)
	}
	// Signals wait until there is somebody to take them: the kernel keeps from
	// process 1 of a namespace what it has no handler for.
	line, _ := bufio.NewReader(status).ReadString('\n') // "" when it died before saying anything
	if line = strings.TrimSpace(line); line != statusOK {
		return s.neverBegan(line, cmd.Wait(), signals)
	}
	done := make(chan struct{})
	var owned sync.WaitGroup
	owned.Go(func() { forward(signals, cmd.Process, underTestRunner, done) })
	exitCode = exitCodeOf(cmd.Wait())
	close(done)
	owned.Wait()
	if exitCode == killed {
		return killed, ErrKilled
	}
	return exitCode, nil
}

// neverBegan is what start returns when the process inside ended without
// [statusOK].
func (s sandbox) neverBegan(line string, waitErr error, signals <-chan os.Signal) (exitCode int, err error) {
	select {
	case asked := <-signals:
		if n, ok := asked.(syscall.Signal); ok {
			exitCode = 128 + int(n)
		}
		return exitCode, ErrInterrupted
	default:
	}
	if exitCodeOf(waitErr) == killed {
		return killed, ErrKilled
	}
	return 0, fmt.Errorf("%s: %w", s, refusal(line, waitErr))
}

func (s sandbox) String() string {
	switch {
	case s.user && s.pid:
		return "user+pid namespaces"
	case s.user:
		return "user namespace"
	case s.pid:
		return "pid namespace"
	}
	return "own process"
}

func (s sandbox) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Setpgid:   true, // signals reach it once, through us
		Pdeathsig: syscall.SIGKILL,
	}
	if s.pid || s.user {
		a.Cloneflags |= syscall.CLONE_NEWNS
	}
	if s.pid {
		a.Cloneflags |= syscall.CLONE_NEWPID
	}
	if s.user {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// forward passes signals on. A test runner that is itself killed sends none, so
// under one the outer process watches for its parent's end.
func forward(signals <-chan os.Signal, p *os.Process, watchParent bool, done <-chan struct{}) {
	var tick <-chan time.Time
	parent := os.Getppid()
	if watchParent {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case s := <-signals:
			_ = p.Signal(s) // it may have ended
		case <-tick:
			if os.Getppid() != parent {
				_ = p.Kill()
			}
		case <-done:
			return
		}
	}
}

func refusal(status string, waitErr error) error {
	switch status {
	case statusNoProc:
		return fmt.Errorf("mount /proc: %w", unix.EPERM)
	case statusDenied:
		return fmt.Errorf("create a network namespace: %w", unix.EPERM)
	}
	if waitErr == nil {
		return errors.New("ended without saying how it went")
	}
	return waitErr
}

func exitCodeOf(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}

// settle makes the inner process ready: it watches its parent's life, keeps its
// descriptors to itself, and gives its PID namespace a /proc of its own.
func settle() error {
	if os.Getenv(sandboxEnv) == "" {
		return nil // done before
	}
	kind := os.Getenv(sandboxEnv)
	os.Unsetenv(sandboxEnv)
	unix.CloseOnExec(lifeFD)
	unix.CloseOnExec(statusFD)
	status := os.NewFile(statusFD, "status")
	defer status.Close()
	go func() { // ends with the process, by design
		io.Copy(io.Discard, os.NewFile(lifeFD, "life"))
		os.Exit(killed)
	}()

	if strings.Contains(kind, "pid") {
		if err := mountProc(); err != nil {
			fmt.Fprintln(status, statusNoProc)
			os.Exit(3)
		}
	}
	probe, err := newHost("probe")
	if err != nil {
		fmt.Fprintln(status, statusDenied)
		os.Exit(3)
	}
	if err := probe.close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(status, statusOK)
	return err
}

// mountProc shows the PID namespace's own processes; without it everything that
// looks below /proc/<pid> finds somebody else's, or nothing.
func mountProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	proc, err := filepath.EvalSymlinks("/proc")
	if err != nil {
		return err
	}
	return unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}
