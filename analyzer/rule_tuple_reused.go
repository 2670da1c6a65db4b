package analyzer

// tupleReused: the server answers the SYN with a plain ACK. It still holds an
// earlier connection of the same 5-tuple (RFC 9293 §3.10.7.4 and RFC 5961 §4),
// typically in TIME_WAIT.
//
//	f5                   server2
//	 |--SYN seq=X ---------->|
//	 |<------ ACK ack=old ---|
//
// Only recognised so far, so that the server is not called silent: whether the
// answer was lost or ignored on its way is left open.
var tupleReused = rule{cause: TupleReused, match: func(v *flowView, m *matter) *conclusion {
	k := kind{"ACK", false, func(g *sighting) bool { return !g.toServer && g.is(flagACK, flagSYN|flagRST) && g.ack != v.isn+1 }, v.filter(false)}
	p, seen := v.origin(k)
	if p < 0 || v.established() {
		return nil
	}
	return &conclusion{direction: ToServer, between: []string{v.point(p)}, evidence: v.tries(p, seen[:1], "ACK of an earlier connection instead of a SYN-ACK"),
		settle: "the server's socket table at that time: it answers as if the 5-tuple were still in use"}
}}
