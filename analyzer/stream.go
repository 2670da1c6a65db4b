package analyzer

// stream puts one direction of a TCP connection in order. It keeps nothing
// of bytes that arrive in order, and reports bytes the capture never saw as
// gaps once the receiver has acknowledged them: those were delivered, so
// their absence is the capture's loss, not the network's.
type stream struct {
	next  uint32 // next sequence number expected
	at    uint32 // of the first byte that a sink is given
	known bool
	early []segment // out of order, few
}

type segment struct {
	seq     uint32
	length  int
	payload []byte // may be shorter than length: cut by the snap length
}

const (
	maxEarly      = 64
	maxEarlyBytes = 128 << 10
)

// sink takes a stream's bytes in order. gap reports n bytes that passed but
// were not captured.
type sink interface {
	data(b []byte)
	gap(n int)
}

func (s *stream) start(next uint32) {
	s.next, s.known = next, true
	s.early = s.early[:0]
}

// push takes a segment as it was captured.
func (s *stream) push(seq uint32, payload []byte, length int, to sink) {
	if length == 0 {
		return
	}
	if !s.known {
		s.start(seq)
	}
	if d := int32(seq - s.next); d > 0 {
		if len(s.early) < maxEarly && length < maxEarlyBytes {
			s.early = append(s.early, segment{seq, length, append([]byte(nil), payload...)})
		}
		return
	}
	s.deliver(segment{seq, length, payload}, to)
	s.drain(to)
}

// acked tells that the receiver has everything before seq.
func (s *stream) acked(seq uint32, to sink) {
	// An ACK far ahead is garbage, not loss: no window is larger (RFC 7323 §2.3).
	for s.known && int32(seq-s.next) > 0 && int32(seq-s.next) < 1<<30 {
		upto := seq
		for i := range s.early {
			if d := int32(s.early[i].seq - s.next); d > 0 && int32(s.early[i].seq-upto) < 0 {
				upto = s.early[i].seq
			}
		}
		s.at = s.next
		to.gap(int(upto - s.next))
		s.next = upto
		s.drain(to)
	}
}

func (s *stream) drain(to sink) {
	for again := true; again && len(s.early) > 0; {
		again = false
		for i, e := range s.early {
			if int32(e.seq-s.next) <= 0 {
				s.early = append(s.early[:i], s.early[i+1:]...)
				s.deliver(e, to)
				again = true
				break
			}
		}
	}
}

func (s *stream) deliver(g segment, to sink) {
	old := int(int32(s.next - g.seq)) // bytes already delivered
	if old < 0 || old >= g.length {   // exactly half the number space away is neither before nor behind
		return
	}
	s.next = g.seq + uint32(g.length)
	have := g.payload[:min(len(g.payload), g.length)]
	if old < len(have) {
		s.at = g.seq + uint32(old)
		to.data(have[old:])
		old = len(have)
	}
	if old < g.length {
		s.at = g.seq + uint32(old)
		to.gap(g.length - old)
	}
}
