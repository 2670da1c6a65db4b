package analyzer

import "strings"

// keepAliveDropped: on a connection that has gone quiet in good order the client side
// asks whether the other end is still there, and its probes, or the answers to them,
// are lost. A probe repeats a number that was acknowledged, SND.NXT − 1, and Linux
// sends no byte with it (RFC 9293 §3.8.4).
//
//	f5        feth11    feth10     server2
//	 |--POST--->|--------->|--------->|
//	 |<---------|<---------|<-----ACK-|
//	 .          .          .          .   keep-alive-interval
//	 |--ACK---->|    ✗     |          |   SND.NXT − 1
//	 |--ACK---->|    ✗     |          |
//	 |--RST---->|--------->|--------->|
//
// That the server says nothing is not its fault then: it was not asked, or not heard.
// Whether it was for the probes that the connection was given up, only the proxy knows.
var keepAliveDropped = rule{cause: AckDropped, match: func(v *flowView, m *matter) *conclusion {
	if v == m.client || m.f.outcome != Reset || !v.established() || !v.delivered(true) {
		return nil
	}
	s, _ := v.sent(true)
	k := probeKind(v, s.to-1)
	p, seen := v.furthest(k)
	told := m.client.says("TCP keep-alive")
	switch {
	case p < 0:
		return nil
	case len(v.sentAfterProbe(0, k)) == 0:
	case told: // but it heard the server
		return &conclusion{direction: ToServer, between: []string{v.point(p)}, evidence: v.tries(p, seen, k.name),
			settle: "what became of the last probes between " + v.clientName() + " and " + v.serverName() + ": earlier ones were answered"}
	default:
		return nil
	}
	if v.atServer(p) {
		for p = 0; p < len(v.steps) && len(v.sentAfterProbe(p, k)) == 0; p++ {
		}
		if p == len(v.steps) {
			return nil // it is the server that did not answer
		}
		seen, k = v.sentAfterProbe(p, k), probeAnswerKind(v, s.to)
	}
	c := v.lost(p, seen, k)
	if c.hop != "" && !told {
		c.hop, c.settle = "", "the reason why "+v.clientName()+" reset the client, from its trailers or its log: probes of the idle connection were lost, and it may have had another"
	}
	c.eliminated = v.rivals(k, p, c.hop != "")
	return c
}}

// probeKind is a keep-alive probe to the server, which has this number.
func probeKind(v *flowView, seq uint32) kind {
	return kind{"keep-alive probe", true,
		func(g *sighting) bool {
			return g.toServer && !g.icmp && g.is(flagACK, flagSYN|flagFIN|flagRST) && g.length == 0 && g.seq == seq
		},
		func(s *step) []string {
			return []string{"tcp.flags.reset==0", "tcp.flags.fin==0", "tcp.len==0", s.seq(true, seq)}
		}}
}

// probeAnswerKind is the answer to it, which acknowledges all that was sent.
func probeAnswerKind(v *flowView, ack uint32) kind {
	return kind{"answer to a keep-alive probe", false,
		func(g *sighting) bool {
			return !g.toServer && !g.icmp && g.is(flagACK, flagSYN|flagFIN|flagRST) && g.length == 0 && g.ack == ack
		},
		func(s *step) []string {
			return []string{"tcp.flags.reset==0", "tcp.flags.fin==0", "tcp.len==0", s.ack(false, ack)}
		}}
}

// sentAfterProbe returns what the server sent, as a step saw it, after the step saw
// the first probe.
func (v *flowView) sentAfterProbe(i int, probe kind) (out []*sighting) {
	seen := v.steps[i].of(probe)
	if len(seen) == 0 {
		return nil
	}
	for j := range v.steps[i].packets {
		if g := &v.steps[i].packets[j]; !g.toServer && g.frame > seen[0].frame {
			out = append(out, g)
		}
	}
	return out
}

// says tells whether the proxy explains its RST with a text that lies with the peer flow.
func (v *flowView) says(text string) bool {
	_, g := v.saidBy(rstKind(v, false))
	return g != nil && g.note.causePeer && strings.HasPrefix(g.note.cause, text)
}
