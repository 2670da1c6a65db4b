package analyzer

import "fmt"

// tlsFailure: one end ends the TLS handshake with a fatal alert in the clear
// (RFC 8446 §6), and the connection ends with it.
//
//	client                f5
//	 |--ClientHello-------->|
//	 |<-----Alert (40)------|   handshake failure
//	 |<-----FIN or RST------|
//
// An alert by the initiating side (an unknown CA, say) tells that the two do not
// agree, and not which of them is set up wrongly: that stays open.
var tlsFailure = rule{cause: TLSFailure, match: func(v *flowView, m *matter) *conclusion {
	if v == m.client && m.f.outcome == TLSError && m.f.endSeq != 0 {
		k := byteKind(v, m.f.endToServer, m.f.endSeq)
		if at, seen := v.origin(k); at >= 0 {
			return v.alerted(at, seen[0], "TLS alert under encryption")
		}
	}
	for i := range v.steps {
		for j := range v.steps[i].request {
			g := &v.steps[i].request[j]
			if g.alert == 0 {
				continue
			}
			what := fmt.Sprintf("fatal TLS alert %d", g.alert-1)
			k := byteKind(v, g.toServer, g.seq)
			at, seen := v.origin(k)
			if at < 0 {
				at, seen = i, []*sighting{g}
			}
			return v.alerted(at, seen[0], what)
		}
	}
	return nil
}}

// alerted concludes from an alert, as the point nearest to its sender saw it.
func (v *flowView) alerted(at int, g *sighting, what string) *conclusion {
	c := &conclusion{between: []string{v.point(at)}, direction: direction(g.toServer), evidence: []Evidence{v.frame(at, g, what)}}
	switch {
	case g.toServer:
		c.settle = "the certificates and trust stores of both ends: " + v.clientName() + " refuses what " + v.serverName() + " offers"
	case !v.atServer(at):
		c.settle = "a capture at " + v.server.Addr().String() + ": it tells whether that end sent the alert"
	default:
		c.hop, c.confidence = v.hop(at), almost
	}
	return c
}
