package analyzer

import "slices"

// attempt is a request that the proxy passed on to a server, or tried to, for a client
// whose connection is sealed: the trailer of its frame names the client. Whether the
// request failed with it, or the proxy tried again, shows in what the proxy did next
// for the same client.
//
//	client (TLS)        f5                        server
//	 |--~~~~ request---->|--SYN----------✗
//	 |                   |--SYN 1s-------✗          last
//	 |                   |                          (it gives up)
//	 |<---~~~~-----------|                          no other attempt: the request failed
//	 |                   |--SYN to another--------->|   nothing from the client before it: a new try
type attempt struct {
	tuple
	isn    uint32
	seq    uint32 // of the request's first byte, on a connection that was used before
	front  tuple
	asked  sealedRequest // as the client had spoken when it began
	begun  int64
	epochs [2]uint16 // of begun and last
	last   int64     // when the proxy tried for the last time, or the attempt came to its end
	gap    int64     // the longest time between two tries
	spoken uint32    // what the client had sent by then: the number behind the last byte
	turns  uint32    // and how often it had surely been answered before it spoke
	next   following
	// connected: the connection had come about when it failed.
	connected bool
	ended     bool // somebody ended it; else it was given up some time after the last try
	alone     bool // the client's connection ended after the last try: nothing more can come of it
}

// sealedRequest is where a request inside TLS may have begun.
type sealedRequest struct {
	isn       uint32 // of the client's connection
	knowsISN  bool
	seq       uint32 // of a byte of it
	first     bool   // it is the first of its connection
	multiplex bool   // others may be under way on the connection
	more      bool   // and the client's records may ask for more than the proxy attempted so far
}

// following is what the proxy did next for a client.
type following uint8

const (
	nothingMore following = iota
	triedAgain            // at once: the client had not spoken
	seemsAgain            // the same, only that the client had asked for more before
	another               // another request of the client, surely
	eitherOne             // the one or the other
)

// soonest is less than any proxy waits for the answer to its first SYN.
const soonest = int64(20e6)

// attempts follows what a proxy does for sealed connections, at a point that has its
// trailers.
type attempts struct {
	fronts map[tuple][]*attempt // of which it is not known that they succeeded
	of     map[flowKey]*attempt // by their own connection
	n      int
	lost   int // that were not followed for want of memory
	// pooled: the proxy uses connections again. A request for which it opens one may be
	// sent on another that comes free, and what became of the new one means nothing.
	pooled bool
}

// maxAttempts bounds the attempts that are followed at a time.
const maxAttempts = 1 << 16

// attempted notes what the proxy begins on a connection, if it does so for a sealed
// one of a client; seq is the request's first byte, or 0 with a SYN.
func (s *survey) attempted(c *conn, p *packet, frame []byte, wireLength int, seq uint32) {
	var n trailerNote
	if !decodeTrailer(frame, wireLength, &n) || n.ingress || !n.hasPeer {
		return
	}
	front := s.conn(n.peer)
	if front == nil || front.connection == nil || front.exchange < 0 || s.tuple(front) != n.peer {
		return
	}
	e := &s.log.exchanges[front.exchange]
	if e.tls == nil || !e.tls.Sealed() {
		return
	}
	a := &s.log.attempts
	if a.of == nil {
		a.fronts, a.of = map[tuple][]*attempt{}, map[flowKey]*attempt{}
	}
	if a.n >= maxAttempts {
		a.lost++
		return
	}
	x := &attempt{tuple: s.tuple(c), isn: c.isn, seq: seq, front: n.peer, begun: p.time, epochs: [2]uint16{s.epoch(), s.epoch()}, asked: e.tls.asking(e, front)}
	x.tried(p.time, e)
	for _, y := range a.fronts[x.front] {
		y.followed(x, p.time)
	}
	a.pooled = a.pooled || seq != 0
	a.n++
	a.of[c.key] = x
	a.fronts[x.front] = append(a.fronts[x.front], x)
}

