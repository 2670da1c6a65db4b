package analyzer

import (
	"fmt"
	"time"
)

// delayed: a packet comes, but on a stretch of its way it takes so long that somebody has
// given up before.
//
//	client     f5        feth11    server2
//	 |--POST--->|--SYN--->|          |        0 s
//	 |          |--SYN--->|          |        1, 2, 3 s
//	 |<---RST---|         |          |        4 s
//	 |          |         |--SYN---->|        6 s: the first of them
//	 |          |<--------|<-SYN-ACK-|        and nobody waits for it
//
// Two things must be certain, whatever the clocks' offset inside its interval: that the
// packet had passed the first point with at least half of the wait still to come, and that
// it passed the second after the end. Which copy of several it is their time stamps tell
// (RFC 7323 §3), or their checksums. Who gives up sooner than good requests take is impatient,
// and judged by [clientAbort].
var delayed = rule{cause: Delayed, match: func(v *flowView, m *matter) *conclusion {
	at, end := m.gaveUp()
	if end == nil {
		return nil
	}
	asked := m.f.began
	if asked == 0 {
		asked = m.f.start
	}
	half := max(leastHeldUp, (end.time-asked)/2)
	for _, k := range v.awaited() {
		if c := v.heldUp(k, m.client.steps[at].at, end.time, half); c != nil {
			return c
		}
	}
	return nil
}}

// leastHeldUp is less than anybody's patience, and far more than a capture's times are
// out of order by.
const leastHeldUp = int64(250 * time.Millisecond)

// gaveUp is the packet by which one side of the client's connection ended the request
// unanswered; nil if nobody did, or the client sooner than good requests take.
func (m *matter) gaveUp() (int, *sighting) {
	v := m.client
	if m.f.hidden() {
		return -1, nil
	}
	at, end := v.firstEnd()
	switch {
	case m.f.inside:
		at, end = v.numbered(m.start, m.f.endFrame)
	case m.f.outcome == Error: // a proxy's own answer
		at, end = v.firstError()
	}
	if end == nil || end.toServer && (v.endsSecond(end) || end.time-m.f.began <= m.slowestGood()) {
		return -1, nil
	}
	return at, end
}

// firstError is the client's 5xx, as the point nearest to the client saw it.
func (v *flowView) firstError() (int, *sighting) {
	at, g := v.furthest(kind{"5xx", false, func(g *sighting) bool { return !g.toServer && g.status >= 500 }, nil})
	if at < 0 {
		return -1, nil
	}
	return at, g[0]
}

// awaited are the packets that somebody waits for: of a handshake, or else the first and
// the last byte of the request and of the response.
func (v *flowView) awaited() (kinds []kind) {
	if !v.established() {
		return []kind{synKind(v), synAckKind(v)}
	}
	for _, toServer := range [2]bool{true, false} {
		if s, ok := v.sent(toServer); ok && !s.empty() {
			kinds = append(kinds, byteKind(v, toServer, s.from), byteKind(v, toServer, s.to-1))
		}
	}
	return kinds
}

// heldUp looks for the stretch on which a packet was when somebody, at a point and a time,
// gave up, and for half of the wait before.
func (v *flowView) heldUp(k kind, point int, end, half int64) *conclusion {
	p, _ := v.origin(k)
	if p < 0 {
		return nil
	}
	cal := v.a.cal
	for q := next(p, k.toServer); q >= 0 && q < len(v.steps); q = next(q, k.toServer) {
		seen := v.steps[q].of(k)
		if len(seen) == 0 {
			continue
		}
		g := v.copyOf(seen, p, q, k)
		if g != nil && cal.before(v.steps[p].at, g.time+half, point, end) == proven && cal.before(point, end, v.steps[q].at, seen[0].time) == proven {
			c := v.heldUpBetween(p, q, g, seen[0], k)
			if !cal.surely(v.steps[p].at, g.time, point, end) || !cal.surely(point, end, v.steps[q].at, seen[0].time) {
				c.hop, c.eliminated = "", nil
				c.settle = fmt.Sprintf("captures at %s and %s whose clocks agree better or are not set while they run: the %s seems to have been held up between them", v.point(p), v.point(q), k.name)
			}
			return c
		}
		p = q
	}
	return nil
}

// surely tells whether time t of p came before time u of q also for who knows no more of
// the clocks than the report says.
func (c *calibration) surely(p int, t int64, q int, u int64) bool {
	off, ok := c.reportedOffset(p, q)
	return p == q && t < u || ok && t+off.hi < u
}

// copyOf finds at step p the packet that step q saw first of its kind; nil if it cannot be
// told which it was.
func (v *flowView) copyOf(seen []*sighting, p, q int, k kind) (same *sighting) {
	came := seen[0]
	all := v.steps[p].of(k)
	var told []*sighting
	stamped := false
	for _, g := range all {
		switch {
		case g.seq != came.seq || g.length != came.length: // another segment
		case g.stamped && came.stamped: // also where sums are left to a card
			if stamped = true; g.tsval == came.tsval {
				told = append(told, g)
			}
		case g.sum == came.sum:
			told = append(told, g)
		}
	}
	switch {
	case len(told) > 1 && len(told) == len(all) && len(all) == len(seen):
		return all[0] // all alike, and all came
	case len(told) == 0 && stamped:
		return nil // it was sent once more, and step p missed that
	case len(told) == 0: // other segments, or sums that are left to a card
		told = all
	}
	for _, g := range told { // the latest that it can be
		if v.a.cal.before(v.steps[q].at, came.time, v.steps[p].at, g.time) != proven {
			same = g
		}
	}
	return same
}

// heldUpBetween names what lies between two points as the place where a packet was held up.
func (v *flowView) heldUpBetween(p, q int, g, came *sighting, k kind) *conclusion {
	off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
	took := time.Duration(came.time - g.time - off.hi).Round(time.Millisecond)
	c := &conclusion{between: []string{v.point(p), v.point(q)}, direction: direction(k.toServer), evidence: []Evidence{
		v.frame(p, g, k.name), v.frame(q, came, fmt.Sprintf("the same, at least %v later: the first of it here", took))}}
	hop, missing := v.segment(min(p, q), max(p, q))
	switch {
	case next(p, k.toServer) != q:
		c.settle = fmt.Sprintf("a capture at %s that loses less: the packet was held up between %s and %s", v.point(next(p, k.toServer)), v.point(p), v.point(q))
	case missing != "":
		c.settle = missing
	default:
		c.hop, c.confidence = hop, almost
		c.eliminated = v.rivals(k, len(v.steps), false)
	}
	return c
}
