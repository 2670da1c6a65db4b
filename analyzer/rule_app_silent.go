package analyzer

import (
	"fmt"
	"time"
)

// appSilent: the server's kernel acknowledges the request, its application
// says nothing until the other side gives up.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<----------------ACK---|
//	 |--FIN or RST (later)-->|
//	 |<-----------FIN, or 200|   or not; it comes too late to mean anything
//
// The ACK is the kernel's: it does not mean that the application has read
// anything. Who gives up sooner than good requests take has not shown that the server is
// silent. And who has only part of a request owes no answer: of that nobody is said
// to be at fault.
var appSilent = rule{cause: AppSilent, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || !w.acked || w.answer != nil && !w.overdue || !w.clientEndedFirst || !v.delivered(true) {
		return nil
	}
	k := responseKind(v)
	last := v.steps[w.at].packets[len(v.steps[w.at].packets)-1].time
	if w.overdue {
		if last = w.end.time; w.answer.time-last < 2*absenceSlack {
			return nil // the two crossed, or nearly
		}
	} else if at, _ := v.furthest(k); at >= 0 && len(v.steps[at].requestOf(k)) > 0 {
		return nil // it did answer, only this capture missed it
	}
	if m.f.unfinished { // there was nothing to answer yet
		return &conclusion{direction: ToServer, between: []string{v.point(w.at)},
			settle: "the reason why " + v.clientName() + " gave up before the request was whole, from its trailers or its log: the client had stopped sending, or was kept from it"}
	}
	if v.disowned(w) {
		return &conclusion{direction: ToClient, between: []string{v.point(w.at)}, evidence: []Evidence{v.frame(w.at, w.end, "RST without ACK: that end has no such connection any more")},
			settle: fmt.Sprintf("a capture at %s that covers %s: it did not give up, it had lost the connection by then, and what ended it there, a RST perhaps, was not captured",
				v.clientName(), stamp(w.end.time).Format(clockFormat))}
	}
	if waited, slowest := w.end.time-w.request.time, m.slowestGood(); waited <= slowest { // it may have been about to answer
		return &conclusion{direction: ToServer, between: []string{v.point(w.at)},
			evidence: []Evidence{v.frame(w.at, w.end, fmt.Sprintf("%s gives up after %v; the slowest good request took %v", v.clientName(), time.Duration(waited).Round(time.Millisecond), time.Duration(slowest).Round(time.Millisecond)))},
			settle:   "the reason why " + v.clientName() + " gave up sooner than good requests take, from its trailers or its log, or captures that miss nothing of what it said before"}
	}
	// A response that got lost would have been sent again and again, each time
	// twice as late (RFC 6298 §5.5, from 200 ms on): all of them are missing.
	expected := []*sighting{w.request}
	for wait := int64(200e6); w.request.time+wait < last; wait *= 2 {
		again := *w.request
		again.time += wait
		expected = append(expected, &again)
	}
	absent := v.absence(w.at, w.at, expected, k)
	if absent.doubt != "" {
		return &conclusion{direction: ToClient, between: []string{v.point(w.at)}, settle: absent.settle + ": " + absent.doubt}
	}
	var extra []Evidence
	if !v.narrowed {
		extra = absent.evidence
	}
	c := v.appVerdict(w, nil, "", extra...)
	c.confidence = 1 - absent.missed
	return c
}}

// disowned tells whether the client's end of the connection is not known to have given up:
// all that came of it is the RST of a host that has no such connection (see noSuch).
// Somebody had ended it there before.
//
//	f5        feth10     server2
//	 |--POST---->|--------->|
//	 |<--RST  ✗             |   in the server's name, and not captured
//	 |<----------|<--ACK----|
//	 |--RST----->|--------->|   without ACK
func (v *flowView) disowned(w *appView) bool {
	gaveUp := kind{toServer: true, is: func(g *sighting) bool { return g.toServer && (g.is(flagFIN, 0) || g.is(flagRST|flagACK, 0)) }}
	at, _ := v.furthest(gaveUp)
	return at < 0 && w.end.noSuch()
}

// requestOf returns the step's packets of a kind from the request on.
func (s *step) requestOf(k kind) (out []*sighting) {
	for i := range s.request {
		if g := &s.request[i]; k.is(g) {
			out = append(out, g)
		}
	}
	return out
}
