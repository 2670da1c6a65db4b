package ablation

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

// Name implements [Ablation].
func (a TSO) Name() string { return "segments merged (TSO)" }

func (a TSO) String() string { return "segments merged (TSO) at " + at(a.Points) }

// Apply implements [Ablation].
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
	segment
	seqEnd uint32 // sequence number that continues it
}

// mergeSegments returns how many frames went into others. A merged frame has the
// time of its first segment: the host handed all of it over at once, so that an
// acknowledgement of a part may still follow.
func (c *Capture) mergeSegments() (merged int) {
	type direction struct{ src, dst netip.AddrPort }
	open := map[direction]*merging{}
	out := make([]Frame, 0, len(c.Frames))
	for _, f := range c.Frames {
		s, ok := tcp(f.Data)
		if !ok {
			out = append(out, f)
			continue
		}
		key := direction{s.src, s.dst}
		m := open[key]
		size := s.end - s.payload
		data := size > 0 && s.flags&(flagSYN|flagFIN|flagRST) == 0 && len(f.Data) == f.WireLength && s.end <= len(f.Data)
		if data && m != nil && m.seqEnd == s.seq && m.ack == s.ack && f.Time-m.last <= maxApart &&
			f.Interface == out[m.at].Interface && m.end-m.ip+size <= maxMerged {
			out[m.at] = m.join(out[m.at], f.Data[s.payload:s.end], s.flags)
			m.last, m.seqEnd, m.end = f.Time, m.seqEnd+uint32(size), m.end+size
			merged++
			continue
		}
		delete(open, key)
		if data {
			open[key] = &merging{at: len(out), last: f.Time, segment: s, seqEnd: s.seq + uint32(size)}
		}
		out = append(out, f)
	}
	c.Frames = out
	return merged
}

// join returns the frame with more payload, before its trailer if it has one.
func (m *merging) join(f Frame, payload []byte, flags byte) Frame {
	tail := f.Data[m.end:]
	if at, _, ok := f5trailer.Find(f.Data, f.WireLength); ok {
		tail = f.Data[at:]
	}
	b := bytes.Clone(f.Data[:m.end])
	b = append(append(b, payload...), tail...)
	length := make([]byte, 2)
	if m.v6 {
		binary.BigEndian.PutUint16(b[m.ip+4:], uint16(m.end+len(payload)-m.next))
	} else {
		binary.BigEndian.PutUint16(length, uint16(m.end+len(payload)-m.ip))
		change(b, m.ip+2, length, m.ip+10)
	}
	b[m.next+13] |= flags & flagPSH
	f.Data, f.WireLength = b, len(b)
	return f
}
