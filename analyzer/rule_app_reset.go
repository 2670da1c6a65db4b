package analyzer

// appReset: the server resets a connection it had accepted, before its answer
// was complete.
//
//	f5                   server2
//	 |--POST---------------->|
//	 |<----------------RST---|
//
// A RST behind a whole response is the end of a healthy connection. One of a proxy that
// says that its other side failed is no server's.
var appReset = rule{cause: AppReset, match: func(v *flowView, m *matter) *conclusion {
	w := v.app()
	if w == nil || w.rst == nil || w.fin != nil || w.clientEndedFirst || w.request == nil || w.mayBeError(m) {
		return nil
	}
	if n := w.rst.note; n != nil && n.hasCause && n.causePeer {
		return nil // it is a proxy's, whose other side failed
	}
	if r, ok := v.reply(); ok && r.whole() {
		return nil
	}
	if at, _ := v.furthest(responseKind(v)); w.answer != nil && at > 0 {
		return nil // its answer was lost as well: two things went wrong
	}
	if doubt := v.notItsOwn(w.at, w.rst); doubt != nil && v.bare(w.at) { // else it is the server's own capture
		return doubt
	}
	return v.appVerdict(w, w.rst, "the server resets the connection")
}}
