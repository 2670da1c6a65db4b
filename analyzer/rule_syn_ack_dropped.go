package analyzer

// synAckDropped: the server answered, and the answer is last seen on its way
// back at one point and not at the next.
//
//	f5        feth11    feth10     server2
//	 |--SYN---->|--------->|--------->|
//	 |          |    ✗     |<-SYN-ACK-|
var synAckDropped = rule{cause: SYNAckDropped, match: func(v *flowView, m *matter) *conclusion {
	k := synAckKind(v)
	p, seen := v.furthest(k)
	if p < 0 || v.established() {
		return nil
	}
	if v.atClient(p) || p == 0 {
		return nil // it arrived: another rule's matter
	}
	c := v.lost(p, seen, k)
	q, syns := v.furthest(synKind(v))
	if q >= 0 {
		c.evidence = append([]Evidence{v.frame(q, syns[0], "SYN")}, c.evidence...)
		c.eliminated = v.hypotheses(len(v.steps), c.hop != "")
	}
	return c
}}
