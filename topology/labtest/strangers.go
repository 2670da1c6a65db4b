package labtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Strangers counts the threads outside the process's own network namespace.
func Strangers(t testing.TB) (n int) {
	t.Helper()
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, task := range tasks {
		if at, err := os.Readlink(task); err == nil && at != home {
			n++
		}
	}
	return n
}
