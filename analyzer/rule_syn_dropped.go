package analyzer

// synDropped: the SYN and its retries are last seen at one point and not at
// the next, which covers the time and loses next to nothing itself.
//
//	f5        feth11    feth10     server2
//	 |--SYN---->|   ✗      |          |
//	 |--SYN 1s->|   ✗      |          |
//	 |--SYN 2s->|   ✗      |          |
//
// Tries that died earlier do not matter: the request failed only because the
// ones that came furthest died too.
var synDropped = rule{cause: SYNDropped, match: func(v *flowView, m *matter) *conclusion {
	k := synKind(v)
	p, seen := v.furthest(k)
	if p < 0 || v.established() || v.atServer(p) {
		return nil
	}
	c := v.lost(p, seen, k)
	c.eliminated = v.hypotheses(p, c.hop != "")
	return c
}}
