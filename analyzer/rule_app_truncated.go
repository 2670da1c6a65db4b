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
	if w == nil || w.fin == nil || w.request == nil || w.clientEndedFirst || m.f.outcome == Error || w.status >= 500 {
		return nil
	}
	if !v.arrived(false) {
		return nil // what it sent was lost as well
	}
	return v.appVerdict(w, w.fin, "the server closes before its response is complete")
}}
