package analyzer

// zeroWindow: the server's kernel has taken what its receive buffer holds of the
// request; its application reads nothing of it, and to each of the other side's probes
// the answer is a window of zero (RFC 9293 §3.8.6.1), until that side gives up.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<--------ACK, win 0----|
//	 |--probe--------------->|
//	 |<--------ACK, win 0----|
//	 |--RST (later)--------->|   TCP zero window timeout
//
// Who probes has something to send: of one who took the whole request and is silent, see
// appSilent. A client whose window stays shut is named by the proxy: see proxySays.
var zeroWindow = rule{cause: ZeroWindow, match: func(v *flowView, _ *matter) *conclusion {
	w := v.app()
	if w == nil || w.request == nil || w.answer != nil || !w.clientEndedFirst {
		return nil
	}
	var first, last *sighting // of those that say, without a break and at the end, that the window is shut
	for i := range v.steps[w.at].request {
		switch g := &v.steps[w.at].request[i]; {
		case g.toServer || g.icmp:
		case !g.shut:
			first = nil
		case first == nil || g.ack != first.ack:
			first, last = g, g
		default:
			last = g
		}
	}
	if first == nil || first == last {
		return nil
	}
	return v.appVerdict(w, first, "the server's receive window is shut",
		v.frame(w.at, last, "it is shut still, and no more of the request was taken"))
}}
