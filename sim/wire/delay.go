package wire

import (
	"math/rand/v2"
	"time"
)

// Delay sends each packet on after a time, and after up to Jitter more: by chance, which
// Random has, so that one may overtake another.
type Delay struct {
	After, Jitter time.Duration
	Random        *rand.Rand // for one goroutine; may be nil without Jitter
}

func (d Delay) take(w *Wire, p Packet) {
	due := time.Now().Add(d.After)
	if d.Jitter > 0 {
		due = due.Add(time.Duration(d.Random.Int64N(int64(d.Jitter) + 1)))
	}
	w.hold(p, due)
}
