package analyzer

// ackDropped: the server answers, the client side completes the handshake, and
// its last ACK does not arrive; the server says SYN-ACK again and again. It is
// what failed only if no data was sent that would have carried the ACK as well.
//
//	f5        feth11    feth10     server2
//	 |--SYN---->|--------->|--------->|
//	 |<---------|<---------|<-SYN-ACK-|
//	 |--ACK---->|    ✗     |          |
//	 |<---------|<---------|<-SYN-ACK-|
var ackDropped = rule{cause: AckDropped, match: func(v *flowView, m *matter) *conclusion {
	at, g := v.origin(synAckKind(v))
	if at < 0 || !v.established() {
		return nil
	}
	if s, ok := v.sent(true); !ok || !s.empty() {
		return nil
	}
	k := ackKind(v, g[0].seq)
	p, seen := v.furthest(k)
	if p < 0 || v.atServer(p) {
		return nil
	}
	c := v.lost(p, seen, k)
	c.eliminated = v.rivals(k, p, c.hop != "")
	return c
}}
