package annotate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// Counts is what was written.
type Counts struct {
	Frames    uint64
	Commented uint64 // frames with a comment, of Frames
}

// Write reads the captures once more and writes them as one pcapng file. points are those
// of the analysis and r is its result. Errors are those of w, of type
// *[analyzer.InputError], or the context's.
func Write(ctx context.Context, w io.Writer, points []analyzer.Point, r *analyzer.Report) (n Counts, err error) {
	frames, closeAll, err := analyzer.OpenFrames(ctx, points, r)
	if err != nil {
		return n, err
	}
	defer closeAll()
	out, err := pcapng.NewWriter(w, pcapng.Section{Application: "hopblame annotate"})
	if err != nil {
		return n, err
	}
	m := &merge{w: out, comments: collect(r)}
	for i := range r.Points {
		p := &lane{report: &r.Points[i], frames: frames[i], links: map[uint16]int{}}
		if o := p.report.ClockOffset; o != nil {
			p.clock = o[0]/2 + o[1]/2
		}
		if err := p.next(); err != nil {
			return n, err
		}
		// In path order, those without a frame included: that is worth seeing, too.
		if err := m.describe(p, p.head.LinkType); err != nil {
			return n, err
		}
		m.lanes = append(m.lanes, p)
	}
	for {
		p := m.earliest()
		if p == nil {
			return m.n, out.Flush()
		}
		if err := m.write(p); err != nil {
			return m.n, err
		}
		if err := p.next(); err != nil {
			return m.n, err
		}
	}
}

// lane is a point that is being merged.
type lane struct {
	report *analyzer.PointReport
	frames *analyzer.Frames
	clock  int64          // its clock minus the first point's
	links  map[uint16]int // interface by link type
	head   analyzer.Frame
	at     int64 // of the head, corrected
	done   bool
}

func (l *lane) next() (err error) {
	l.head, err = l.frames.Next()
	if l.done = errors.Is(err, io.EOF); l.done {
		return nil
	}
	l.at = l.head.Time
	if l.at != 0 { // it has a time
		l.at -= l.clock
	}
	return err
}

type merge struct {
	w        *pcapng.Writer
	lanes    []*lane
	comments comments
	n        Counts
}

// earliest is the lane whose frame is next, of equal ones the first in path order; nil at
// the end. There are few lanes.
func (m *merge) earliest() *lane {
	var first *lane
	for _, l := range m.lanes {
		if !l.done && (first == nil || l.at < first.at) {
			first = l
		}
	}
	return first
}

// describe adds a point's interface, which has one link type (pcapng §4.2).
func (m *merge) describe(l *lane, link uint16) error {
	clock := "clock unknown, not corrected"
	if o := l.report.ClockOffset; o != nil {
		clock = fmt.Sprintf("clock corrected by %v", time.Duration(-l.clock))
	}
	id, err := m.w.AddInterface(pcapng.Interface{Name: l.report.Name, Description: l.report.File + ", " + clock, LinkType: link})
	l.links[link] = id
	return err
}

func (m *merge) write(l *lane) error {
	f := &l.head
	if _, known := l.links[f.LinkType]; !known {
		if err := m.describe(l, f.LinkType); err != nil {
			return err
		}
	}
	m.n.Frames++
	said := m.comments.of(l.report.Name, f.File, f.Number)
	if len(said) == 0 {
		return m.w.WritePacket(l.links[f.LinkType], l.at, f.WireLength, f.Data)
	}
	m.n.Commented++
	return m.w.WriteComment(l.links[f.LinkType], l.at, f.WireLength, f.Data, said...)
}
