package analyzer

import (
	"fmt"
	"time"
)

// dataDropped: the connection stands, and the request's bytes are last seen at
// one point and not at the next, each time they are sent.
//
//	f5        feth11    feth10     server2
//	 |--POST--->|    ✗     |          |
//	 |--POST--->|    ✗     |          |  (retransmitted, RFC 6298)
//
// Bytes are followed, not packets: a capture on the sender's host shows a few
// large segments where the wire has many. If only large packets share the fate,
// it is a matter of their size; if the connection had worked and then been idle,
// a hop has forgotten it: see mtuBlackhole and sessionExpired.
var dataDropped = rule{cause: DataDropped, match: func(v *flowView, m *matter) *conclusion {
	return v.lostBytes(m, true)
}}

// responseDropped: the same for the response on its way back.
//
//	f5        feth11    feth10     server2
//	 |--POST--->|--------->|--------->|
//	 |          |    ✗     |<---200---|
//	 |          |    ✗     |<---200---|
var responseDropped = rule{cause: ResponseDropped, match: func(v *flowView, m *matter) *conclusion {
	return v.lostBytes(m, false)
}}

// lostBytes judges bytes that were sent and never acknowledged.
func (v *flowView) lostBytes(m *matter, toServer bool) *conclusion {
	if !v.established() {
		return nil
	}
	seq, ok := v.undelivered(toServer)
	if !ok {
		return nil
	}
	k := byteKind(v, toServer, seq)
	p, seen := v.furthest(k)
	if p < 0 || toServer && v.atServer(p) || !toServer && v.atClient(p) {
		return nil // it arrived, or was never captured
	}
	c := v.lost(p, seen, k)
	if c.eliminated = v.rivals(k, p, c.hop != ""); c.hop == "" {
		return c
	}
	switch {
	case v.forgotten(p, seen[0], toServer):
		c.cause = SessionExpired
		c.evidence = append(c.evidence, v.lastBefore(next(p, toServer), p, seen[0], toServer)...)
		idle := time.Duration(v.idleBefore(p, seen[0])).Round(100 * time.Millisecond)
		c.eliminated = append(c.eliminated, Hypothesis{Hypothesis: c.hop + " loses packets of this connection at random",
			Why: fmt.Sprintf("it passed %s all of them before an idle time of %v, and none in either direction after it", direction(toServer), idle)})
	default:
		v.size(c, p, seen, k)
	}
	return c
}

func direction(toServer bool) string {
	if toServer {
		return ToServer
	}
	return ToClient
}
