package analyzer

import (
	"fmt"
	"slices"
	"time"
)

// noAnswer: the server's own capture has the SYN, and nothing that the server
// sent.
//
//	f5        feth10     server2
//	 |--SYN----->|--------->|
//	 |--SYN 1s-->|--------->|  (silence)
//
// A full listen queue looks the same from one connection: Linux drops SYNs then
// (net/ipv4/tcp_input.c, tcp_conn_request). Other connections tell: while the
// queue is full no SYN to that port is answered, and some connections in it are
// open and unserved.
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
	k.name, k.terms = "answer of the server", func(s *step) []string { return []string{s.ack(false, v.isn+1)} }
	absent := v.absence(p, p, seen, k)
	c.evidence = append(c.evidence, absent.evidence...)
	switch {
	case absent.doubt != "":
		c.settle = absent.settle + ": " + absent.doubt
	case v.refusalMayBeMissed(p, seen[len(seen)-1].time):
		c.settle = fmt.Sprintf("a capture at %s that loses less: a proxy that passes connections on answers no SYN by itself, and the one RST with which it gives up may have been missed", v.point(p))
	case v.challengeMayBeMissed(p, seen):
		c.settle = fmt.Sprintf("a capture at %s that loses less: the tuple was in use before, and a server that still holds that connection answers by one challenge ACK in half a second, which may have been missed", v.point(p))
	case v.queueMayBeFull(p, seen):
		c.settle = fmt.Sprintf("the listen queue of %s at %s (ss -lnt, nstat TcpExtListenOverflows): it answered no SYN at that time, and held connections that it did not serve",
			v.server, stamp(seen[0].time).Format(clockFormat))
	case !slices.ContainsFunc(seen, func(g *sighting) bool { return !g.cut }):
		c.settle = fmt.Sprintf("a capture of whole packets at %s (tcpdump -s 0): a SYN that was damaged on its way would look the same, cut as these are", v.point(p))
	default:
		c.hop, c.confidence = v.hop(p), 1-absent.missed
	}
	c.eliminated = v.hypotheses(p, c.hop != "")
	return c
}}

// refusalMayBeMissed tells whether the silence may be a proxy's that waited for another in
// vain: then it says one RST in the end, and not an answer to each SYN.
func (v *flowView) refusalMayBeMissed(p int, at int64) bool {
	s := &v.steps[p]
	loss := v.a.cal.losses[s.at]
	return s.s.point.Side == Both && loss.missedAll(down, []int64{at}) > loss.limit(down)
}

// challengeMayBeMissed tells whether the silence may be that of a server which has the
// tuple's earlier connection in TIME-WAIT, or open: it answers a SYN by a challenge ACK (RFC
// 9293 §3.10.7.4), and the next ones only after half a second (net.ipv4.tcp_invalid_ratelimit).
func (v *flowView) challengeMayBeMissed(p int, seen []*sighting) bool {
	loss := v.a.cal.losses[v.steps[p].at]
	return v.before(p, p, seen[0]) != nil && loss.missedAll(down, []int64{seen[0].time}) > loss.limit(down)
}

// queueMayBeFull tells whether the listener's state explains the silence as well:
// no other SYN to it was answered between the tries, or around a single one, and
// connections to it were open then without being served.
func (v *flowView) queueMayBeFull(p int, seen []*sighting) bool {
	from, to := seen[0].time, seen[len(seen)-1].time
	const around = int64(500 * time.Millisecond)
	load := v.steps[p].s.loadOf(v.server, from-around, to+around)
	return load.unserved > 0 && load.answered == 0
}

// load is what a listener did in a stretch of time.
type load struct {
	answered int // SYNs of other connections
	unserved int // connections that were open all the time, their requests acknowledged, and got no response
}
