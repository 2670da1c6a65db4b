package analyzer

import "fmt"

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
	if p != at || at == len(v.steps)-1 {
		if c.settle = v.beyond(at, k); p > at {
			c.settle = fmt.Sprintf("a look at the frames: the SYN got as far as %s, but the %s first shows at %s", v.point(p), what, v.point(at))
		}
		return c
	}
	lost := v.lost(p, seen, k)
	lost.evidence = append(lost.evidence, c.evidence...)
	lost.eliminated = v.hypotheses(p, lost.hop != "")
	return lost
}}
