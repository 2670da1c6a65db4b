package analyzer

// appView is what the server's own capture shows of a request on an open
// connection.
type appView struct {
	at               int
	request, answer  *sighting // first data in either direction
	acked            bool      // the server acknowledged request data
	status           int
	fin, rst         *sighting // the server's, if not in answer to the client's end
	clientEndedFirst bool
	end              *sighting // … and how; nil otherwise
	overdue          bool      // the answer came after that
}

// app looks at an established connection from the server's end; nil if it is
// not captured there.
func (v *flowView) app() *appView {
	at := len(v.steps) - 1
	if at < 0 || !v.atServer(at) || !v.established() {
		return nil
	}
	w := &appView{at: at}
	for i := range v.steps[at].request {
		w.take(&v.steps[at].request[i])
	}
	return w
}

// mayBeError tells whether the client's 5xx may be the server's own: it answered, and
// what was not captured. A proxy answers 502 or 503 for a server that did not.
func (w *appView) mayBeError(m *matter) bool {
	return m.f.outcome == Error && w.answer != nil && (w.status == 0 || w.status >= 500)
}

func (w *appView) take(g *sighting) {
	if g.icmp {
		return
	}
	if g.toServer {
		if g.length > 0 && w.request == nil {
			w.request = g
		}
		if g.flags&(flagFIN|flagRST) != 0 && w.fin == nil && w.rst == nil {
			if !w.clientEndedFirst {
				w.end = g
			}
			w.clientEndedFirst = true
		}
		return
	}
	if g.length > 0 && g.flags&flagRST == 0 && w.answer == nil {
		w.answer, w.overdue = g, w.clientEndedFirst
	}
	if g.status != 0 {
		w.status = g.status
	}
	if w.request != nil && g.flags&flagACK != 0 && int32(g.ack-w.request.seq) > 0 {
		w.acked = true
	}
	if w.clientEndedFirst {
		return
	}
	if g.flags&flagFIN != 0 && w.fin == nil {
		w.fin = g
	}
	if g.flags&flagRST != 0 && w.rst == nil {
		w.rst = g
	}
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

// responseKind is any segment of the response.
func responseKind(v *flowView) kind {
	return kind{"response", false, func(g *sighting) bool { return !g.toServer && !g.icmp && g.length > 0 && g.flags&flagRST == 0 },
		func(*step) []string { return []string{"tcp.len>0"} }}
}
