package analyzer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// neighbourUnresolved: a packet goes into a hop and does not come out, and meanwhile the hop
// asks for the hardware address of the host that the packet is for, and nobody tells. It
// keeps the packet until it knows (RFC 1122 §2.3.2.2, RFC 4861 §7.2.2), and throws it away
// when it gives up.
//
//	f5        feth11    feth10     server2
//	 |--SYN---->|  ···     |          |
//	 |          |          |--who-has>|           server2 does not answer,
//	 |--SYN 1s->|  ···     |--who-has>|  ✗        or the question does not come there
//
// Not the hop that dropped the packet is at fault, but who was asked: so this comes before
// the rules that go by where a packet was seen last.
var neighbourUnresolved = rule{cause: NeighbourUnresolved, match: func(v *flowView, m *matter) *conclusion {
	k := synKind(v)
	if v.established() {
		seq, open := v.undelivered(true)
		if !open {
			return nil
		}
		k = byteKind(v, true, seq)
	}
	p, seen := v.furthest(k)
	q := p + 1
	if p < 0 || q >= len(v.steps) || v.hop(p) != v.hop(q) {
		return nil
	}
	host := v.steps[q].server.Addr()
	questions, resolved := v.questions(p, q, seen, v.steps[q].s.asking(host))
	switch missed := v.steps[q].s.neighbours.missed; {
	case resolved:
		return nil
	case len(questions) == 0 && missed > 0 && v.cameAfter(p, seen, q, missed):
		return &conclusion{direction: ToServer, between: []string{v.point(p), v.point(q)}, evidence: v.tries(p, seen, k.name),
			settle: fmt.Sprintf("a capture at %s that begins later: it has more questions for hardware addresses than are remembered, and an unanswered one for %s may be among them", v.point(q), host)}
	case len(questions) == 0:
		return v.askedByWhom(p, q, seen, k)
	}
	c := v.lost(p, seen, k)
	c.evidence = append(c.evidence, v.neighbour(q, questions[0], askedKind(host)))
	if c.hop == "" {
		return c
	}
	hop := c.hop
	c.hop, c.certainty = "", 0
	v.unheard(c, q, questions, host)
	if c.eliminated = v.hypotheses(p, c.hop != ""); c.hop != "" {
		c.eliminated = slices.DeleteFunc(c.eliminated, func(h Hypothesis) bool { return h.Hypothesis == v.segmentHypothesis(p, q, k) })
		c.eliminated = append(c.eliminated, Hypothesis{v.segmentHypothesis(p, q, k) + " of its own accord",
			fmt.Sprintf("%s did not know where to send it: it asked for %s, and was not told", hop, host),
			[]Evidence{v.neighbour(q, questions[0], askedKind(host))}})
	}
	return c
}}

// askedByWhom is what is left to say if somebody asked for the server in vain of whom the
// hop's side of the link has seen nothing else: the hop, by another hardware address than it
// forwards by, or a monitor, whose answers go elsewhere.
func (v *flowView) askedByWhom(p, q int, seen []*sighting, k kind) *conclusion {
	host := v.steps[q].server.Addr()
	questions, resolved := v.questions(p, q, seen, v.steps[q].s.neighbours.about(host))
	if len(questions) == 0 || resolved {
		return nil
	}
	return &conclusion{direction: ToServer, between: []string{v.point(p), v.point(q)},
		evidence: append(v.tries(p, seen, k.name), v.neighbour(q, questions[0], askedKind(host))),
		settle: fmt.Sprintf("whose hardware address %s is: who has it asked for %s in vain meanwhile, and never sent to a server at %s; it may be %s, which was not told then, or a monitor",
			net.HardwareAddr(questions[0].from[:]), host, v.point(q), v.hop(p))}
}

// asksAgain is how soon a hop repeats a question, generously: RFC 1122 §2.3.2.1 recommends at
// most one a second, RFC 4861 §10 has RETRANS_TIMER at one.
const asksAgain = int64(2500 * time.Millisecond)

