package analyzer

import (
	"fmt"
	"slices"
)

// asymmetricPath: a hop drops the SYN-ACK, and its SYN came to the server by another way
// than through the hop, which so has no session for the answer.
//
//	f5        feth11    feth10     server2
//	 |--SYN TTL 64------------------->|   past the firewall
//	 |          |    ✗     |<-SYN-ACK-|
//
// That the hop's captures have no SYN does not prove it, for captures miss packets and whole
// directions. What does is the TTL: of each SYN that the hop forwards it takes one off, as
// good connections show, and this SYN has lost none from end to end. Nor may any good
// connection's: a hop that lets their answers through keeps no sessions. Without that proof (a
// hop that only bridges, ends that were not captured, a way round by routers) the verdict is
// that of [synAckDropped], which holds whatever way the SYN came.
var asymmetricPath = rule{cause: AsymmetricPath, match: func(v *flowView, m *matter) *conclusion {
	c := synAckDropped.match(v, m)
	if c == nil || c.hop == "" {
		return nil
	}
	p, answers := v.furthest(synAckKind(v))
	q := next(p, false)
	if v.hop(p) != v.hop(q) {
		return nil // a cable keeps no sessions
	}
	k := synKind(v)
	near, sent := v.origin(k)
	far, came := v.furthest(k)
	if near >= q || far <= p || !v.routes(q, p) || v.othersPast(near, p) || !v.wentPast(q, p, sent, came) {
		return nil
	}
	before, behind := v.absence(near, q, sent, k), v.absence(near, p, sent, k)
	if before.doubt != "" || behind.doubt != "" {
		return nil
	}
	// The SYN-ACK's absence first: it is what between is about.
	c.evidence = slices.Concat(c.evidence[1:], before.evidence, behind.evidence,
		[]Evidence{v.frame(near, sent[0], fmt.Sprintf("SYN, TTL %d", sent[0].ttl)), v.frame(far, came[0], fmt.Sprintf("SYN, TTL %d: %s has not forwarded it", came[0].ttl, c.hop))})
	c.eliminated = []Hypothesis{
		{v.clientName() + " never sent the SYN", fmt.Sprintf("%s saw %s", v.point(near), count(len(sent))), v.tries(near, sent, k.name)},
		{"the SYN was lost on its way", v.point(far) + " saw it", v.tries(far, came, k.name)},
		{v.serverName() + " received the SYN and did not answer", v.point(p) + " saw its answer", []Evidence{v.frame(p, answers[0], "SYN-ACK")}},
		{"the captures at " + c.hop + " missed the SYN", fmt.Sprintf("%s takes one off the TTL of what it forwards, and this came to %s as it was sent, with %d", c.hop, v.point(far), came[0].ttl),
			[]Evidence{v.frame(far, came[0], "SYN")}},
	}
	return c
}}

// routes tells whether the hop whose faces are steps q and p takes some off the TTL of each
// SYN, as good connections show.
func (v *flowView) routes(q, p int) bool {
	hops := v.a.cal.hopsBetween(v.steps[q].at, v.steps[p].at, true)
	return hops.known && hops.least > 0
}

// othersPast tells whether the SYN of a good connection came past the hop as well, to this
// server or another: from step near, to a point behind step p, with all of its TTL.
func (v *flowView) othersPast(near, p int) bool {
	for at := v.steps[p].at + 1; at < len(v.a.surveys); at++ {
		if hops := v.a.cal.hopsBetween(v.steps[near].at, at, true); hops.known && hops.least < 1 {
			return true
		}
	}
	return false
}

// wentPast tells whether no SYN was forwarded by the hop whose faces are steps q and p: none
// is there, and those that came are as they were sent.
func (v *flowView) wentPast(q, p int, sent, came []*sighting) bool {
	k := synKind(v)
	return len(v.steps[q].of(k)) == 0 && len(v.steps[p].of(k)) == 0 && !slices.ContainsFunc(sent, func(g *sighting) bool {
		return slices.ContainsFunc(came, func(h *sighting) bool { return h.ttl != g.ttl })
	})
}
