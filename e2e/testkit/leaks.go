package testkit

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
)

// leakPatience is how long what has been told to end may take to do so.
const leakPatience = 5 * time.Second

// CheckLeaks sees to it that nothing started from here on outlives the spec: no goroutine,
// no open file or socket, no thread in a lab's namespace. [Run] calls it; a suite that
// uses labs otherwise calls it before each spec:
//
//	var _ = BeforeEach(testkit.CheckLeaks)
//
// It looks again when the spec's clean-up comes to it, so what was registered with
// DeferCleanup after it has been cleaned up by then.
func CheckLeaks() {
	wakePoller()
	goroutines, files := gleak.Goroutines(), OpenFiles()
	ginkgo.DeferCleanup(func() {
		g := gomega.NewGomega(ginkgo.Fail)
		g.Eventually(gleak.Goroutines).WithTimeout(leakPatience).ShouldNot(gleak.HaveLeaked(goroutines))
		g.Eventually(func() []string { return opened(files) }).WithTimeout(leakPatience).Should(gomega.BeEmpty(), "files and sockets left open")
		g.Eventually(strayThreads).WithTimeout(leakPatience).Should(gomega.BeEmpty(), "threads left in a lab's namespace")
	})
}

// wakePoller has Go's runtime open what its network poller keeps open for good.
func wakePoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// OpenFiles lists what the process has open, such as "/dev/null" and "socket:[4711]".
func OpenFiles() (list []string) {
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		panic(err) // of the pattern alone
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil { // else it was the one that read the folder
			list = append(list, target)
		}
	}
	return list
}

// opened lists what is open now and was not before. Pipes are looked at apart: Go keeps some
// for io.Copy between two connections, as a proxy has it, until the garbage collector takes
// them (internal/poll/splice_linux.go). Where nothing else is left it is asked to; of what
// else is left it would close what nobody holds any more, and so hide it.
func opened(before []string) []string {
	now := OpenFiles()
	if more := grown(others(before), others(now)); len(more) > 0 {
		return more
	}
	more := grown(pipes(before), pipes(now))
	if len(more) > 0 {
		runtime.GC()
	}
	return more
}

// grown lists what is there now and was not before, if that is more than there was: Ginkgo
// itself puts other pipes in the places of its own.
func grown(before, now []string) (more []string) {
	if len(now) <= len(before) {
		return nil
	}
	left := slices.Clone(before)
	for _, target := range now {
		if i := slices.Index(left, target); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		more = append(more, target)
	}
	return more
}

func isPipe(target string) bool { return strings.HasPrefix(target, "pipe:") }

func pipes(open []string) []string {
	return slices.DeleteFunc(slices.Clone(open), func(s string) bool { return !isPipe(s) })
}

func others(open []string) []string { return slices.DeleteFunc(slices.Clone(open), isPipe) }

// strayThreads lists threads outside the process's own network namespace.
func strayThreads() (strays []string) {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return []string{err.Error()}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		panic(err) // of the pattern alone
	}
	for _, task := range tasks {
		if at, err := os.Readlink(task); err == nil && at != home {
			strays = append(strays, task)
		}
	}
	return strays
}
