package bigip

import (
	"errors"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

// relayBytes is the size of the buffer for what a member sends.
const relayBytes = 16 << 10

// state is how far a connection has come.
type state uint8

const (
	readingRequest state = iota // the clientside half only
	connecting                  // SYN sent to the member
	relaying                    // both halves
	closing                     // the member is done; the client has yet to say so
)

// conn is one client's connection and the serverside one opened for it. Where the f5
// looks into each request (see layer7), one of the two halves ends in memory instead.
type conn struct {
	proxy      *Proxy
	state      state
	clientAddr netip.AddrPort
	client     half
	server     half
	toServer   stream
	toClient   stream

	flow      *Flow
	ordinal   int    // of the request; -1 while it is not known
	member    int    // index in the pool
	because   *Flow  // whose fate ends a client's connection that has no flow of its own
	isn       uint32 // of the serverside half, kept over its retransmissions
	timer     eventloop.Timer
	portWaits int // how often its own port was not to be had
	scanned   int // bytes of the request already searched for the header's end

	active time.Time // when something passed
	idle   eventloop.Timer
	stall  eventloop.Timer
	shut   time.Time // since when the window of a half that is written to is zero
}

// half is one of a connection's two ends: a TCP connection, or a pipe.
type half struct {
	conn     *conn
	fd       int // -1: not a TCP connection, or not yet
	pipe     *pipe
	readable bool
	writable bool
	peerShut bool
	failed   bool   // the other end has reset it
	wrote    bool   // the last thing done with it was to write
	told     string // what its RST says, where that carries the cause
}

// stream carries bytes from one half to the other.
type stream struct {
	from, to   *half
	buf        []byte // grows to most as it is needed: thousands of clients may say nothing
	most       int
	start, end int
	eof        bool // from has sent its FIN and all before it is in buf
	shut       bool // the FIN was passed on
}

func (c *conn) recycle() {
	c.state, c.flow, c.isn, c.scanned, c.clientAddr, c.member = readingRequest, nil, 0, 0, netip.AddrPort{}, 0
	c.ordinal, c.shut, c.because, c.portWaits = -1, time.Time{}, nil, 0
	c.client.reset()
	c.server.reset()
	c.toServer.reset()
	c.toClient.reset()
}

func (h *half) reset()   { *h = half{conn: h.conn, fd: -1} }
func (s *stream) reset() { s.start, s.end, s.eof, s.shut = 0, 0, false, false }

// side says which of the two halves h is.
func (h *half) side() side {
	if h == &h.conn.server {
		return serverside
	}
	return clientside
}

// Ready implements [eventloop.Handler] for a half.
func (h *half) Ready(_ int, events uint32) {
	c := h.conn
	c.active = c.proxy.loop.Now()
	if events&(eventloop.Readable|eventloop.PeerShut|eventloop.Failed|eventloop.HungUp) != 0 {
		h.readable = true
	}
	if events&eventloop.PeerShut != 0 {
		h.peerShut = true
	}
	if events&eventloop.Writable != 0 {
		h.writable = true
	}
	if events&eventloop.Failed != 0 {
		h.failed = true
	}
	switch {
	case c.state == readingRequest:
		c.readRequest()
	case c.state == connecting && h == &c.server:
		c.connected(events)
	case c.state == connecting:
		c.watchClient(events)
	case c.state == closing:
		c.awaitClientFIN()
	default:
		c.relay()
	}
}

// readRequest collects the header; the HTTP profile opens the serverside only
// when it is complete.
func (c *conn) readRequest() {
	s := &c.toServer
	if err := s.fill(); err != nil {
		c.end(ClientGone) // the client gave up before it asked for anything
		return
	}
	size := headerEnd(s.buf[:s.end], &c.scanned)
	http := &c.proxy.config.HTTP
	switch {
	case size > http.headerSize():
		c.end(HeaderOversized)
	case size > 0:
		c.request(s.buf[:size])
	case s.eof:
		c.end(ClientGone)
	case s.end >= http.headerSize():
		c.end(HeaderOversized)
	}
}

// request does what is to be done with a request of which the header is there.
func (c *conn) request(header []byte) {
	p := c.proxy
	event, refused := p.config.HTTP.violation(header)
	if !refused {
		event, refused = decideHeader(p.config.Rules, header)
	}
	if refused {
		c.end(event)
		return
	}
	c.dial(requestOrdinal(header))
}

// watchClient sees a client that gives up while the serverside is being opened.
func (c *conn) watchClient(events uint32) {
	if events&eventloop.Failed != 0 {
		c.proxy.dialed(c)
		c.end(ClientReset)
	}
}

// relay moves what can be moved, in both directions, and ends the connection when
// there is nothing left to move.
func (c *conn) relay() {
	if failed, err := c.toServer.pump(); err != nil {
		c.end(failed.event(err))
		return
	}
	if failed, err := c.toClient.pump(); err != nil {
		c.end(failed.event(err))
		return
	}
	// A reset that neither a read nor a write has met: the member does not take
	// what there is, or the client had sent its FIN before.
	if c.client.failed {
		c.end(c.client.event(eventloop.Error(c.client.fd)))
		return
	}
	if c.toClient.eof && c.toClient.start == c.toClient.end && c.toServer.start == c.toServer.end {
		c.memberDone()
		return
	}
	if c.toServer.blocked() || c.toClient.blocked() || c.server.isTCP() && c.server.wrote {
		c.watchWindow()
	}
}

// memberDone passes the member's FIN on, once the client was sent all that came
// before it. The clientside socket is not closed yet: closing one that the client
// is still sending to resets it, and takes the response with it. The serverside
// half goes first, which frees its port before the client can use its own again.
func (c *conn) memberDone() {
	if c.toServer.eof {
		c.end(NothingLeft)
		return
	}
	c.server.close(fin)
	if err := c.client.shutdown(); err != nil {
		c.end(NothingLeft)
		return
	}
	c.state = closing
	c.proxy.loop.Arm(&c.timer, time.Now().Add(c.proxy.clientside.FINWaitTimeout), c.finUnanswered)
	c.awaitClientFIN()
}

// awaitClientFIN reads what nobody wants any more, up to the client's FIN.
func (c *conn) awaitClientFIN() {
	for c.client.readable {
		c.toServer.end = 0
		if !c.toServer.room() {
			return
		}
		n, err := c.client.read(c.toServer.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			c.client.readable = false
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ETIMEDOUT):
			c.end(ClientUnresponsive)
			return
		case err != nil, n == 0:
			c.end(NothingLeft)
			return
		}
	}
}

