package analyzer

import (
	"slices"
	"strings"
)

// saidCauses maps what a BIG-IP writes into the trailer of a RST it makes
// (F5 K13223 and the tables of its message catalogue) to causes that lie with the
// proxy itself. The first that fits counts. What it resets because of the other
// side's fate ("TCP retransmit timeout", "TCP RST from remote system") is not here:
// those frames lead to the other side.
var saidCauses = []struct {
	prefix string
	cause  Cause
}{
	{"No local listener", NoListener},
	{"No available listener", NoListener},
	{"Port denied", NoListener},
	{"VIP down", NoPoolMember},
	{"VIP disabled", NoListener},
	{"No pool member available", NoPoolMember},
	{"No available pool member", NoPoolMember},
	{"No server selected", NoPoolMember},
	{"No available SNAT addr", SNATExhausted},
	{"No route to host", NoRoute},
	{"Unable to select local port", SNATExhausted},
	{"Unable to obtain local port", SNATExhausted},
	{"Connection limit exceeded", ConnectionLimit},
	{"Flow expired (sweeper)", IdleTimeout},
	{"handshake timeout", IdleTimeout},
	{"TCP zero window timeout", ZeroWindow},
	{"No flow found for ACK", SessionExpired},
	{"HTTP header", ProtocolViolation},
	{"HTTP internal error", ProtocolViolation},
	{"HTTP process terminated", ProtocolViolation},
	{"HTTP parse error", ProtocolViolation},
	{"Bad request", ProtocolViolation},
	{"APM HTTP body too big", ProtocolViolation},
	{"SSL alert", ""}, // the client's: which of the two is set up wrongly it does not say
	{"SSL ", TLSFailure},
	{"No shared ciphers", TLSFailure},
	{"Bad SSL record", TLSFailure},
	{"iRule execution", Rejected},
	{"Policy action", Rejected},
	{"DOS Attack signature", Rejected},
}

// saidCause is the cause that a RST's text stands for; "" if it is not the
// proxy's own affair.
func saidCause(text string) Cause {
	for _, s := range saidCauses {
		if strings.HasPrefix(text, s.prefix) {
			return s.cause
		}
	}
	return ""
}

// proxySays: the proxy resets the client's connection, and its own trailer says
// that the reason lies with itself, not with the peer flow.
//
//	client                f5
//	 |--SYN---------------->|
//	 |<------------SYN-ACK--|
//	 |--ACK, POST---------->|      (no SYN to any server)
//	 |<-----RST: No pool member available
var proxySays = rule{cause: NoPoolMember, match: func(v *flowView, m *matter) *conclusion {
	if v != m.client || m.f.outcome == Error { // the RST behind a whole answer is about what came later, or did not
		return nil
	}
	at, g := v.saidBy(rstKind(v, false))
	if g == nil || g.note.causePeer {
		return nil
	}
	cause := saidCause(g.note.cause)
	if cause == "" {
		return nil
	}
	if lost := v.waitedInVain(m, g.note.cause); lost != nil {
		return lost
	}
	if cause == SessionExpired && v.closedBefore(at, g) {
		return nil
	}
	c := &conclusion{cause: cause, hop: v.hop(at), between: []string{v.point(at)}, direction: ToClient, confidence: almost,
		evidence: []Evidence{v.frame(at, g, "RST made by "+v.hop(at)+": "+g.note.cause)}}
	if cause == ZeroWindow {
		return v.ofClient(c)
	}
	c.eliminated = v.rivals(synKind(v), at, true)
	return c
}}

// closedBefore tells whether the proxy had closed the connection in good order when it sent
// a RST: it has forgotten nothing then that it should know.
func (v *flowView) closedBefore(at int, rst *sighting) bool {
	return slices.ContainsFunc(v.steps[at].packets, func(g sighting) bool {
		return !g.toServer && g.is(flagFIN, 0) && g.frame < rst.frame
	})
}

// ofClient turns what the proxy says of the client's connection into a conclusion about
// the client.
func (v *flowView) ofClient(c *conclusion) *conclusion {
	at, g := v.origin(synKind(v))
	if at < 0 || !v.atClient(at) {
		c.hop, c.settle = "", "a capture at "+v.client.Addr().String()+": it tells whether that end kept its window shut"
		return c
	}
	c.hop, c.between = v.hop(at), []string{v.point(at)}
	c.evidence = append(c.evidence, v.frame(at, g[0], v.hop(at)+" is the one whose window it speaks of"))
	return c
}

// saidBy returns the first of the RSTs of a kind that its maker explains in a trailer. What
// comes behind it are answers to what the client had sent before it heard.
func (v *flowView) saidBy(k kind) (int, *sighting) {
	for i := range v.steps {
		for _, g := range v.steps[i].of(k) {
			if g.note != nil && g.note.hasCause && !g.note.ingress {
				return i, g
			}
		}
	}
	return -1, nil
}
