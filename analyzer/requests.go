package analyzer

import (
	"time"

	"github.com/hopblame/hopblame/internal/tlstap"
)

// requestLog follows the requests at one point.
type requestLog struct {
	exchanges []exchange
	free      []int32
	silent    exchange // stands for that of a connection on which nothing was said
	failures  []failure
	pending   []failure
	// Connections of which nothing but unanswered SYNs was seen, and those of them
	// beyond what is judged.
	unanswered, unjudged int
	keys                 *tlstap.KeyRing // open TLS; nil: none are known
	opensWith            int             // how many connections they were for
	sealed               int             // connections whose requests are in TLS and cannot be read
	attempts             attempts
	refused              map[uint64]bool // requests of HTTP/2 that the server did not look at, by key: whether they were sent again
	good                 rhythm
	sizes                sizeCounts // of good requests
}

// failure is a request that failed, as the start point saw it.
type failure struct {
	tuple
	isn                uint32
	knowsISN           bool
	server             *serverSeen
	frame              uint64 // its SYN, or first packet
	start              int64  // SYN, or first byte on a re-used connection
	began              int64  // first byte; 0: none was sent
	ended              int64
	endFrame           uint64
	seq                uint32 // of the request's first byte; valid if began
	size               uint32 // of the request as far as it was sent, in bytes
	unfinished         bool   // more of it was still to come when it ended
	key                uint64 // of its message; 0: unknown
	epochs             [3]uint16
	outcome            Outcome
	method, target, id string
	reused             bool     // another request of the connection went before
	attempt            *attempt // of the proxy for a sealed connection; nil for a request of its own
	inside             bool     // it failed inside TLS, and its connection went on
	stream             uint32   // of HTTP/2; 0: none
	how                string   // it ended inside, for people
	endSeq             uint32   // of the record that says so
	endToServer        bool     // and who sent that
	refused            bool     // the server did not look at it, and the client may have sent it again
	doubtful           bool     // it failed only if something else says so: it may have been answered inside TLS
	// pending: the capture does not show how the request ended; another may.
	pending bool
}

// hidden tells whether nothing on the client's side shows that the request failed.
func (f *failure) hidden() bool { return f.inside && f.attempt != nil }

// begin starts to follow a connection on which something is said.
func (l *requestLog) begin(c *conn) int32 {
	i := l.get(&c.server.counts)
	if c.flags&knowsISN != 0 {
		l.exchanges[i].up.start(c.isn + 1)
	}
	if c.synAcks > 0 {
		l.exchanges[i].down.start(c.serverISN + 1)
	}
	return i
}

func (l *requestLog) get(counts *RequestCounts) int32 {
	var i int32
	if n := len(l.free); n > 0 {
		i = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		i = int32(len(l.exchanges))
		l.exchanges = append(l.exchanges, exchange{})
	}
	l.exchanges[i].reset(counts, l)
	return i
}

// synPatience is how long the capture must go on after a connection's last
// SYN for its silence to count as a failure: the first retransmission timeout
// of RFC 6298 §2. Answers come within a round trip of some SYN or not at all.
const synPatience = int64(time.Second)

// callersPatience is how long a connection may be asked for in vain, by SYN after SYN, for
// whoever waits for it to have been failed, whatever a later one may bring: the time in
// which a SYN is repeated twice by RFC 6298 §5. TCP of Linux repeats it every second at first
// (net.ipv4.tcp_syn_linear_timeouts), so a client that gives up and ends the capture may do
// so within synPatience of its last.
const callersPatience = 3 * synPatience

