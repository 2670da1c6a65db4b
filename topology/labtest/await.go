package labtest

import (
	"testing"
	"time"
)

// patience is more than anything takes that happens at all.
const patience = 20 * time.Second

// Await waits for a condition that has no event of its own. What is expected is said as
// a clause, such as "the port is closed"; it fails the test if that is never so.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain until " + what)
		}
	}
}