// finUnanswered is called when the client has not answered the FIN in time. If its
// window is shut, the FIN has not been sent yet.
func (c *conn) finUnanswered() {
	if i, err := c.client.info(); err == nil && i.Notsent_bytes > 0 {
		c.watchWindow()
		c.proxy.loop.Arm(&c.timer, time.Now().Add(c.proxy.clientside.FINWaitTimeout), c.finUnanswered)
		return
	}
	c.end(NothingLeft)
}

// event says what befell a half, by the error that a read or write of it met.
func (h *half) event(err error) Event {
	client, member := ClientReset, MemberReset
	switch {
	case errors.Is(err, unix.ETIMEDOUT) && h.keepAliveRanOut():
		client, member = ClientKeepAliveLost, MemberKeepAliveLost
	case errors.Is(err, unix.ETIMEDOUT):
		client, member = ClientUnresponsive, MemberUnresponsive
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		client, member = Unroutable, Unroutable
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EADDRINUSE):
		client, member = PortsExhausted, PortsExhausted
	}
	if h.side() == serverside {
		return member
	}
	return client
}

// end ends both halves as the event demands — the serverside one first, which frees
// its port before the client can use its own again — and keeps the connection's
// memory for the next client. Causes are on record before the packets can be.
func (c *conn) end(e Event) {
	p := c.proxy
	how := &endings[e]
	p.loop.Disarm(&c.timer)
	p.loop.Disarm(&c.idle)
	p.loop.Disarm(&c.stall)
	if how.server == rst && c.server.canReset() {
		p.noteReset(c, serverside, e)
	}
	if how.client == rst {
		if c.flow != nil {
			c.flow.Reset, c.flow.Peer = p.config.HTTP.causeOf(e).Text, how.peer(clientside)
		}
		if c.client.canReset() {
			p.noteReset(c, clientside, e)
		}
	}
	client := c.clientAddr
	if c.client.pipe != nil {
		client = netip.AddrPort{}
	}
	now := p.table.closed(client, c.flow)
	if c.server.pipe != nil && how.server == rst {
		for _, m := range c.server.pipe.behind {
			if m.conn != nil {
				m.conn.end(e)
			}
		}
	}
	c.server.end(how.server, e)
	if c.flow != nil {
		c.flow.Closed = now
		p.members.closed(c.member)
		p.translation.release(c.flow.SNAT, c.flow.Member)
	}
	if c.client.isTCP() {
		p.clients--
	}
	c.client.end(how.client, e)
	delete(p.live, c)
	p.keep(c)
}

// pump reads and writes until neither makes progress. It returns the half that
// failed, and how.
func (s *stream) pump() (failed *half, err error) {
	for {
		before := s.end - s.start
		read := s.end
		if err := s.fill(); err != nil {
			return s.from, err
		}
		read = s.end - read
		if err := s.flush(); err != nil {
			return s.to, err
		}
		if read == 0 && s.end-s.start == before {
			return nil, nil
		}
	}
}

// blocked says whether there is something to write that the other half does not take.
func (s *stream) blocked() bool { return s.start < s.end && !s.to.writable }

// firstBytes is the size that a buffer begins with: most requests fit.
const firstBytes = 4 << 10

// room sees that there is room behind what was read; false if there may be no more.
func (s *stream) room() bool {
	if s.end == len(s.buf) && s.end < s.most {
		grown := make([]byte, min(max(firstBytes, 2*len(s.buf)), s.most))
		copy(grown, s.buf)
		s.buf = grown
	}
	return s.end < len(s.buf)
}

// fill reads what there is and what there is room for.
func (s *stream) fill() error {
	for s.from.readable && !s.eof && s.room() {
		n, err := s.from.read(s.buf[s.end:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			s.from.readable = false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			s.eof = true
		default:
			// A short read has emptied the socket; the next byte brings a
			// new event. Not so a FIN that has already been told of.
			if s.end += n; s.end < len(s.buf) && !s.from.peerShut {
				s.from.readable = false
			}
		}
	}
	return nil
}

// flush writes what was read, and then the FIN.
func (s *stream) flush() error {
	for s.start < s.end && s.to.writable {
		n, err := s.to.write(s.buf[s.start:s.end])
		switch {
		case errors.Is(err, unix.EAGAIN):
			s.to.writable = false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		default:
			s.start += n
		}
	}
	if s.start == s.end {
		s.start, s.end = 0, 0
		// Toward the client the FIN is sent by memberDone.
		if s.eof && !s.shut && s.to.side() == serverside {
			s.shut = true
			if err := s.to.shutdown(); err != nil && !errors.Is(err, unix.ENOTCONN) {
				return err
			}
		}
	}
	return nil
}
