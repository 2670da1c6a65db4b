package analyzer

// exchange follows the requests of one client connection to their outcome.
type exchange struct {
	up, down message
	active   bool // a request has begun and its response is not complete
	answered bool // bytes of its response were seen
	ordinal  int  // requests begun on this connection
	began    int64
	counts   *RequestCounts
	now      int64 // of the packet being fed
	failed   Outcome
}

// upSink and downSink are the two directions of an exchange as sinks; a
// conversion of the pointer, so nothing is allocated.
type (
	upSink   exchange
	downSink exchange
)

func (e *exchange) reset(counts *RequestCounts) {
	e.up.reuse(true)
	e.down.reuse(false)
	e.active, e.answered, e.ordinal, e.began, e.counts, e.failed = false, false, 0, 0, counts, OK
}

func (m *message) reuse(request bool) {
	*m = message{request: request, head: m.head[:0], method: m.method[:0], target: m.target[:0], id: m.id[:0],
		stream: stream{early: m.early[:0]}, length: -1}
}

func (u *upSink) data(b []byte) {
	e := (*exchange)(u)
	for len(b) > 0 {
		idle := e.up.state == atHead && len(e.up.head) == 0
		var ev event
		b, ev = e.up.feed(b)
		if idle && ev != nothing {
			e.begin()
		}
		if ev == headed || ev == done {
			e.down.bodiless = string(e.up.method) == "HEAD"
		}
	}
}

func (u *upSink) gap(n int) {
	e := (*exchange)(u)
	if e.up.skip(int64(n)); !e.active && e.up.state == opaque {
		e.begin()
	}
}

// begin notes the first byte of a request. One that begins while another is
// unanswered (pipelining) makes the connection opaque: pairing would be a guess.
func (e *exchange) begin() {
	if e.active {
		e.up.state, e.down.state = opaque, opaque
		return
	}
	e.active, e.answered, e.began = true, false, e.now
	e.ordinal++
	e.counts.Seen++
}

func (d *downSink) data(b []byte) {
	e := (*exchange)(d)
	if len(b) > 0 && e.active {
		e.answered = true
	}
	for len(b) > 0 {
		var ev event
		if b, ev = e.down.feed(b); ev == done && (e.down.status >= 200 || e.down.status == 101) {
			e.complete()
		}
	}
}

func (d *downSink) gap(n int) {
	e := (*exchange)(d)
	e.answered = e.answered || e.active
	if e.down.skip(int64(n)) == done {
		e.complete()
	}
}

// complete ends the active request with a whole response.
func (e *exchange) complete() {
	if !e.active {
		return
	}
	e.active = false
	if e.down.status >= 500 {
		e.failed = Error
		return
	}
	e.counts.OK++
	e.forget()
}

// forget drops what identified the last request, so that the next one on the
// connection does not inherit it.
func (e *exchange) forget() {
	e.up.method, e.up.target, e.up.id = e.up.method[:0], e.up.target[:0], e.up.id[:0]
}

// closed decides the active request when the connection ends. A false means
// that nothing is known.
func (e *exchange) closed(c *conn, how closing) (Outcome, bool) {
	switch {
	case e.up.state == opaque || e.down.state == opaque:
		if how == serverReset && (!e.answered || e.up.state != opaque) {
			return Reset, true
		}
		if how == cutOff {
			return "", false
		}
		return OK, true
	case how == serverReset:
		return Reset, true
	case c.flags&serverFIN != 0 && e.down.state == untilClose:
		if e.down.status >= 500 {
			return Error, true
		}
		return OK, true
	case c.flags&serverFIN != 0 && c.flags&clientFirst == 0:
		return Truncated, true
	case how == clientReset, c.flags&clientFIN != 0, how == replaced:
		return Timeout, true
	}
	return "", false
}

// closing is how a connection's life in the capture ended.
type closing uint8

const (
	cutOff      closing = iota // by the end of the capture
	replaced                   // by a new connection on the same tuple
	finished                   // both sides said FIN
	serverReset                // by a RST
	clientReset
)
