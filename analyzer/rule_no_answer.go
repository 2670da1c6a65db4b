package analyzer

import "fmt"

// noAnswer: the server's own capture has the SYN, and nothing that the server
// sent.
//
//	f5        feth10     server2
//	 |--SYN----->|--------->|
//	 |--SYN 1s-->|--------->|  (silence)
var noAnswer = rule{cause: NoAnswer, match: func(v *flowView, m *matter) *conclusion {
	p, seen := v.furthest(synKind(v))
	if p < 0 || v.established() || !v.atServer(p) {
		return nil
	}
	k := synAckKind(v)
	if at, _ := v.furthest(k); at >= 0 {
		return nil
	}
	c := &conclusion{direction: ToServer, between: []string{v.point(p)}, evidence: v.tries(p, seen, "SYN")}
	// Its answers would have to be missing here and at every point on the way.
	absent := v.absence(p, p, seen, k)
	for i := range absent.evidence {
		absent.evidence[i].What = "no answer of the server"
		absent.evidence[i].Filter = v.filter(false) + fmt.Sprintf(" && tcp.ack_raw==%d", v.isn+1)
	}
	if absent.doubt != "" {
		c.settle = absent.settle + ": " + absent.doubt
	} else {
		c.evidence = append(c.evidence, absent.evidence...)
		c.hop, c.confidence = v.hop(p), 1-absent.missed
	}
	c.eliminated = v.hypotheses(p, c.hop != "")
	return c
}}
