package analyzer

import "github.com/hopblame/hopblame/internal/tlstap"

// exchange follows the requests of one client connection to their outcome.
type exchange struct {
	up, down message
	active   bool // a request has begun and its response is not complete
	answered bool // bytes of its response were seen
	ordinal  int  // requests begun on this connection
	began    int64
	epoch    uint16 // of began
	seq      uint32 // of the request's first byte
	key      uint64 // of its message
	turns    bool   // heads are cut off: a request is what comes before a response
	counts   *RequestCounts
	log      *requestLog
	now      int64 // of the packet being fed
	nowEpoch uint16
	failed   Outcome
	tls      *secure // nil: the connection is in the clear
	doubtful bool    // it failed only if something else says so
	// late: the client has said FIN before its response was complete. One that has given up
	// looks the same as one that only has nothing more to say, until it acknowledges the
	// response or resets the connection: till then a whole response is held.
	late, held bool
}

// upSink and downSink are the two directions of an exchange as sinks; a
// conversion of the pointer, so nothing is allocated.
type (
	upSink   exchange
	downSink exchange
)

func (e *exchange) reset(counts *RequestCounts, log *requestLog) {
	e.up.reuse(true)
	e.down.reuse(false)
	*e = exchange{up: e.up, down: e.down, counts: counts, log: log, failed: OK}
}

func (m *message) reuse(request bool) {
	*m = message{request: request, head: m.head[:0], method: m.method[:0], target: m.target[:0], id: m.id[:0],
		stream: stream{early: m.early[:0]}, length: -1}
}

func (u *upSink) data(b []byte) {
	e := (*exchange)(u)
	if e.ordinal == 0 && e.tls == nil && e.up.state == atHead && len(e.up.head) == 0 && tlstap.IsTLS(b) {
		e.tls = newSecure(e)
	}
	if e.tls != nil {
		e.tls.feed(e, tlstap.Client, b, e.up.stream.at)
		return
	}
	e.requestBytes(b, e.up.stream.at)
}

// requestBytes follows what the client says; at is the sequence number of the first
// byte.
func (e *exchange) requestBytes(b []byte, at uint32) {
	e.turn()
	for len(b) > 0 {
		idle := e.up.state == atHead && len(e.up.head) == 0
		whole := b
		var ev event
		b, ev = e.up.feed(b)
		if idle && ev != nothing {
			e.begin(at, requestKey(whole, true))
		}
		at += uint32(len(whole) - len(b))
		if ev == headed || ev == done {
			e.down.bodiless = string(e.up.method) == "HEAD"
		}
	}
}

func (u *upSink) gap(n int) {
	e := (*exchange)(u)
	if e.tls != nil {
		e.tls.gap(e, tlstap.Client, n, e.up.stream.at)
		return
	}
	e.turn()
	cut := e.up.state == atHead && len(e.up.head) > 0 // by the snap length, in the middle of a head
	if e.up.skip(int64(n)); !e.active && e.up.state == opaque {
		e.begin(e.up.stream.at, 0)
	}
	e.turns = e.turns || cut
}

// turn sees a request begin where heads are cut off: with the first byte after a
// response.
func (e *exchange) turn() {
	if !e.turns || !e.answered || e.up.state != opaque {
		return
	}
	if e.active {
		e.active = false
		e.succeed()
		e.forget()
	}
	e.up.state, e.down.state, e.down.status = atHead, atHead, 0
}

// begin notes the first byte of a request. One that begins while another is
// unanswered (pipelining) makes the connection opaque: pairing would be a guess.
func (e *exchange) begin(seq uint32, key uint64) {
	if e.active {
		e.up.state, e.down.state = opaque, opaque
		return
	}
	e.active, e.answered, e.late, e.held, e.began, e.epoch, e.seq, e.key = true, false, false, false, e.now, e.nowEpoch, seq, key
	e.ordinal++
	e.counts.Seen++
}

func (d *downSink) data(b []byte) {
	e := (*exchange)(d)
	if e.tls != nil {
		e.tls.feed(e, tlstap.Server, b, e.down.stream.at)
		return
	}
	e.responseBytes(b)
}

// responseBytes follows what the server says.
func (e *exchange) responseBytes(b []byte) {
	if len(b) > 0 {
		e.heard()
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
	if e.tls != nil {
		e.tls.gap(e, tlstap.Server, n, e.down.stream.at)
		return
	}
	e.heard()
	switch ev := e.down.skip(int64(n)); {
	case ev == done:
		e.complete()
	case e.turns && e.active && e.down.state == opaque && e.down.status >= 500:
		e.active, e.failed = false, Error
	}
}

// heard notes that a byte of the response came, whether it was captured or not.
func (e *exchange) heard() {
	if e.active {
		e.answered, e.counts.answers = true, true
	}
}

// owed tells whether a request that cannot be read is one to which there is to be an answer:
// its head began as HTTP's does before it was cut off, or the server has answered others.
// With IPv6 a short snap length leaves no byte of a head.
func (e *exchange) owed() bool { return e.turns || e.counts.answers }

// complete ends the active request with a whole response.
func (e *exchange) complete() {
	if !e.active {
		return
	}
	if e.late && !e.held {
		e.held = true
		return
	}
	e.active = false
	if e.down.status >= 500 {
		e.failed = Error
		return
	}
	e.counts.slowest = max(e.counts.slowest, e.now-e.began)
	e.succeed()
	e.forget()
}

// laterSeq is where the latest request begins on a connection that had others before;
// 0 on one that had none.
func (e *exchange) laterSeq() uint32 {
	if e.ordinal < 2 {
		return 0
	}
	return e.seq
}

// succeed counts a good request.
func (e *exchange) succeed() {
	e.counts.OK++
	e.log.good.add(e.began)
	e.log.sizes.add(e.up.stream.next - e.seq)
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
	case e.tls != nil && e.tls.opened == sealed:
		return e.tls.closed(e, c, how)
	case e.held && how == clientReset:
		return Timeout, true
	case e.held && e.down.status >= 500:
		return Error, true
	case e.held:
		return OK, true
	case c.flags&alerted != 0 && how != serverReset:
		return TLSError, true
	case e.up.state == opaque || e.down.state == opaque:
		if how == serverReset && (!e.answered || e.up.state != opaque) {
			e.doubtful = !e.answered && c.flags&endBeyond != 0 // the answer may be what was not captured
			return Reset, true
		}
		switch {
		case how == cutOff:
			return "", false
		case e.down.status >= 500:
			return Error, true
		case e.owed() && !e.answered && c.flags&serverFIN != 0 && c.flags&clientFirst == 0 && c.flags&endBeyond == 0:
			return Truncated, true
		case e.owed() && !e.answered:
			return Timeout, true
		}
		return OK, true
	case how == serverReset:
		return Reset, true
	case c.flags&serverFIN != 0 && e.down.state == untilClose:
		if e.down.status >= 500 {
			return Error, true
		}
		return OK, true
	case c.serverFirst(e.tls):
		if c.flags&endBeyond != 0 { // what is not in the capture may have been the rest
			return "", false
		}
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
