package analyzer

import "github.com/hopblame/hopblame/internal/tlstap"

// secure follows an exchange inside TLS. With keys it is HTTP/1 or HTTP/2 as in the
// clear, only that a request begins where its record does. What is sealed shows when
// somebody speaks and how much, and no more: it is taken in turns.
//
//	client ──Finished──▶│──request──▶│            │──request──▶
//	       ◀──tickets── │            │◀─response──│
//	                  perhaps an    surely one
//	                  answer
type secure struct {
	tlstap.Conn
	e      *exchange // its own, while it is fed
	opened protocol
	h2     *h2 // of HTTP/2 that is opened
	// Of HTTP/1 that is opened: the latest request that was looked at, and its anchor if
	// it is one of the sample.
	anchored int
	anchor   *anchor
	keyed    bool        // the handshake is over for the client: its records are for the application
	refused  bool        // somebody ended the handshake with an alert under encryption
	alerts   tlstap.Mark // and there it is
	alerter  tlstap.Side
	goodbye  goodbye
	// Of what is sealed:
	heard    int64 // when the server spoke last
	burst    int64 // when the server's first record behind the handshake came
	answered answering
	turns    uint32 // how often the client spoke again after it was surely answered
	latest   uint32 // where the client's latest record begins
	records  int    // of the client
	attempts int    // of the proxy, for this connection
	blind    bool   // bytes were lost before the handshake was over
	later    bool   // a request of the connection went before, though it cannot be told apart
}

// protocol is what is spoken inside TLS.
type protocol uint8

const (
	sealed protocol = iota // nobody knows, or not any more
	http1
	multiplexed
)

// goodbye is who said good-bye first inside TLS (close_notify, RFC 8446 §6.1): its
// FIN need not be the first.
type goodbye uint8

const (
	nobodys goodbye = iota
	clients
	servers
)

// leaves notes a good-bye.
func (t *secure) leaves(side tlstap.Side) {
	if t.goodbye == nobodys {
		t.goodbye = clients + goodbye(side)
	}
}

// serverFirst tells whether the server closed the connection before the client did.
func (c *conn) serverFirst(t *secure) bool {
	return c.flags&serverFIN != 0 && (c.flags&clientFirst == 0 || t != nil && t.goodbye == servers)
}

// answering tells whether the server answered the latest request, as far as sealed
// records show.
type answering uint8

const (
	unanswered answering = iota
	perhaps              // or it was session tickets, or signalling of HTTP/2
	surely
)

const (
	// What protection adds to a record, and how long alerts and Finished are in TLS
	// 1.3, where they look like application data: RFC 8446 §5.2, §4.4.4, §6.
	aeadTag       = 16
	explicitNonce = 8 // TLS 1.2 with AES-GCM
	alert13       = 2 + 1 + aeadTag
	alertRecord   = 5 + explicitNonce + 2 + aeadTag // the longest that one is, header and all
	keyUpdate13   = 4 + 1 + 1 + aeadTag
	finished256   = 4 + 32 + 1 + aeadTag
	finished384   = 4 + 48 + 1 + aeadTag

	// signalling is the longest record of HTTP/2 that may be nothing but frames of
	// the connection itself: acknowledgments of SETTINGS and PING, WINDOW_UPDATE.
	signalling = 64
	// Session tickets come right behind the handshake, and are short (RFC 8446 §4.6.1).
	ticketBurst  = int64(2e6)
	longestStart = 1 << 10
	// Who speaks so long after the other side did is not in the middle of something.
	thought = int64(10e6)
)

// newSecure begins to follow TLS in an exchange.
func newSecure(e *exchange) *secure {
	return &secure{Conn: tlstap.Conn{Keys: e.log.keys}}
}

// feed takes the next bytes of a side, the first of which has a sequence number.
func (t *secure) feed(e *exchange, s tlstap.Side, b []byte, seq uint32) {
	t.e = e
	at := tlstap.Mark{Seq: seq, Time: e.now, Epoch: e.nowEpoch}
	if t.Feed(s, b, at, t); t.Broken(s) && !t.farewell(s, len(b)) {
		t.spoke(s, len(b), at)
	}
}

