package analyzer

import (
	"fmt"
	"time"
)

// clientAbort: the client gives up a request that was under way in good order,
// sooner than good ones take, or while its response was coming in.
//
//	client                f5                   server2
//	 |--POST--------------->|--POST--------------->|
//	 |--RST or FIN--------->|                      |
//	 |                      |<----------------200--|   late, but sound
//
// Who waits longest and then gives up is not to blame for the wait: if the client
// waited far longer than any good request took, the rule passes, and the server's
// silence is judged.
var clientAbort = rule{cause: ClientAbort, match: func(v *flowView, m *matter) *conclusion {
	c := m.client
	at, end := c.firstEnd()
	what, k := "the connection", kind{"end", true, func(g *sighting) bool { return g.toServer && (g.is(flagRST, 0) || g.is(flagFIN, 0)) }, nil}
	if m.f.inside { // RST_STREAM, RFC 9113 §6.4
		at, end = c.numbered(m.start, m.f.endFrame)
		what, k = "the stream", byteKind(c, true, m.f.endSeq)
	}
	if end == nil || !end.toServer || m.f.outcome == Error || !m.f.inside && c.endsSecond(end) {
		return nil
	}
	if m.f.began == 0 || !m.f.inside && !c.delivered(true) {
		return nil
	}
	p, g := c.origin(k)
	if !c.atClient(p) {
		return &conclusion{between: []string{c.point(at)}, direction: ToServer, evidence: []Evidence{c.frame(at, end, "the client ends "+what+" first")},
			settle: "a capture at the client, which tells whether it ended the connection itself"}
	}
	if doubt := c.notItsOwn(p, g[0]); doubt != nil {
		return doubt
	}
	waited := time.Duration(end.time - m.f.began)
	slowest := time.Duration(m.slowestGood())
	what = fmt.Sprintf("the client ends "+what+" %v after its request began; the slowest good one took %v", waited.Round(time.Millisecond), slowest.Round(time.Millisecond))
	out := &conclusion{between: []string{c.point(p)}, direction: ToServer, evidence: []Evidence{c.frame(p, g[0], what)}}
	answered := v.answeredBefore(c.steps[at].at, end) && (v != c || !m.f.inside)
	switch {
	case answered && v.arrived(false), waited <= slowest:
		out.hop, out.confidence = c.hop(p), almost
	case waited >= 10*slowest:
		return nil // it was patient
	default:
		out.settle = "the client's own timeout, and the server's log of this request: it gave up somewhat later than good requests take"
	}
	return out
}}

// endsSecond tells whether a client's end acknowledges a FIN of the server's: the server
// was done before, wherever in the file that was captured.
func (v *flowView) endsSecond(end *sighting) bool {
	for i := range v.steps {
		for j := range v.steps[i].packets {
			g := &v.steps[i].packets[j]
			if !g.toServer && g.is(flagFIN, 0) && end.is(flagACK, 0) && int32(end.ack-g.seq)-int32(g.length) > 0 {
				return true
			}
		}
	}
	return false
}

// firstEnd is the first FIN or RST of a connection, as the point nearest to the
// client saw it.
func (v *flowView) firstEnd() (int, *sighting) {
	for i := range v.steps {
		for j := range v.steps[i].request {
			if g := &v.steps[i].request[j]; !g.icmp && g.flags&(flagFIN|flagRST) != 0 {
				return i, g
			}
		}
	}
	return -1, nil
}

// answeredBefore tells whether the response had come to the end of its way, as far as it was
// captured, when the client gave up at another point; also where the clocks do not tell.
func (v *flowView) answeredBefore(point int, end *sighting) bool {
	at, seen := v.furthest(responseKind(v))
	return at >= 0 && v.a.cal.before(point, end.time, v.steps[at].at, seen[0].time) != proven
}

// slowestGood is how long the slowest good request to the same server took.
func (m *matter) slowestGood() int64 { return m.f.server.counts.slowest }
