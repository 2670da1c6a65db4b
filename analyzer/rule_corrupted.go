package analyzer

import "slices"

// corrupted: a packet leaves one point whole and comes to the next with a checksum that is
// wrong. Its receiver has it in its capture, and throws it away without a word
// (RFC 9293 §3.1, MUST-3; Linux counts it as TcpInCsumErrors).
//
//	f5        feth11    feth10     server2
//	 |---SYN--->|~~~SYN~~>|~~~SYN~~>|          the checksum is wrong from feth11 on
//	 |---SYN--->|~~~SYN~~>|~~~SYN~~>|          and the server does not answer
//
// Not who receives it is silent, but who passed it on: so this is asked before all rules
// that go by who saw a packet. It counts only if no copy came whole, and nobody has
// acknowledged it.
var corrupted = rule{cause: Corrupted, match: func(v *flowView, m *matter) *conclusion {
	for _, k := range v.unacknowledged() {
		if c := v.damagedOnTheWay(k); c != nil {
			return c
		}
	}
	return nil
}}

// unacknowledged are the packets that a connection needs and whose receiver has shown no
// sign of having them, in the order in which it needs them.
func (v *flowView) unacknowledged() (kinds []kind) {
	if !v.established() {
		if at, _ := v.origin(synAckKind(v)); at >= 0 {
			return []kind{synAckKind(v)}
		}
		return []kind{synKind(v)}
	}
	for _, toServer := range [2]bool{true, false} {
		if seq, open := v.undelivered(toServer); open {
			kinds = append(kinds, byteKind(v, toServer, seq))
		}
	}
	return kinds
}

// damagedOnTheWay follows a packet from its sender to the first point to which no copy
// came whole.
func (v *flowView) damagedOnTheWay(k kind) *conclusion {
	last, all := v.furthest(k)
	if last < 0 {
		return nil
	}
	for _, g := range all {
		if !g.damaged || !v.steps[last].s.sums[wayOf(k.toServer)].telling() {
			return nil // it got so far whole, for all that is known
		}
	}
	q := last
	for p := next(q, !k.toServer); p >= 0 && p < len(v.steps); p = next(p, !k.toServer) {
		seen := v.steps[p].of(k)
		if len(seen) == 0 {
			continue
		}
		for _, g := range seen {
			if !g.damaged {
				return v.damagedBetween(p, q, g, k)
			}
		}
		q = p
	}
	g := v.steps[q].of(k)[0]
	if k.toServer && v.atClient(q) || !k.toServer && v.atServer(q) {
		return nil // at its sender: a card that does the sum
	}
	return &conclusion{between: []string{v.point(q)}, evidence: []Evidence{v.frame(q, g, k.name+" with a wrong checksum")},
		settle: "a capture nearer to " + v.sender(k.toServer) + " than " + v.point(q) + ", to which the " + k.name + " comes with a wrong checksum already"}
}

// damagedBetween names what lies between two points as the place where a packet was changed.
func (v *flowView) damagedBetween(p, q int, whole *sighting, k kind) *conclusion {
	c := &conclusion{between: []string{v.point(p), v.point(q)}, evidence: []Evidence{v.frame(p, whole, k.name+", whole")}}
	for _, g := range v.steps[q].of(k) {
		if g.seq == whole.seq && g.length == whole.length {
			c.evidence = append(c.evidence, v.frame(q, g, k.name+" with a wrong checksum"))
			break
		}
	}
	hop, missing := v.segment(min(p, q), max(p, q))
	switch {
	case len(c.evidence) < 2:
		c.settle = "a look at the frames: " + v.point(q) + " has the " + k.name + " with wrong checksums, in other segments than " + v.point(p)
	case missing != "":
		c.settle = missing
	default:
		c.hop, c.direction, c.confidence = hop, direction(k.toServer), 1
		silent := Hypothesis{v.receiver(k.toServer) + " received the " + k.name + " and did not answer", "no copy came whole, and what has a wrong checksum no TCP takes",
			c.evidence[1:]}
		c.eliminated = slices.DeleteFunc(v.rivals(k, len(v.steps), false), func(h Hypothesis) bool { return h.Hypothesis == silent.Hypothesis })
		c.eliminated = append(c.eliminated, silent)
	}
	return c
}

// receiver names who packets in a direction are for.
func (v *flowView) receiver(toServer bool) string { return v.sender(!toServer) }