// farewell tells whether so few bytes of the client's, behind the handshake and of which
// it is not known where records begin, may be nothing but an alert: no request is as short.
func (t *secure) farewell(s tlstap.Side, n int) bool {
	return t.keyed && s == tlstap.Client && n <= alertRecord
}

// gap tells that n bytes passed that were not captured.
func (t *secure) gap(e *exchange, s tlstap.Side, n int, seq uint32) {
	t.e = e
	t.Lost(s, n)
	if !t.Broken(s) {
		return
	}
	if t.farewell(s, n) {
		return
	}
	t.blind = t.blind || !t.keyed
	t.keyed = t.keyed || s == tlstap.Client // its Finished may be what is missing
	t.spoke(s, n, tlstap.Mark{Seq: seq, Time: e.now, Epoch: e.nowEpoch})
	if s == tlstap.Client { // whether that was a request nobody has seen
		t.answered = max(t.answered, perhaps)
	}
}

// Record implements [tlstap.Sink].
func (t *secure) Record(r *tlstap.Record) {
	switch {
	case r.Opened && r.Type == tlstap.Alert:
		t.alert(r)
	case r.Type == tlstap.Alert && t.FromServer:
		t.leaves(r.Side) // in TLS 1.2 its type is not encrypted
	case r.Type != tlstap.ApplicationData:
	case r.Opened:
		t.keyed = true
		t.read(r)
	case t.inHandshake(r) || !t.Sealed():
	default:
		t.loseTrack()
		t.spoke(r.Side, r.Length, r.Begins)
	}
}

// alert reads one under encryption: what is no good-bye (RFC 8446 §6.1) ends a
// handshake that nobody took further.
func (t *secure) alert(r *tlstap.Record) {
	const closeNotify, userCanceled = 0, 90
	if len(r.Plain) == 2 && r.Plain[1] == closeNotify {
		t.leaves(r.Side)
	}
	if len(r.Plain) == 2 && r.Plain[1] != closeNotify && r.Plain[1] != userCanceled && t.e.ordinal == 0 {
		t.refuses(r)
	}
}

// refuses notes the alert that ended the handshake.
func (t *secure) refuses(r *tlstap.Record) { t.refused, t.alerts, t.alerter = true, r.Begins, r.Side }

// read follows what a record says.
func (t *secure) read(r *tlstap.Record) {
	if t.opened == sealed {
		is, known := looksLikeH2(r.Side, r.Plain)
		switch {
		case t.ALPN == "h2" || is && known:
			t.opened, t.h2 = multiplexed, newH2()
		case known || t.ALPN != "":
			t.opened = http1
		default:
			return // a few bytes of the server's before the client said anything
		}
	}
	e := t.e
	switch {
	case t.opened == multiplexed:
		if t.h2.feed(r.Side, r.Plain, r.Begins); t.h2.broken {
			t.loseTrack()
		}
	case r.Side == tlstap.Client:
		now, epoch := e.now, e.nowEpoch
		e.now, e.nowEpoch = r.Begins.Time, r.Begins.Epoch
		e.requestBytes(r.Plain, r.Begins.Seq)
		e.now, e.nowEpoch = now, epoch
	default:
		e.responseBytes(r.Plain)
	}
}

// loseTrack gives up reading. What is still open has no outcome that could be told.
func (t *secure) loseTrack() {
	if t.opened == sealed {
		return
	}
	t.opened, t.h2 = sealed, nil
	t.e.log.sealed++
	t.e.active, t.answered, t.later, t.keyed = false, unanswered, true, true
	t.e.forget()
}

// inHandshake tells whether a record under encryption is not the application's.
func (t *secure) inHandshake(r *tlstap.Record) bool {
	if t.Version != tlstap.TLS13 {
		t.keyed = true
		return false
	}
	switch {
	case t.keyed && r.Length == alert13:
		t.leaves(r.Side)
	case r.Side == tlstap.Server:
		return !t.keyed
	case t.keyed:
		return r.Length == keyUpdate13
	case r.Length == alert13:
		t.refuses(r)
	default:
		t.keyed = r.Length == finished256 || r.Length == finished384
	}
	return true
}

