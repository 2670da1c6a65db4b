package scenarios

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/sim"
)

// Hit says that a fault struck an attempt of a request, however often.
type Hit struct {
	Ordinal int    `json:"ordinal"`
	Attempt int    `json:"attempt"`
	Fault   string `json:"fault"`
}

// hitsOf lists what a ledger says was hit, each once and in order. What belongs to no
// request, such as a monitor's connection, is left out: its times are chance.
func hitsOf(ledger []sim.Hit) (hits []Hit) {
	for _, h := range ledger {
		if h.Ordinal >= 0 {
			hits = append(hits, Hit{h.Ordinal, h.Attempt, h.Fault})
		}
	}
	return inOrder(hits)
}

// inOrder sorts hits by request, attempt and fault, and leaves each once.
func inOrder(hits []Hit) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(a.Ordinal-b.Ordinal, a.Attempt-b.Attempt, cmp.Compare(a.Fault, b.Fault))
	})
	return slices.Compact(hits)
}

// digestOf sums up who was hit: SHA-256, in hexadecimal, over a line for each hit in
// order, "ORDINAL ATTEMPT FAULT\n". Two runs in which the same faults struck the same
// attempts of the same requests have the same one.
func digestOf(hits []Hit) string {
	sum := sha256.New()
	for _, h := range hits {
		fmt.Fprintf(sum, "%d %d %s\n", h.Ordinal, h.Attempt, h.Fault)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
