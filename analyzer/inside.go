package analyzer

import (
	"maps"
	"slices"

	"github.com/hopblame/hopblame/internal/tlstap"
)

// learnSecrets takes the TLS secrets that a frame's trailer tells.
func (s *survey) learnSecrets(c *conn, frame []byte, wireLength int) {
	var complete bool
	if s.secrets, complete = addSecrets(s.secrets, frame, wireLength); complete {
		c.flags |= hasSecrets
	}
}

// feedInside takes what a packet brought about inside TLS that was opened.
func (s *survey) feedInside(c *conn, e *exchange, p *packet) {
	t := e.tls
	if t.opened == http1 && e.active && e.key != 0 {
		if t.anchored != e.ordinal {
			t.anchored = e.ordinal
			t.anchor = s.anchorInside(c, e.key, tlstap.Mark{Seq: e.seq, Time: e.began, Epoch: e.epoch})
		} else if e.answered && t.anchor != nil && t.anchor.replied == 0 {
			t.anchor.replied, t.anchor.epochs[2] = p.time, s.epoch()
		}
	}
	h := t.h2
	if h == nil || len(h.started)+len(h.ended) == 0 {
		return
	}
	for _, st := range h.started {
		e.ordinal++
		e.counts.Seen++
		if key := st.key(); key != 0 {
			st.anchor = s.anchorInside(c, key, st.began)
			if _, refused := s.log.refused[key]; refused {
				s.log.refused[key] = true
			}
		}
	}
	for _, end := range h.ended {
		if end.anchor != nil {
			end.anchor.replied, end.anchor.epochs[2] = p.time, s.epoch()
		}
		if end.outcome != OK {
			s.failStream(c, e, &end, p.time, p.frame)
			continue
		}
		e.counts.OK++
		e.counts.slowest = max(e.counts.slowest, p.time-end.began.Time)
		s.log.good.add(end.began.Time)
		s.log.sizes.add(end.sent)
	}
	h.started, h.ended = h.started[:0], h.ended[:0]
}

// anchorInside samples a request that was read inside TLS; nil if it is none of the
// sample.
func (s *survey) anchorInside(c *conn, key uint64, began tlstap.Mark) *anchor {
	if key > s.anchors.limit {
		return nil
	}
	x := &anchor{key: key, server: c.server.endpoint, port: s.tuple(c).client.Port(), began: began.Time, epochs: [3]uint16{c.synEpoch, began.Epoch, 0}}
	if c.flags&sawSYN != 0 {
		x.opened = c.started
	}
	if !s.anchors.add(x) {
		return nil
	}
	return x
}

// decideStreams settles what is open on a connection of HTTP/2 that ends: how is what
// became of each of its requests.
func (s *survey) decideStreams(c *conn, e *exchange, how closing, at int64, frame uint64) {
	h := e.tls.h2
	for _, id := range slices.Sorted(maps.Keys(h.streams)) {
		st := h.streams[id]
		outcome, known := st.closed(c, e.tls, how)
		if !known {
			continue
		}
		s.failStream(c, e, &h2end{h2stream: st, id: id, outcome: outcome}, at, frame)
	}
	h.streams = nil
}

// closed decides a request by how its connection ends; what is known is a failure.
func (st *h2stream) closed(c *conn, t *secure, how closing) (Outcome, bool) {
	switch {
	case how == cutOff:
		return "", false
	case st.status >= 500:
		return Error, true
	case how == serverReset:
		return Reset, true
	case c.serverFirst(t):
		return Truncated, c.flags&endBeyond == 0
	}
	return Timeout, true
}

// failStream records a request of HTTP/2 that failed. Without a word on how, it failed
// with its connection.
func (s *survey) failStream(c *conn, e *exchange, end *h2end, at int64, frame uint64) {
	e.counts.Failed++
	st := end.h2stream
	f := failure{tuple: s.tuple(c), isn: c.isn, knowsISN: c.flags&knowsISN != 0, server: c.server, frame: c.frame,
		start: c.started, began: st.began.Time, ended: at, endFrame: frame, seq: st.began.Seq, size: st.sent, key: st.key(),
		epochs: [3]uint16{c.synEpoch, st.began.Epoch, s.epoch()}, reused: st.ordinal > 1, outcome: end.outcome,
		method: st.method, target: st.target, id: st.h2fields.id,
		stream: end.id, inside: end.how != "", how: end.how, endSeq: end.at.Seq, endToServer: end.side == tlstap.Client, refused: st.refused}
	if f.reused {
		f.start, f.epochs[0] = f.began, f.epochs[1]
	}
	if f.refused && f.key != 0 {
		if s.log.refused == nil {
			s.log.refused = map[uint64]bool{}
		}
		if _, known := s.log.refused[f.key]; !known {
			s.log.refused[f.key] = false
		}
	}
	s.log.failures = append(s.log.failures, f)
}
