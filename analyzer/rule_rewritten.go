package analyzer

import (
	"fmt"
	"hash/fnv"
	"slices"
)

// rewritten: a packet leaves one point and comes to the next with another TTL, another
// sequence number or another time stamp, and so does not get to its receiver, or is none
// that it waits for.
//
//	f5           feth11     feth10     server2
//	 |-SYN TTL 64->|TTL 1     |          |        the firewall has to drop it
//	 |-SYN 100---->|-SYN 1100>|--------->|        another connection, to the server
//	 |<------------|<---------|-SYN-ACK--|        of 1101, and a RST for it
//
// Not who drops it is to blame, nor who answers it wrongly, but where it became another. A
// router takes one off the TTL, and which number of them is usual between two points good
// connections tell. Boxes that renumber all connections are found before: see translation.
var rewritten = rule{cause: Rewritten, match: func(v *flowView, m *matter) *conclusion {
	for _, k := range v.unacknowledged() {
		if c := v.expired(k); c != nil {
			return c
		}
		if c := v.backdated(k); c != nil {
			return c
		}
	}
	for _, k := range v.renumberable() {
		if c := v.becameAnother(k); c != nil {
			return c
		}
	}
	return nil
}}

// lastTTL is the one with which no router passes a packet on (RFC 791 §3.2, RFC 8200 §3).
const lastTTL = 1

// expired looks for the place where the TTL of a packet was set so low that the next
// router had to drop it.
func (v *flowView) expired(k kind) *conclusion {
	q, all := v.furthest(k)
	beyond := next(q, k.toServer)
	if q < 0 || beyond < 0 || beyond >= len(v.steps) || slices.ContainsFunc(all, func(g *sighting) bool { return g.ttl > lastTTL }) {
		return nil // it was forwarded, or may have been
	}
	if hops := v.a.cal.hopsBetween(v.steps[q].at, v.steps[beyond].at, k.toServer); hops.known && hops.most < 1 {
		return nil // there is no router to drop it
	}
	low := all[0]
	for p := next(q, !k.toServer); p >= 0 && p < len(v.steps); p = next(p, !k.toServer) {
		seen := v.steps[p].of(k)
		if len(seen) == 0 {
			continue
		}
		if seen[0].ttl <= lastTTL {
			q, low = p, seen[0]
			continue
		}
		c := v.between(p, q, k.toServer,
			v.frame(p, seen[0], fmt.Sprintf("%s, TTL %d", k.name, seen[0].ttl)), v.frame(q, low, fmt.Sprintf("%s, TTL %d: no router passes it on", k.name, low.ttl)))
		switch hops := v.a.cal.hopsBetween(v.steps[p].at, v.steps[q].at, k.toServer); {
		case c.hop == "":
		case !hops.known:
			c.hop, c.settle = "", fmt.Sprintf("captures at %s and %s that share some good connections, which tell how many routers are between them", v.point(p), v.point(q))
		case int(seen[0].ttl)-int(low.ttl) <= hops.most:
			return nil // it was sent so
		}
		c.eliminated = v.rewriteRivals(c, k, q)
		return c
	}
	return &conclusion{between: []string{v.point(q)}, evidence: []Evidence{v.frame(q, low, fmt.Sprintf("%s, TTL %d", k.name, low.ttl))},
		settle: "a capture nearer to " + v.sender(k.toServer) + " than " + v.point(q) + ", to which the " + k.name + " comes with a TTL that no router passes on"}
}

// renumberable are the packets whose numbers must be their sender's: those of a handshake, and
// the first bytes that were not acknowledged.
func (v *flowView) renumberable() []kind {
	kinds := []kind{synKind(v), synAckKind(v)}
	if v.established() {
		kinds = append(kinds, v.unacknowledged()...)
	}
	return kinds
}

// becameAnother looks for two neighbouring points of which the second has, in place of a
// packet, one of other numbers that the first has not.
func (v *flowView) becameAnother(k kind) *conclusion {
	p, sent := v.origin(k)
	for q := next(p, k.toServer); p >= 0 && q >= 0 && q < len(v.steps); q = next(q, k.toServer) {
		if len(v.steps[q].all) == 0 {
			continue
		}
		if seen := v.steps[q].of(k); len(seen) > 0 && !v.differ(sent, seen) {
			p, sent = q, seen
			continue
		}
		if v.steps[p].renumbered || v.steps[q].renumbered {
			return nil
		}
		for _, g := range sent {
			if h := v.counterpart(p, q, g); h != nil {
				c := v.between(p, q, k.toServer, v.frame(p, g, k.name), v.frame(q, h, fmt.Sprintf("the same, with sequence number %d in place of %d", h.seq, g.seq)))
				c.eliminated = v.rewriteRivals(c, k, q)
				return c
			}
		}
		return nil
	}
	return nil
}

