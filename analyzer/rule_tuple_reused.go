package analyzer

import (
	"fmt"
	"time"
)

// tupleReused: the server answers the SYN with a plain ACK. It still holds an
// earlier connection of the same 5-tuple, typically in TIME_WAIT (RFC 9293
// §3.10.7.4, RFC 5961 §4), and what should come of it — the client's RST, and
// another SYN that is answered — does not.
//
//	f5                   server2
//	 |--SYN seq=X ---------->|
//	 |<------ ACK ack=old ---|
//
// A hop that refuses a reused tuple instead shows no ACK: see blameReuse.
var tupleReused = rule{cause: TupleReused, match: func(v *flowView, m *matter) *conclusion {
	k := kind{"ACK of an earlier connection", false, func(g *sighting) bool { return !g.toServer && g.is(flagACK, flagSYN|flagRST) && g.ack != v.isn+1 }, nil}
	p, seen := v.origin(k)
	if p < 0 || v.established() {
		return nil
	}
	c := &conclusion{direction: ToServer, between: []string{v.point(p)}, evidence: v.tries(p, seen[:1], "ACK of an earlier connection instead of a SYN-ACK")}
	syns := v.steps[p].of(synKind(v))
	if v.atServer(p) && len(syns) > 0 && syns[0].frame < seen[0].frame {
		if before := v.before(p, p, syns[0]); before != nil {
			age := time.Duration(syns[0].time - before.time).Round(time.Millisecond)
			c.evidence = append([]Evidence{v.frame(p, before, fmt.Sprintf("the 5-tuple's earlier use, %v before", age)), v.frame(p, syns[0], "SYN")}, c.evidence...)
			c.hop, c.confidence = v.hop(p), almost
			c.eliminated = v.hypotheses(p, true)
			return c
		}
	}
	c.settle = "the server's socket table at that time: it answers as if the 5-tuple were still in use"
	return c
}}