// mayMultiplex tells whether the connection may carry HTTP/2.
func (t *secure) mayMultiplex() bool {
	return !t.FromClient || t.OffersH2 && (t.ALPN == "" || t.ALPN == "h2")
}

// spoke notes that one side said something that cannot be read.
func (t *secure) spoke(s tlstap.Side, length int, at tlstap.Mark) {
	e := t.e
	small := t.mayMultiplex() && length <= signalling+aeadTag+explicitNonce
	if s == tlstap.Server {
		if t.heard = at.Time; t.burst == 0 {
			t.burst = max(1, at.Time)
		}
		ticket := t.Version == tlstap.TLS13 && length <= longestStart && at.Time-t.burst <= ticketBurst
		switch {
		case small && !t.Broken(s) || ticket:
			t.answered = max(t.answered, perhaps)
		default:
			t.answered = surely
		}
		e.answered = e.answered || e.active && t.answered == surely
		return
	}
	t.latest = at.Seq
	t.records++
	switch {
	case !e.active:
		t.begin(at)
	case small && !t.Broken(s): // nobody can tell whether it wants an answer
		t.answered = min(t.answered, perhaps)
		return
	case t.blind: // nor is it known where the handshake ended
	case t.answered == surely:
		t.turns++
		t.turn(at)
	case t.answered == perhaps && at.Time-t.heard > thought:
		t.turn(at)
	}
	t.answered = unanswered
}

// begin notes the first record of a request that cannot be read.
func (t *secure) begin(at tlstap.Mark) {
	e := t.e
	if t.later = t.later || e.ordinal > 0; !t.later {
		e.log.sealed++
	}
	e.begin(at.Seq, 0)
	e.began, e.epoch = at.Time, at.Epoch
}

// turn sees the next request begin: the client speaks again after it was answered.
// Where requests may overlap they are not counted.
func (t *secure) turn(at tlstap.Mark) {
	e := t.e
	if t.later = true; t.mayMultiplex() {
		e.seq, e.began, e.epoch, e.answered = at.Seq, at.Time, at.Epoch, false
		return
	}
	e.active = false
	e.succeed()
	t.begin(at)
}

// closed decides an open request that cannot be read when its connection ends; how is
// not [serverReset] of a connection that did not come so far.
func (t *secure) closed(e *exchange, c *conn, how closing) (Outcome, bool) {
	switch {
	case how == serverReset && c.flags&clientFirst != 0 && t.answered != unanswered:
		return OK, true
	case how == serverReset:
		e.doubtful = t.answered != unanswered || c.flags&endBeyond != 0
		return Reset, true
	case t.answered == surely:
		return OK, true
	case how == cutOff:
		return "", false
	case t.answered == perhaps:
		return OK, true
	case c.serverFirst(t) && c.flags&endBeyond != 0:
		return "", false
	case c.serverFirst(t):
		return Truncated, true
	}
	return Timeout, true
}

// handshake decides a connection that ends before anything was asked; OK if nothing
// went wrong, or nobody can tell.
func (t *secure) handshake(c *conn, how closing) Outcome {
	switch {
	case c.flags&alerted != 0 && how != serverReset, t.refused:
		return TLSError
	case how == serverReset:
		return Reset
	case t.FromClient && !t.FromServer && c.flags&serverFIN != 0 && c.flags&(clientFirst|endBeyond) == 0:
		return Truncated
	case t.FromClient && c.flags&clientFirst != 0 && t.unheard(c):
		return Timeout
	}
	return OK
}

// unheard tells whether the client has acknowledged nothing that the server said, and
// nothing of it was captured.
func (t *secure) unheard(c *conn) bool {
	d := &t.e.down
	return c.synAcks > 0 && d.known && d.next == c.serverISN+1
}