// differ tells whether none of the packets at one point has a number of those at another.
func (v *flowView) differ(sent, seen []*sighting) bool {
	return !slices.ContainsFunc(seen, func(h *sighting) bool {
		return slices.ContainsFunc(sent, func(g *sighting) bool { return g.seq == h.seq || h.covers(g.seq) })
	})
}

// counterpart finds at step q what became of packet g of step p: one of the same tuple, at
// the same time, alike in all but its number, which p has of no packet; nil if there is none.
func (v *flowView) counterpart(p, q int, g *sighting) *sighting {
	off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
	if !off.bounded() || g.mark == 0 {
		return nil
	}
	const set = flagSYN | flagFIN | flagRST | flagACK
	alike := func(h *sighting) bool {
		return !h.icmp && h.toServer == g.toServer && h.length == g.length && h.mark == g.mark && h.flags&set == g.flags&set
	}
	for i := range v.steps[q].all {
		h := &v.steps[q].all[i]
		if !alike(h) || h.seq == g.seq || h.time < g.time+off.lo || h.time > g.time+off.hi+transit {
			continue
		}
		if !slices.ContainsFunc(v.steps[p].all, func(x sighting) bool { return alike(&x) && x.seq == h.seq }) {
			return h
		}
	}
	return nil
}

// between names what lies between two points, given what shows that a packet was changed
// there.
func (v *flowView) between(p, q int, toServer bool, evidence ...Evidence) *conclusion {
	c := &conclusion{between: []string{v.point(p), v.point(q)}, direction: direction(toServer), evidence: evidence}
	switch hop, missing := v.segment(min(p, q), max(p, q)); {
	case next(p, toServer) != q:
		c.settle = fmt.Sprintf("a capture at %s that loses less: the packet was changed between %s and %s", v.point(next(p, toServer)), v.point(p), v.point(q))
	case missing != "":
		c.settle = missing
	default:
		c.hop, c.confidence = hop, almost
	}
	return c
}

// rewriteRivals are the other explanations of a packet's end, eliminated if a hop is named:
// who had it before passed it on as it was, and who has it after cannot be to blame.
func (v *flowView) rewriteRivals(c *conclusion, k kind, q int) []Hypothesis {
	if c.hop == "" {
		return nil
	}
	first, tries := v.origin(k)
	out := []Hypothesis{{fmt.Sprintf("%s never sent the %s", v.sender(k.toServer), k.name), fmt.Sprintf("%s saw %s", v.point(first), count(len(tries))), v.tries(first, tries, k.name)}}
	changed := false // at this step
	for p := first; ; p = next(p, k.toServer) {
		to := next(p, k.toServer)
		if to < 0 || to >= len(v.steps) {
			break
		}
		switch changed = changed || p == q; {
		case changed:
			out = append(out, Hypothesis{v.segmentHypothesis(p, to, k), "it came to " + v.point(q) + " changed already", c.evidence[1:]})
		case to != q:
			out = append(out, Hypothesis{v.segmentHypothesis(p, to, k), "it came to " + c.between[0] + " as it was sent", c.evidence[:1]})
		}
	}
	return append(out, Hypothesis{v.receiver(k.toServer) + " received the " + k.name + " and did not answer", "what its sender sent did not come to it as it was", c.evidence[1:]})
}

// mark is what tells a segment from others but its number, which boxes in between may
// change: its payload, or else the time stamp of a SYN. 0: none of it was captured.
func (p *packet) mark() uint64 {
	h := fnv.New64a()
	switch {
	case p.icmp || p.cut:
		return 0
	case p.length > 0:
		h.Write(p.payload)
	case p.flags&flagSYN != 0 && p.hasTS:
		h.Write([]byte{byte(p.tsval >> 24), byte(p.tsval >> 16), byte(p.tsval >> 8), byte(p.tsval)})
	default:
		return 0
	}
	return max(1, h.Sum64())
}
