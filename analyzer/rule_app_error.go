package analyzer

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
