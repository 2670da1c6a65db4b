package observe

import (
	"fmt"
	"time"
)

// Burst removes everything within a few stretches of time: a ring buffer that
// overran, a virtual machine that was suspended, a gap between rotated files.
type Burst struct {
	Point  string
	Count  int
	Length time.Duration // of each
	Tell   bool          // the statistics own up to it
	Seed   uint64
}

// Name implements [Fault].
func (a Burst) Name() string { return "bursts lost at a point" }

func (a Burst) String() string {
	return fmt.Sprintf("%d bursts of %v lost at %s%s", a.Count, a.Length, a.Point, told(a.Tell))
}

// Apply implements [Fault].
func (a Burst) Apply(c *Captures) {
	r := Random(a.Seed)
	c.change([]string{a.Point}, func(p *Capture) {
		if len(p.Frames) == 0 {
			return
		}
		var begins []int64
		for range a.Count { // at a packet, or most would hit nothing
			begins = append(begins, p.Frames[r.IntN(len(p.Frames))].Time)
		}
		p.lose(a.Tell, func(f *Frame) bool {
			for _, b := range begins {
				if f.Time >= b && f.Time < b+int64(a.Length) {
					return true
				}
			}
			return false
		})
	})
}
