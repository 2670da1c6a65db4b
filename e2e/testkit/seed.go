package testkit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/onsi/ginkgo/v2"
)

// subject is whose runs are counted together and played again together: a spec, or the
// specs of an ordered container, of which each may rest on what the others have done.
type subject struct {
	text    string // of the spec, or of its containers
	ordered bool
	attempt int // Ginkgo's, of several
}

// subjectOf is what a spec, or the node before it, belongs to.
func subjectOf(spec ginkgo.SpecReport) subject {
	s := subject{spec.FullText(), spec.IsInOrderedContainer, spec.NumAttempts}
	if s.ordered {
		s.text = strings.Join(spec.ContainerHierarchyTexts, " ")
	}
	return s
}

// runs counts the runs of the present subject.
var runs struct {
	sync.Mutex
	of subject
	n  int
}

// nextRun returns how many runs s has had before.
func (s subject) nextRun() (n int) {
	runs.Lock()
	defer runs.Unlock()
	if runs.of != s {
		runs.of, runs.n = s, 0
	}
	runs.n++
	return runs.n - 1
}

// seed is that of s's n-th run, where nobody has given one: a function of Ginkgo's own
// seed, the text and the attempt, so that specs do not all break the
// same requests and ginkgo --seed brings them all back, whatever runs beside them. It has
// 32 bits: short to type, and exact in every JSON reader.
func (s subject) seed(ginkgoSeed int64, n int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%d\n%d", ginkgoSeed, s.text, s.attempt, n))
	return uint64(binary.BigEndian.Uint32(sum[:4]))
}
