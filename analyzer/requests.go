package analyzer

import "time"

// requestLog follows the requests at one point.
type requestLog struct {
	exchanges []exchange
	free      []int32
	failures  []failure
}

// failure is a request that failed, as the start point saw it.
type failure struct {
	tuple
	isn                uint32
	knowsISN           bool
	server             *serverSeen
	start              int64 // SYN, or first byte on a re-used connection
	began              int64 // first byte; 0: none was sent
	ended              int64
	endFrame           uint64
	outcome            Outcome
	method, target, id string
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
	l.exchanges[i].reset(counts)
	return i
}

// synPatience is how long the capture must go on after a connection's last
// SYN for its silence to count as a failure: the first retransmission timeout
// of RFC 6298 §2. Answers come within a round trip of some SYN or not at all.
const synPatience = int64(time.Second)

// decide settles what is open on a connection that ends this way, and lets go
// of its exchange.
func (s *survey) decide(c *conn, how closing, at int64, frame uint64) {
	if c.exchange < 0 {
		return
	}
	e := &s.log.exchanges[c.exchange]
	switch {
	case e.active:
		outcome, known := e.closed(c, how)
		switch {
		case !known:
		case outcome == OK:
			e.counts.OK++
		default:
			e.failed = outcome
		}
	case e.ordinal > 0:
	case how == serverReset:
		if e.failed = Reset; c.synAcks == 0 && c.flags&hadAnswered == 0 {
			e.failed = Refused
		}
	case c.flags&sawSYN != 0 && c.synAcks == 0 && how != clientReset:
		if _, end := s.coverage(); how == replaced || end-c.lastSYN >= synPatience {
			e.failed = Timeout
		}
	}
	if e.failed != OK {
		if e.ordinal == 0 {
			e.counts.Seen++
		}
		s.fail(c, e, at, frame)
	}
	s.log.free = append(s.log.free, c.exchange)
	c.exchange = -1
}

// fail records the failed request of an exchange.
func (s *survey) fail(c *conn, e *exchange, at int64, frame uint64) {
	f := failure{tuple: s.tuple(c), isn: c.isn, knowsISN: c.flags&knowsISN != 0, server: c.server,
		start: c.started, began: e.began, ended: at, endFrame: frame, outcome: e.failed,
		method: string(e.up.method), target: string(e.up.target), id: string(e.up.id)}
	if e.ordinal > 1 {
		f.start = e.began
	}
	e.failed = OK
	e.forget()
	e.counts.Failed++
	s.log.failures = append(s.log.failures, f)
}
