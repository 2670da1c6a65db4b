package testkit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/onsi/ginkgo/v2"
)

// runs counts the runs of the spec that is running, of its present attempt.
var runs struct {
	sync.Mutex
	of string
	n  int
}

// nextRun returns how many runs the spec has had before in this attempt.
func nextRun(spec ginkgo.SpecReport) (n int) {
	of := fmt.Sprintf("%s\n%s\n%d", spec.LeafNodeLocation, spec.FullText(), spec.NumAttempts)
	runs.Lock()
	defer runs.Unlock()
	if runs.of != of {
		runs.of, runs.n = of, 0
	}
	runs.n++
	return runs.n - 1
}

// seedOf is the seed of a spec's n-th run, where nobody has given one: a function of
// Ginkgo's own seed, the spec's text and its attempt, so that specs do not all break the
// same requests and ginkgo --seed brings them all back, whatever runs beside them. It has
// 32 bits: short to type, and exact in every JSON reader.
func seedOf(ginkgoSeed int64, text string, attempt, n int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%d\n%d", ginkgoSeed, text, attempt, n))
	return uint64(binary.BigEndian.Uint32(sum[:4]))
}