// decide settles what is open on a connection that ends this way, and lets go
// of its exchange.
func (s *survey) decide(c *conn, how closing, at int64, frame uint64) {
	if c.flags&followed == 0 {
		return
	}
	c.flags &^= followed
	e := &s.log.silent
	if c.exchange >= 0 {
		e = &s.log.exchanges[c.exchange]
	} else {
		e.reset(&c.server.counts, s.log)
	}
	if e.tls != nil && how != cutOff && s.log.attempts.of != nil {
		s.leavesAlone(c, at)
	}
	if e.tls != nil && e.tls.h2 != nil {
		s.decideStreams(c, e, how, at, frame)
	}
	switch {
	case e.active:
		outcome, known := e.closed(c, how)
		switch {
		case !known:
			s.leavePending(c, e, at)
		case outcome == OK:
			e.succeed()
		default:
			e.failed = outcome
		}
	case e.ordinal > 0:
	case e.tls != nil:
		e.failed = e.tls.handshake(c, how)
	case how == serverReset:
		if e.failed = Reset; c.synAcks == 0 && c.flags&hadAnswered == 0 {
			e.failed = Refused
		}
	case c.flags&sawSYN != 0 && c.synAcks == 0 && how != clientReset:
		if how == replaced || s.until()-c.lastSYN >= synPatience || c.syns > 2 && s.until()-c.started >= callersPatience || s.forNobody(c) {
			e.failed = Timeout
		}
	}
	if e.failed != OK {
		if e.ordinal == 0 {
			e.counts.Seen++
		}
		s.fail(c, e, at, frame)
	} else if s.log.attempts.of != nil {
		s.succeeded(c)
	}
	if c.exchange >= 0 {
		s.log.free = append(s.log.free, c.exchange)
		c.exchange = -1
	}
}

// fail records the failed request of an exchange.
func (s *survey) fail(c *conn, e *exchange, at int64, frame uint64) {
	f := s.failureOf(c, e, at)
	f.endFrame, f.outcome = frame, e.failed
	f.attempt = s.failedAttempt(c, at)
	e.failed = OK
	e.forget()
	e.counts.Failed++
	if f.began == 0 && f.outcome == Timeout {
		if s.log.unanswered++; s.log.unanswered > maxUnanswered+int(s.packets/128) {
			s.log.unjudged++
			return
		}
	}
	s.log.failures = append(s.log.failures, f)
}

// maxUnanswered bounds how many connections of which nothing but unanswered SYNs
// was seen are judged, beside one for 128 packets. A flood of SYNs has a million of
// them, and nobody asks about each.
const maxUnanswered = 4096

func (s *survey) failureOf(c *conn, e *exchange, at int64) failure {
	f := failure{tuple: s.tuple(c), isn: c.isn, knowsISN: c.flags&knowsISN != 0, server: c.server, frame: c.frame,
		start: c.started, began: e.began, ended: at, seq: e.seq, key: e.key,
		epochs: [3]uint16{c.synEpoch, e.epoch, s.epoch()}, doubtful: e.doubtful, reused: e.ordinal > 1 || e.tls != nil && e.tls.later,
		method: string(e.up.method), target: string(e.up.target), id: string(e.up.id)}
	if e.ordinal > 0 && e.up.stream.known {
		f.size = e.up.stream.next - e.seq
		f.unfinished = e.up.inside()
	}
	if f.reused {
		f.start, f.epochs[0] = e.began, e.epoch
	}
	if e.tls != nil && e.tls.refused && e.failed == TLSError {
		f.endSeq, f.endToServer = e.tls.alerts.Seq, e.tls.alerter == tlstap.Client
	}
	if f.id != "" {
		f.key = hashKey(e.up.id, nil)
	}
	return f
}

// maxPending bounds the requests whose end is looked for at other points.
const maxPending = 4096

// leavePending remembers a request that was open when its connection was last
// seen, long before the capture ended: the end itself may not have been captured.
func (s *survey) leavePending(c *conn, e *exchange, at int64) {
	if s.until()-c.last < synPatience || len(s.log.pending) >= maxPending {
		return
	}
	f := s.failureOf(c, e, at)
	f.pending = true
	s.log.pending = append(s.log.pending, f)
}
