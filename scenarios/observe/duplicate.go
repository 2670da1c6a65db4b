package observe

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// Duplicate repeats frames within a millisecond: the same bytes, as when one
// packet is mirrored twice.
type Duplicate struct {
	Point string
	Share float64 // of the frames
	Seed  uint64
}

// Name implements [Fault].
func (a Duplicate) Name() string { return "frames duplicated" }

func (a Duplicate) String() string {
	return fmt.Sprintf("%.0f %% of frames twice at %s", 100*a.Share, a.Point)
}

// Apply implements [Fault].
func (a Duplicate) Apply(c *Captures) {
	c.repeat(a.Point, a.Share, a.Seed, func(b []byte) []byte { return b })
}

// Span shows every frame a second time with one hop less to live: a mirror port
// that sees both sides of a router next to the point.
type Span struct {
	Point string
	Seed  uint64
}

// Name implements [Fault].
func (a Span) Name() string { return "every frame twice, TTL-1" }

func (a Span) String() string { return "every frame at " + a.Point + " twice, the second with TTL-1" }

// Apply implements [Fault].
func (a Span) Apply(c *Captures) { c.repeat(a.Point, 1, a.Seed, routed) }

// routed returns the frame as the next router would send it.
func routed(frame []byte) []byte {
	l, ok := Locate(frame)
	if !ok {
		return frame
	}
	out := bytes.Clone(frame)
	if l.V6 {
		out[l.IP+7]--
		return out
	}
	change(out, l.IP+8, []byte{out[l.IP+8] - 1, out[l.IP+9]}, l.IP+10)
	return out
}

// repeat puts copies of frames into a capture, in the order of their time.
func (c *Captures) repeat(point string, share float64, seed uint64, copied func([]byte) []byte) {
	const soonest, latest = int64(5 * time.Microsecond), int64(time.Millisecond)
	r := Random(seed)
	c.change([]string{point}, func(p *Capture) {
		out := make([]Frame, 0, 2*len(p.Frames))
		var due []Frame // copies that are still to come, by time
		flush := func(until int64) {
			for len(due) > 0 && due[0].Time <= until {
				out, due = append(out, due[0]), due[1:]
			}
		}
		for i, f := range p.Frames {
			flush(f.Time)
			out = append(out, f)
			if i == 0 && IsFileInfo(f.Data) || r.Float64() >= share {
				continue
			}
			again := f
			again.Time += soonest + r.Int64N(latest-soonest)
			again.Data = copied(f.Data)
			n, _ := slices.BinarySearchFunc(due, again.Time, func(d Frame, t int64) int { return int(min(1, max(-1, d.Time-t))) })
			due = slices.Insert(due, n, again)
			p.Interfaces[f.Interface].Statistics.Received++
		}
		p.Frames = append(out, due...)
	})
}
