package analyzer

// listenQueueFull: the server's host has the handshake's last ACK, and goes on
// sending SYN-ACKs as if it had not: Linux drops the ACK when the listener's queue
// of accepted connections is full (net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock).
//
//	f5                   server2
//	 |--SYN----------------->|
//	 |<------------SYN-ACK---|
//	 |--ACK----------------->|
//	 |--POST---------------->|   (not acknowledged)
//	 |<------------SYN-ACK---|   again
var listenQueueFull = rule{cause: ListenQueueFull, match: func(v *flowView, m *matter) *conclusion {
	at := len(v.steps) - 1
	if at < 0 || !v.atServer(at) || !v.established() {
		return nil
	}
	answers := v.steps[at].of(synAckKind(v))
	if len(answers) < 2 {
		return nil
	}
	k := ackKind(v, answers[0].seq)
	var ack *sighting
	tells := v.steps[at].s.sums[wayOf(true)].telling()
	for _, g := range v.steps[at].of(k) {
		if g.damaged && tells {
			continue // the host has thrown it away
		}
		if g.frame < answers[len(answers)-1].frame {
			ack = g
			break
		}
	}
	if ack == nil || int32(v.acknowledged(true, v.isn+1)-(v.isn+1)) > 0 {
		return nil
	}
	k.name = "handshake's last ACK"
	return &conclusion{hop: v.hop(at), between: []string{v.point(at)}, direction: ToServer, confidence: almost,
		evidence: []Evidence{v.frame(at, answers[0], "the server answers the SYN"),
			v.frame(at, ack, "the handshake's last ACK reaches the server"),
			v.frame(at, answers[len(answers)-1], "the server sends its SYN-ACK again")},
		eliminated: v.rivals(k, at, true)}
}}
