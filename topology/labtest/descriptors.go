package labtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Descriptors counts the process's open descriptors, to be compared with what is open later.
// Pipes are not among them: Go keeps some of its own for splice(2), which io.Copy between
// two connections uses, and closes them whenever it collects garbage
// (internal/poll/splice_linux.go).
func Descriptors(t testing.TB) (n int) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range open {
		// One that is gone by now was the listing's own.
		if to, err := os.Readlink(d); err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}
