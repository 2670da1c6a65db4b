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
//
// A listener that waits for data before it takes a connection (TCP_DEFER_ACCEPT of tcp(7),
// as nginx's deferred and Apache's AcceptFilter have it) lets a bare ACK pass by as well
// (net/ipv4/tcp_minisocks.c, tcp_check_req). So the request must have come, too; where it
// did not, whatever lost it is to blame.
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
	if data := byteKind(v, true, v.isn+1); len(v.steps[at].of(data)) == 0 {
		if s, ok := v.sent(true); ok && !s.empty() {
			return nil
		}
		return &conclusion{between: []string{v.point(at)}, evidence: []Evidence{v.frame(at, ack, "the "+k.name+" reaches the server")},
			settle: "whether " + v.serverName() + "'s listener waits for data (TCP_DEFER_ACCEPT) or its queue is full (nstat TcpExtListenOverflows): it repeats its SYN-ACK either way, and nothing but the ACK was sent"}
	}
	return &conclusion{hop: v.hop(at), between: []string{v.point(at)}, direction: ToServer, confidence: almost,
		evidence: []Evidence{v.frame(at, answers[0], "the server answers the SYN"),
			v.frame(at, ack, "the handshake's last ACK reaches the server"),
			v.frame(at, answers[len(answers)-1], "the server sends its SYN-ACK again")},
		eliminated: v.rivals(k, at, true)}
}}