// tried notes the time of the latest try, and how far the client had come.
func (x *attempt) tried(at int64, e *exchange) {
	if x.last != 0 {
		x.gap = max(x.gap, at-x.last)
	}
	x.last, x.next, x.alone = at, nothingMore, false
	x.spoken, x.turns = e.up.stream.next, e.tls.turns
}

// followed notes that the proxy began another attempt for the same client. Right
// after a try it waits for the answer, and will not try anything else.
func (x *attempt) followed(y *attempt, at int64) {
	waits := max(x.gap/2, soonest)
	if x.ended || !y.asked.multiplex { // but on a connection that came free
		waits = 0
	}
	if x.next != nothingMore || at < x.last+waits {
		return
	}
	switch {
	case y.spoken == x.spoken && y.asked.multiplex && y.asked.more:
		x.next = seemsAgain
	case y.spoken == x.spoken:
		x.next = triedAgain
	case !y.asked.multiplex && y.turns != x.turns:
		x.next = another
	default:
		x.next = eitherOne
	}
}

// attemptOf returns the attempt that a connection is; nil for none.
func (s *survey) attemptOf(c *conn) *attempt {
	if s.log == nil || s.log.attempts.of == nil {
		return nil
	}
	return s.log.attempts.of[c.key]
}

// triedAgain notes a retransmission of its SYN.
func (s *survey) triedAgain(c *conn, at int64) {
	if x := s.attemptOf(c); x != nil {
		s.renew(x, at)
	}
}

// renew notes a try, or the end, of an attempt.
func (s *survey) renew(x *attempt, at int64) {
	if at <= x.last {
		return
	}
	x.epochs[1] = s.epoch()
	front := s.conn(x.front)
	if front == nil || front.connection == nil || front.exchange < 0 {
		x.last = at
		return
	}
	if e := &s.log.exchanges[front.exchange]; e.tls != nil {
		x.tried(at, e)
	}
}

// succeeded lets go of a connection's attempt.
func (s *survey) succeeded(c *conn) {
	x := s.attemptOf(c)
	if x == nil {
		return
	}
	a := &s.log.attempts
	a.n--
	delete(a.of, c.key)
	rest := slices.DeleteFunc(a.fronts[x.front], func(y *attempt) bool { return y == x })
	if len(rest) == 0 {
		delete(a.fronts, x.front)
	} else {
		a.fronts[x.front] = rest
	}
}

// failedAttempt takes the attempt of a connection on which a request failed.
func (s *survey) failedAttempt(c *conn, at int64) *attempt {
	x := s.attemptOf(c)
	if x == nil {
		return nil
	}
	delete(s.log.attempts.of, c.key)
	s.renew(x, at)
	x.connected, x.ended = c.flags&completed != 0, x.ended || at > c.lastSYN
	return x
}

// leavesAlone notes that a client's connection ended.
func (s *survey) leavesAlone(c *conn, at int64) {
	for _, x := range s.log.attempts.fronts[s.tuple(c)] {
		x.alone = x.alone || x.asked.isn == c.isn && at >= x.last
	}
}

// forNobody tells whether a connection is asked for on behalf of a client that is gone: it
// has got no answer, however soon after its last SYN the capture ends.
func (s *survey) forNobody(c *conn) bool {
	x := s.attemptOf(c)
	return x != nil && x.alone
}

// asking is what the client asked for last on a sealed connection, as well as can be
// told: where nothing else is under way the first record since it was answered, else
// the latest one.
func (t *secure) asking(e *exchange, c *conn) sealedRequest {
	r := sealedRequest{isn: c.isn, knowsISN: c.flags&knowsISN != 0, seq: e.seq, first: !t.later, multiplex: t.mayMultiplex()}
	if r.multiplex {
		r.seq, r.first, r.more = t.latest, t.attempts == 0, t.records > t.attempts
	}
	if !e.active { // what it asked was not captured
		r.seq = e.up.stream.next
	}
	t.attempts++
	return r
}
