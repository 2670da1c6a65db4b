package analyzer

import (
	"fmt"
)

// refusal is the RST or ICMP error that answered a SYN, at the step closest
// to its sender.
func (v *flowView) refusal() (at int, g *sighting) {
	if v.established() {
		return -1, nil
	}
	at, seen := v.origin(rstKind(v, false))
	if at < 0 {
		return -1, nil
	}
	return at, seen[0]
}

// rejected: a RST or ICMP error answers the SYN, and it is not the server
// that sends it: it is first seen on its way back at a hop the SYN never left.
//
//	f5        feth11    feth10     server2
//	 |--SYN---->|          |          |
//	 |<---RST---|          |          |
//
// Or it is an ICMP error of the server's host, whose TCP would have answered with a RST:
// that is its packet filter.
//
//	f5        feth10     server2
//	 |--SYN----->|--------->|
//	 |<--ICMP----|<---------|
//
// An ICMP error has the address of who sent it, which anybody can write: what proves who
// sent it is where it was seen, and where not. It may say that the hop cannot forward the
// SYN, and not that it is not to: then it is [NoRoute].
var rejected = rule{cause: Rejected, match: func(v *flowView, m *matter) *conclusion {
	at, g := v.refusal()
	if at < 0 {
		return nil
	}
	what := "RST"
	if g.icmp {
		what = fmt.Sprintf("ICMP type %d code %d from %s", g.icmpWhat>>8, g.icmpWhat&255, g.icmpFrom)
	}
	k := synKind(v)
	p, seen := v.furthest(k)
	c := &conclusion{direction: ToServer, between: []string{v.point(at)}, evidence: []Evidence{v.frame(at, g, what+" in answer to the SYN")}}
	switch {
	case p == at && v.atServer(at) && g.icmp:
		return v.filtered(c, at, g)
	case p != at || at == len(v.steps)-1:
		if c.settle = v.beyond(at, k); p > at {
			c.settle = fmt.Sprintf("a look at the frames: the SYN got as far as %s, but the %s first shows at %s", v.point(p), what, v.point(at))
		}
		return c
	}
	lost := v.lost(p, seen, k)
	if g.icmp && unreachable(g) {
		lost.cause = NoRoute
	}
	lost.evidence = append(lost.evidence, c.evidence...)
	lost.eliminated = v.hypotheses(p, lost.hop != "")
	return lost
}}

// filtered concludes on an ICMP error that leaves the server's host for a SYN that reached
// it.
func (v *flowView) filtered(c *conclusion, at int, g *sighting) *conclusion {
	c.evidence = append([]Evidence{v.frame(at, v.steps[at].of(synKind(v))[0], "SYN")}, c.evidence...)
	switch own := v.steps[at].server.Addr(); {
	case g.icmpFrom != own:
		c.settle = fmt.Sprintf("the packet filter of %s, or a capture behind it: the ICMP error comes from %s, which is not its address", own, g.icmpFrom)
	case unreachable(g):
		c.settle = fmt.Sprintf("the routes and neighbours of %s: its ICMP error says that it could not forward the SYN, which was for itself", own)
	default:
		c.hop, c.confidence = v.hop(at), almost
	}
	c.eliminated = v.hypotheses(at, c.hop != "")
	return c
}

// unreachable tells whether an ICMP error says that there is no way to the destination, and
// not that it is forbidden: no route, or no neighbour that answers (RFC 1812 §5.2.7.1,
// RFC 4443 §3.1); or that a packet has gone in circles.
func unreachable(g *sighting) bool {
	typ, code := g.icmpWhat>>8, g.icmpWhat&255
	if g.icmpFrom.Is4() {
		return typ == 3 && (code <= 1 || code == 6 || code == 7 || code == 11 || code == 12) || typ == 11
	}
	return typ == 1 && (code == 0 || code == 2 || code == 3) || typ == 3
}
