package observe

import (
	"fmt"
	"time"
)

// CutEnd ends a file early: a capture that was killed, or whose disk was full. It
// has no statistics, which are written last.
type CutEnd struct {
	Point string
	Share float64 // of the time that is missing
	Torn  bool    // in the middle of a block
}

// Name implements [Fault].
func (a CutEnd) Name() string { return "a file's end cut off" }

func (a CutEnd) String() string {
	s := fmt.Sprintf("the last %.0f %% of %s cut off", 100*a.Share, a.Point)
	if a.Torn {
		s += ", inside a block"
	}
	return s
}

// Apply implements [Fault].
func (a CutEnd) Apply(c *Captures) {
	c.change([]string{a.Point}, func(p *Capture) {
		first, last := p.Span()
		end := last - int64(a.Share*float64(last-first))
		p.keep(func(f *Frame) bool { return f.Time <= end })
		p.forgetStatistics()
		p.Torn = a.Torn
	})
}

// CutStart begins a file late: somebody came late, or the oldest files of a ring
// are gone.
type CutStart struct {
	Point string
	Share float64 // of the time that is missing
	Tell  bool    // the statistics tell when the capture began; else there are none
}

// Name implements [Fault].
func (a CutStart) Name() string { return "a file's start cut off" }

func (a CutStart) String() string {
	return fmt.Sprintf("the first %.0f %% of %s cut off%s", 100*a.Share, a.Point, told(a.Tell))
}

// Apply implements [Fault].
func (a CutStart) Apply(c *Captures) {
	c.change([]string{a.Point}, func(p *Capture) {
		first, last := p.Span()
		begin := first + int64(a.Share*float64(last-first))
		p.keep(func(f *Frame) bool { return f.Time >= begin })
		if !a.Tell {
			p.forgetStatistics()
		}
		for i := range p.Interfaces {
			p.Interfaces[i].Statistics.Start = time.Unix(0, begin).UTC()
		}
		if len(p.Frames) > 1 && IsFileInfo(p.Frames[0].Data) {
			p.Frames[0].Time = begin // keep has made the frames our own
		}
	})
}