// questions are those at step q that a hop asked in vain when packets that step p saw were
// waiting in it, with those it asked before and after in a row; resolved tells that at one
// of these times it knew the answer.
func (v *flowView) questions(p, q int, seen []*sighting, events []*neighbourEvent) (out []*neighbourEvent, resolved bool) {
	s := v.steps[q].s
	// follows tells whether event i comes soon behind the one before it.
	follows := func(i int) bool {
		return i > 0 && i < len(events) &&
			s.steady(events[i].frame, events[i].time)-s.steady(events[i-1].frame, events[i-1].time) < asksAgain
	}
	vain := make([]bool, len(events))
	for _, g := range seen {
		off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
		if !off.bounded() {
			return nil, false
		}
		from, to := g.time+off.lo-asksAgain, g.time+off.hi+transit
		last := -1
		for i := range events {
			if t := s.steady(events[i].frame, events[i].time); t >= from && t <= to {
				last = i
			}
		}
		if last < 0 || vain[last] {
			continue
		}
		if events[last].what != asked {
			return nil, true
		}
		vain[last] = true
		for i := last; follows(i) && events[i-1].what == asked; i-- {
			vain[i-1] = true
		}
		for i := last + 1; follows(i) && events[i].what == asked; i++ {
			vain[i] = true
		}
	}
	for i := range events {
		if vain[i] && !follows(i+1) || vain[i] && events[i+1].what == asked { // else it was not in vain
			out = append(out, events[i])
		}
	}
	return out, false
}

// cameAfter tells whether one of some packets at step p may have come after a time at step q.
func (v *flowView) cameAfter(p int, seen []*sighting, q int, at int64) bool {
	return slices.ContainsFunc(seen, func(g *sighting) bool {
		off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
		return !off.bounded() || g.time+off.hi+transit > at
	})
}

// unheard tells why nobody answered the questions that left a hop at step q.
func (v *flowView) unheard(c *conclusion, q int, questions []*neighbourEvent, host netip.Addr) {
	k, s := askedKind(host), v.steps[q].s
	gs := s.asSightings(questions)
	r := q + 1
	c.direction, c.between = ToServer, []string{v.point(q)}
	if r >= len(v.steps) {
		c.settle = fmt.Sprintf("a capture on %s: whether the question for its hardware address, which leaves %s, comes there and is answered", host, v.point(q))
		return
	}
	there := v.comeThere(q, r, gs, host)
	if len(there) == 0 {
		c.between = append(c.between, v.point(r))
		absent := v.absence(q, r, gs, k)
		hop, missing := v.segment(q, r)
		c.decide(hop, missing, absent)
		return
	}
	c.evidence = append(c.evidence, v.neighbour(r, there[0], k))
	if !v.atServer(r) {
		c.settle = fmt.Sprintf("a capture on %s: the question for its hardware address gets beyond %s", host, v.point(r))
		return
	}
	told := answerKind(host)
	if replies := v.told(r, there, host); len(replies) > 0 {
		c.direction, c.between = ToClient, []string{v.point(r), v.point(q)}
		c.evidence = append(c.evidence, v.neighbour(r, replies[0], told))
		absent := v.absence(r, q, v.steps[r].s.asSightings(replies), told)
		hop, missing := v.segment(q, r)
		c.decide(hop, missing, absent)
		return
	}
	c.between = []string{v.point(r)}
	c.decide(v.hop(r), "", v.absence(r, r, v.steps[r].s.asSightings(there), told))
}

// decide names a hop, if nothing is missing for that and an absence proves it.
func (c *conclusion) decide(hop, missing string, absent absent) {
	switch {
	case missing != "":
		c.settle = missing
	case absent.doubt != "":
		c.settle = absent.settle + ": " + absent.doubt
	default:
		c.hop, c.confidence = hop, min(c.confidence, 1-absent.missed)
		c.evidence = append(c.evidence, absent.evidence...)
	}
}

// comeThere are the questions that left step q and came to step r.
func (v *flowView) comeThere(q, r int, gs []*sighting, host netip.Addr) (out []*neighbourEvent) {
	s := v.steps[r].s
	for _, e := range s.asking(host) {
		at := s.steady(e.frame, e.time)
		if e.what == asked && slices.ContainsFunc(gs, func(g *sighting) bool {
			off := v.a.cal.offset(v.steps[q].at, v.steps[r].at, g.time)
			return off.bounded() && at >= g.time+off.lo-disorder && at <= g.time+off.hi+transit
		}) {
			out = append(out, e)
		}
	}
	return out
}

// told are the answers at step r to some questions there: each comes before the next
// question.
func (v *flowView) told(r int, questions []*neighbourEvent, host netip.Addr) (out []*neighbourEvent) {
	events := v.steps[r].s.asking(host)
	for i := 1; i < len(events); i++ {
		if events[i].what == answered && slices.Contains(questions, events[i-1]) {
			out = append(out, events[i])
		}
	}
	return out
}
