package observe

import (
	"fmt"
	"slices"
	"time"
)

// Shift sets a point's clock wrong by a constant.
type Shift struct {
	Point string
	By    time.Duration
}

// Name implements [Fault].
func (a Shift) Name() string { return "a clock shifted" }

func (a Shift) String() string {
	return fmt.Sprintf("the clock of %s %+.3f s off", a.Point, a.By.Seconds())
}

// Apply implements [Fault].
func (a Shift) Apply(c *Captures) {
	c.setClock(a.Point, func(t int64) int64 { return t + int64(a.By) })
}

// Drift lets a point's clock run too fast or too slow from its first frame on.
type Drift struct {
	Point string
	PPM   float64 // positive: too fast
}

// Name implements [Fault].
func (a Drift) Name() string { return "a clock drifting" }

func (a Drift) String() string {
	return fmt.Sprintf("the clock of %s drifting %+.0f ppm", a.Point, a.PPM)
}

// Apply implements [Fault].
func (a Drift) Apply(c *Captures) {
	p := c.Point(a.Point)
	if p == nil {
		return
	}
	first, _ := p.Span()
	c.setClock(a.Point, func(t int64) int64 { return t + int64(float64(t-first)*a.PPM/1e6) })
}

// Step sets a point's clock at a moment in the middle of the capture, as time
// synchronisation does; backwards, later frames have earlier times.
type Step struct {
	Point string
	At    float64 // share of the capture's time after which it happens
	By    time.Duration
}

// Name implements [Fault].
func (a Step) Name() string { return "a clock stepping" }

func (a Step) String() string {
	return fmt.Sprintf("the clock of %s stepping %+.0f s after %.0f %%", a.Point, a.By.Seconds(), 100*a.At)
}

// Apply implements [Fault].
func (a Step) Apply(c *Captures) {
	p := c.Point(a.Point)
	if p == nil {
		return
	}
	first, last := p.Span()
	step := first + int64(a.At*float64(last-first))
	c.setClock(a.Point, func(t int64) int64 {
		if t < step {
			return t
		}
		return t + int64(a.By)
	})
}

// setClock puts another clock under a point; its statistics are by it too.
func (c *Captures) setClock(point string, clock func(int64) int64) {
	c.change([]string{point}, func(p *Capture) {
		frames := slices.Clone(p.Frames)
		for i := range frames {
			frames[i].Time = clock(frames[i].Time)
		}
		p.Frames = frames
		for i := range p.Interfaces {
			s := &p.Interfaces[i].Statistics
			for _, t := range []*time.Time{&s.Start, &s.End} {
				if !t.IsZero() {
					*t = time.Unix(0, clock(t.UnixNano())).UTC()
				}
			}
		}
		p.clocks = append(p.clocks, clock)
	})
}
