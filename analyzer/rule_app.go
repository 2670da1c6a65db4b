package analyzer

// appView is what the server's own capture shows of an open connection.
type appView struct {
	at               int
	request, answer  *sighting // first data in either direction
	acked            bool      // the server acknowledged request data
	status           int
	fin, rst         *sighting // the server's
	clientEndedFirst bool
}

// app looks at an established connection from the server's end; nil if it is
// not captured there.
func (v *flowView) app() *appView {
	at := len(v.steps) - 1
	if at < 0 || !v.atServer(at) || !v.established() {
		return nil
	}
	w := &appView{at: at}
	for i := range v.steps[at].packets {
		g := &v.steps[at].packets[i]
		switch {
		case g.toServer:
			if g.length > 0 && w.request == nil {
				w.request = g
			}
			if (g.flags&flagFIN != 0 || g.flags&flagRST != 0) && w.fin == nil && w.rst == nil {
				w.clientEndedFirst = true
			}
			continue
		case g.icmp:
			continue
		case g.length > 0 && w.answer == nil:
			w.answer = g
		}
		if g.status != 0 {
			w.status = g.status
		}
		if w.request != nil && g.flags&flagACK != 0 && int32(g.ack-w.request.seq) > 0 {
			w.acked = true
		}
		if g.flags&flagFIN != 0 && w.fin == nil {
			w.fin = g
		}
		if g.flags&flagRST != 0 && w.rst == nil {
			w.rst = g
		}
	}
	return w
}

func (v *flowView) appVerdict(w *appView, g *sighting, what string, extra ...Evidence) *conclusion {
	c := &conclusion{hop: v.hop(w.at), between: []string{v.point(w.at)}, direction: ToClient, confidence: almost}
	if w.request != nil {
		c.evidence = append(c.evidence, v.frame(w.at, w.request, "the request reaches the server"))
	}
	if g != nil {
		c.evidence = append(c.evidence, v.frame(w.at, g, what))
	}
	c.evidence = append(c.evidence, extra...)
	return c
}

// appError: the server itself answers 5xx.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<----------------503---|
var appError = rule{cause: AppError, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || m.f.outcome != Error || w.status < 500 || w.answer == nil {
		return nil
	}
	return v.appVerdict(w, w.answer, "the server answers 5xx")
}}

// appReset: the server resets a connection it had accepted, before its answer
// was complete.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<----------------RST---|
var appReset = rule{cause: AppReset, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || w.rst == nil || w.fin != nil || w.clientEndedFirst || w.request == nil || m.f.outcome == Error {
		return nil
	}
	k := kind{"response", false, func(g *sighting) bool { return !g.toServer && g.length > 0 }, ""}
	if at, _ := v.furthest(k); w.answer != nil && at > 0 {
		return nil // its answer was lost as well: two things went wrong
	}
	return v.appVerdict(w, w.rst, "the server resets the connection")
}}

// appTruncated: the server closes in good order, but in the middle of its
// response.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<---- 200, half a body-|
//	 |<----------------FIN---|
var appTruncated = rule{cause: AppTruncated, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || w.fin == nil || w.answer == nil || w.clientEndedFirst || m.f.outcome == Error || w.status >= 500 {
		return nil
	}
	return v.appVerdict(w, w.fin, "the server closes before its response is complete")
}}

// appSilent: the server's kernel acknowledges the request, its application
// says nothing until the other side gives up.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<----------------ACK---|
//	 |--FIN or RST (later)-->|
var appSilent = rule{cause: AppSilent, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || !w.acked || w.answer != nil || w.fin != nil || w.rst != nil || !w.clientEndedFirst {
		return nil
	}
	k := kind{"response", false, func(g *sighting) bool { return !g.toServer && g.length > 0 }, v.filter(false) + " && tcp.len>0"}
	if at, _ := v.furthest(k); at >= 0 {
		return nil // it did answer, only this capture missed it
	}
	// A response that got lost would have been sent again and again, each time
	// twice as late (RFC 6298 §5.5, from 200 ms on): all of them are missing.
	last := v.steps[w.at].packets[len(v.steps[w.at].packets)-1].time
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
	c := v.appVerdict(w, nil, "", absent.evidence...)
	c.confidence = 1 - absent.missed
	return c
}}
