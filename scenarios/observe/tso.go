package observe

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// TSO merges consecutive segments of one direction of a connection into one
// frame larger than the MSS: what a capture on a host sees when the card does the
// segmentation. The IP length is that of the whole; the TCP checksum is left to
// the card, and wrong.
type TSO struct{ Points []string } // none: every point

// Name implements [Fault].
func (a TSO) Name() string { return "segments merged (TSO)" }

func (a TSO) String() string { return "segments merged (TSO) at " + at(a.Points) }

// Apply implements [Fault].
func (a TSO) Apply(c *Captures) { c.change(a.Points, func(p *Capture) { p.mergeSegments() }) }

// Bounds of what a kernel hands to a card at once.
const (
	maxMerged = 65535
	maxApart  = int64(time.Millisecond)
)

// merging is a frame that the next segment of its direction may still join.
type merging struct {
	at   int // index in the new frames
	last int64
	Segment
	seqEnd uint32 // sequence number that continues it
}

// mergeSegments joins what it can. A merged frame has the
// time of its first segment: the host handed all of it over at once, so that an
// acknowledgement of a part may still follow.
func (c *Capture) mergeSegments() {
	type direction struct{ src, dst netip.AddrPort }
	open := map[direction]*merging{}
	out := make([]Frame, 0, len(c.Frames))
	for _, f := range c.Frames {
		s, ok := TCP(f.Data)
		if !ok {
			out = append(out, f)
			continue
		}
		key := direction{s.Src, s.Dst}
		m := open[key]
		size := s.End - s.Payload
		data := size > 0 && s.Flags&(SYN|FIN|RST) == 0 && len(f.Data) == f.WireLength && s.End <= len(f.Data)
		if data && m != nil && m.seqEnd == s.Seq && m.Ack == s.Ack && f.Time-m.last <= maxApart &&
			f.Interface == out[m.at].Interface && m.End-m.IP+size <= maxMerged {
			out[m.at] = m.join(out[m.at], f.Data[s.Payload:s.End], s.Flags)
			m.last, m.seqEnd, m.End = f.Time, m.seqEnd+uint32(size), m.End+size
			continue
		}
		delete(open, key)
		if data {
			open[key] = &merging{at: len(out), last: f.Time, Segment: s, seqEnd: s.Seq + uint32(size)}
		}
		out = append(out, f)
	}
	c.Frames = out
}

// join returns the frame with more payload, before its trailer if it has one.
func (m *merging) join(f Frame, payload []byte, flags byte) Frame {
	tail := f.Data[m.End:]
	if at, _, ok := f5trailer.Find(f.Data, f.WireLength); ok {
		tail = f.Data[at:]
	}
	b := bytes.Clone(f.Data[:m.End])
	b = append(append(b, payload...), tail...)
	length := make([]byte, 2)
	if m.V6 {
		binary.BigEndian.PutUint16(b[m.IP+4:], uint16(m.End+len(payload)-m.Next))
	} else {
		binary.BigEndian.PutUint16(length, uint16(m.End+len(payload)-m.IP))
		change(b, m.IP+2, length, m.IP+10)
	}
	b[m.Next+13] |= flags & PSH
	f.Data, f.WireLength = b, len(b)
	return f
}
