package analyzer

import "fmt"

// outcome is how the request ended for the client; another point may have the
// RST that the start point's capture missed.
func (m *matter) outcome() Outcome {
	switch {
	case m.f.hidden():
		return Unknown
	case m.f.inside:
		return m.f.outcome
	}
	if m.f.outcome == Timeout {
		if at, _ := m.client.origin(m.client.resets()); at >= 0 && m.client.established() {
			return Reset
		} else if at >= 0 {
			return Refused
		}
	}
	return m.f.outcome
}

// rst tells who sent the RST that ended the client's connection. The sender
// says so in a trailer, or it is the hop whose address the RST carries.
func (m *matter) rst() *RST {
	if m.f.inside {
		return nil
	}
	k := m.client.resets()
	i, g := m.client.origin(k)
	if i < 0 {
		return nil
	}
	r := &RST{}
	last := g[len(g)-1]
	if m.passes() {
		// It is the server's, or of a hop on the way there; the trailer says if not.
	} else if m.client.atServer(i) {
		r.By = m.client.hop(i)
	} else if m.client.established() {
		if c := m.client.injected(false); c != nil {
			r.By = c.hop // a box in between, if that is proven
		}
	}
	if j, g := m.client.saidBy(k); j >= 0 {
		r.By, r.Cause, r.Peer = m.client.hop(j), g.note.cause, g.note.causePeer
	}
	if last.icmp {
		r.Cause = fmt.Sprintf("ICMP type %d code %d from %s", last.icmpWhat>>8, last.icmpWhat&255, last.icmpFrom)
	}
	return r
}

// requestEvidence cites where the request begins: the connection's first packet
// and its own first bytes, at the point where requests are followed.
func (m *matter) requestEvidence() (out []Evidence) {
	v := m.client
	at := v.stepAt(m.start.index)
	if at < 0 {
		return nil
	}
	if ps := v.steps[at].packets; !m.f.reused && len(ps) > 0 {
		what := "the first packet of the client's connection"
		if ps[0].toServer && ps[0].is(flagSYN, flagACK) {
			what = "the client's SYN"
		}
		out = append(out, v.frame(at, &ps[0], what))
	}
	switch {
	case m.f.hidden():
		for i := range v.steps[at:] {
			if g := m.record(&v.steps[at+i]); g != nil {
				return append(out, v.frame(at+i, g, "a TLS record of the client's before the proxy's attempt: the request may begin here"))
			}
		}
		return out
	case m.f.began == 0 || m.f.method == "" && !m.f.reused: // its head was not read, and nothing is said of it
		return out
	}
	what := "the request"
	if m.f.method == "" {
		what = "the client's data with which the request begins"
	}
	for _, g := range v.steps[at].of(byteKind(v, true, m.f.seq)) {
		return append(out, v.frame(at, g, what))
	}
	return out
}

// outcomeEvidence cites how the client's connection ended.
func (m *matter) outcomeEvidence() []Evidence {
	var out []Evidence
	switch {
	case m.f.hidden():
		return nil
	case m.f.inside:
		if at, g := m.client.numbered(m.start, m.f.endFrame); g != nil {
			out = append(out, m.client.frame(at, g, "inside TLS: "+m.f.how))
		}
		return out
	}
	v := m.client
	resets := v.resets()
	for i := range v.steps {
		for _, g := range v.steps[i].of(resets) {
			what := "RST to the client"
			if n := g.note; n != nil && n.hasCause {
				if what += ": " + n.cause; n.causePeer {
					what += " (on the peer flow)"
				}
			}
			out = append(out, v.frame(i, g, what))
			break
		}
	}
	if len(out) > 0 {
		return out
	}
	// The last frame need not say how the request ended: a response with a 5xx may
	// be long, who is left with half of one may be silent for good, and a client that
	// gives up is answered by a FIN.
	for i := range v.steps {
		for j := range v.steps[i].packets {
			g := &v.steps[i].packets[j]
			if v.steps[i].at != m.start.index || g.frame == m.f.endFrame {
				continue
			}
			switch {
			case m.f.outcome == Error && g.status >= 500 && !g.toServer:
				out = append(out, v.frame(i, g, "the answer to the client begins"))
			case m.f.outcome == Truncated && g.is(flagFIN, 0) && !g.toServer:
				out = append(out, v.frame(i, g, "the connection ends inside the response"))
			case m.f.outcome == Timeout && g.toServer && (g.is(flagFIN, 0) || g.is(flagRST, 0)):
				out = append(out, v.frame(i, g, "the client gives up"))
			}
		}
		if len(out) == 0 && m.f.endFrame == 0 && v.steps[i].at == m.start.index && len(v.steps[i].packets) > 0 {
			out = append(out, v.frame(i, &v.steps[i].packets[0], "the connection of the request begins"))
		}
	}
	if at, g := v.numbered(m.start, m.f.endFrame); g != nil {
		out = append(out, v.frame(at, g, "the request ends: "+string(m.f.outcome)))
	}
	return out
}
