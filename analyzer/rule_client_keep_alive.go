package analyzer

import (
	"slices"
	"strings"
)

// clientKeepAliveDropped: while the client waits for a response in good order the proxy
// asks whether it is still there, and its probes, or the client's answers to them, are
// lost: see [keepAliveDropped], of which this is the other half.
//
//	client                f5                  server2
//	 |--POST--------------->|--POST------------->|
//	 |<----------------ACK--|                    |
//	 .                      .                    .   keep-alive-interval
//	 |<---ACK, SND.NXT − 1--|                    |
//	 |--ACK---->  ✗         |                    |
//	 |<----------------RST--|--RST: TCP keep-alive timeout {peer}
//
// The server is told why; the client gets a RST that says nothing, or none. That the
// server has said nothing by then is not its fault.
var clientKeepAliveDropped = rule{cause: AckDropped, match: func(v *flowView, m *matter) *conclusion {
	if v != m.client || !v.established() || !v.delivered(true) {
		return nil
	}
	server, at, said := m.saidToServer("TCP keep-alive")
	next, ok := v.begins(false)
	if s, sent := v.sent(false); sent && !s.empty() {
		next = s.to
	}
	if !ok || said == nil && m.f.outcome != Reset {
		return nil
	}
	k := clientProbeKind(next - 1)
	p, seen := v.furthest(k)
	if p >= 0 && v.atClient(p) {
		k = clientAnswerKind(v, next)
		if p, seen = v.furthest(k); p >= 0 && v.atServer(p) {
			p = -1 // it was heard
		}
	}
	switch {
	case p < 0 && said == nil:
		return nil
	case p < 0:
		return &conclusion{open: true, direction: ToServer, between: []string{server.point(at)}, evidence: []Evidence{said.inWords(server, at)},
			settle: "what became of the last probes between " + v.serverName() + " and " + v.clientName() + ", and of the answers: captures at both ends that have them all"}
	}
	c := v.lost(p, seen, k)
	c.open = true
	c.eliminated = v.rivals(k, p, c.hop != "")
	switch {
	case said != nil:
		c.evidence = append(c.evidence, said.inWords(server, at))
	case c.hop != "":
		c.hop, c.settle = "", "the reason why "+v.serverName()+" reset the client, from its trailers or its log: probes of the idle connection were lost, and it may have had another"
	}
	return c
}}

// saidToServer returns the RST to the server that the proxy explains with a text that lies
// with the client's connection, and the serverside connection and step that have it.
func (m *matter) saidToServer(text string) (*flowView, int, *sighting) {
	views := slices.Clone(m.pairing.views)
	for _, r := range m.pairing.rivals {
		views = append(views, r.view)
	}
	for _, v := range views {
		k := rstKind(v, true)
		for i := range v.steps {
			for _, g := range v.steps[i].of(k) {
				if n := g.note; n != nil && n.hasCause && n.causePeer && !n.ingress && strings.HasPrefix(n.cause, text) {
					return v, i, g
				}
			}
		}
	}
	return nil, -1, nil
}

// inWords cites a RST with what its maker says.
func (s *sighting) inWords(v *flowView, at int) Evidence {
	return v.frame(at, s, "RST to the server: "+s.note.cause+" (on the peer flow)")
}

// clientProbeKind is a keep-alive probe to the client, which has this number.
func clientProbeKind(seq uint32) kind {
	return kind{"keep-alive probe", false,
		func(g *sighting) bool {
			return !g.toServer && g.is(flagACK, flagSYN|flagFIN|flagRST) && g.length == 0 && g.seq == seq
		},
		func(s *step) []string {
			return []string{"tcp.flags.reset==0", "tcp.flags.fin==0", "tcp.len==0", s.seq(false, seq)}
		}}
}

// clientAnswerKind is the client's answer to it, which acknowledges all that was sent.
func clientAnswerKind(v *flowView, ack uint32) kind {
	sent, _ := v.sent(true)
	return kind{"answer to a keep-alive probe", true,
		func(g *sighting) bool {
			return g.toServer && g.is(flagACK, flagSYN|flagFIN|flagRST) && g.length == 0 && g.ack == ack && g.seq == sent.to
		},
		func(s *step) []string {
			return []string{"tcp.flags.reset==0", "tcp.flags.fin==0", "tcp.len==0", s.ack(true, ack), s.seq(true, sent.to)}
		}}
}
