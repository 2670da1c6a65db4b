package analyzer

// appTruncated: the server closes in good order, but in the middle of its
// response, or before it began one.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<---- 200, half a body-|
//	 |<----------------FIN---|
var appTruncated = rule{cause: AppTruncated, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || w.fin == nil || w.request == nil || w.clientEndedFirst || w.mayBeError(m) || w.status >= 500 {
		return nil
	}
	if !v.arrived(false) {
		return nil // what it sent was lost as well
	}
	r, ok := v.reply()
	switch end := w.fin.seq + uint32(w.fin.length); {
	case !ok || r.have != end || r.whole():
		return nil // the FIN comes behind bytes that no capture has, or behind a whole response
	case !r.known && r.have != r.begins:
		return &conclusion{direction: ToClient, between: []string{v.point(w.at)}, evidence: []Evidence{v.frame(w.at, w.fin, "the server closes")},
			settle: "a capture with whole frames at " + v.point(w.at) + ", or the server's log: what was captured of the response does not say how long it should be"}
	}
	return v.appVerdict(w, w.fin, "the server closes before its response is complete")
}}
