package analyzer

// portClosed: the host itself answers the SYN with a RST (RFC 9293 §3.10.7.1).
//
//	f5                   server2
//	 |--SYN----------------->|
//	 |<----------------RST---|
//
// It does so at once. A proxy that does so and tells why in its trailer has no listener there.
var portClosed = rule{cause: PortClosed, match: func(v *flowView, m *matter) *conclusion {
	at, g := v.refusal()
	if at < 0 || !v.atServer(at) || g.icmp {
		return nil
	}
	syns := v.steps[at].of(synKind(v))
	if len(syns) == 0 {
		return nil
	}
	c := &conclusion{direction: ToServer, hop: v.hop(at), between: []string{v.point(at)}, confidence: almost,
		evidence: []Evidence{v.frame(at, syns[0], "SYN"), v.frame(at, g, "RST in answer to the SYN")}}
	if g.note != nil && g.note.hasCause && !g.note.ingress { // proxySays would have known it
		c.hop, c.settle = "", "the documentation of the RST cause \""+g.note.cause+"\": it is none of those whose meaning is known"
	}
	if v.late(at, g) {
		c.hop, c.settle = "", "the log of "+v.server.Addr().String()+", or its trailers: its RST comes long after the SYN, as that of somebody who has waited for another in vain"
	}
	c.eliminated = v.hypotheses(at, true)
	return c
}}

// promptly is longer than any host thinks about a SYN to a port that is closed.
const promptly = int64(500e6)

// late tells whether the RST of step p comes long after the connection's first SYN, as any
// point saw it: a host would have refused that one, and not one of those that follow it. A
// proxy's patience may end right behind a SYN that was sent again.
//
//	client                f5
//	 |--SYN----------------->|
//	 |--SYN 1s-------------->|
//	 |<----------------RST---|  1.05s
func (v *flowView) late(p int, rst *sighting) bool {
	k := synKind(v)
	for q := range v.steps {
		for _, s := range v.steps[q].of(k) {
			// Who cannot compare the clocks has the point's own SYNs.
			if off := v.a.cal.offset(v.steps[q].at, v.steps[p].at, s.time); off.bounded() && rst.time-(s.time+off.hi) > promptly {
				return true
			}
		}
	}
	return false
}
