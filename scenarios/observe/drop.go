package observe

import "fmt"

// Drop removes packets at random: a capture that could not keep up, the usual
// reason why one point has a packet and the next has not.
type Drop struct {
	Points []string // none: every point
	Share  float64  // of the packets
	Tell   bool     // the statistics own up to it; else they go on claiming that nothing was lost
	Seed   uint64
}

// Name implements [Fault].
func (a Drop) Name() string {
	if len(a.Points) == 0 {
		return "packets lost at every point"
	}
	return "packets lost at a point"
}

func (a Drop) String() string {
	return fmt.Sprintf("%.2g %% of packets lost at %s%s", 100*a.Share, at(a.Points), told(a.Tell))
}

func told(tell bool) string {
	if tell {
		return ", and said so"
	}
	return ""
}

// Apply implements [Fault].
func (a Drop) Apply(c *Captures) {
	r := Random(a.Seed)
	c.change(a.Points, func(p *Capture) {
		p.lose(a.Tell, func(*Frame) bool { return r.Float64() < a.Share })
	})
}

// lose removes frames that the capture, but not the network, lost.
func (c *Capture) lose(tell bool, lost func(*Frame) bool) {
	c.keep(func(f *Frame) bool {
		if !lost(f) {
			return true
		}
		if tell {
			c.Interfaces[f.Interface].Statistics.Dropped++
		}
		return false
	})
}
