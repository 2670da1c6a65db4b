package bigip

import (
	"errors"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

// Sizes of a connection's buffers.
const (
	maxHeaderBytes = 32768 // http profile: max-header-size
	relayBytes     = 16 << 10
)

// state is how far a connection has come.
type state uint8

const (
	readingRequest state = iota // the clientside half only
	connecting                  // SYN sent to the member
	relaying                    // both halves
	closing                     // the member is done; the client has yet to say so
)

// conn is one client's connection and the serverside one opened for it.
type conn struct {
	proxy      *Proxy
	state      state
	clientAddr netip.AddrPort
	client     half
	server     half
	toServer   stream
	toClient   stream

	flow    *Flow
	isn     uint32 // of the serverside half, kept over its retransmissions
	timer   eventloop.Timer
	scanned int // bytes of the request already searched for the header's end
}

// half is one of a connection's two TCP connections.
type half struct {
	conn     *conn
	fd       int
	readable bool
	writable bool
	peerShut bool
	failed   bool // the other end has reset it
}

// stream carries bytes from one half to the other.
type stream struct {
	from, to   *half
	buf        []byte
	start, end int
	eof        bool // from has sent its FIN and all before it is in buf
	shut       bool // the FIN was passed on
}

func (c *conn) recycle() {
	c.state, c.flow, c.isn, c.scanned, c.clientAddr = readingRequest, nil, 0, 0, netip.AddrPort{}
	c.client.reset()
	c.server.reset()
	c.toServer.reset()
	c.toClient.reset()
}

func (h *half) reset()   { *h = half{conn: h.conn, fd: -1} }
func (s *stream) reset() { s.start, s.end, s.eof, s.shut = 0, 0, false, false }

// Ready implements [eventloop.Handler] for a half.
func (h *half) Ready(_ int, events uint32) {
	c := h.conn
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
		c.drop() // the client gave up before it asked for anything
		return
	}
	end := headerEnd(s.buf[:s.end], &c.scanned)
	switch {
	case end:
		c.dial(requestOrdinal(s.buf[:s.end]), 0)
	case s.eof:
		c.drop()
	case s.end == len(s.buf):
		c.resetClient(HeaderTooLarge, false)
	}
}

// watchClient sees a client that gives up while the serverside is being opened.
func (c *conn) watchClient(events uint32) {
	if events&eventloop.Failed != 0 {
		c.proxy.dialed(c)
		c.resetServer(RemoteReset)
	}
}

// relay moves what can be moved, in both directions, and ends the connection when
// there is nothing left to move.
func (c *conn) relay() {
	if failed, err := c.toServer.pump(); err != nil {
		c.halfFailed(failed, err)
		return
	}
	if failed, err := c.toClient.pump(); err != nil {
		c.halfFailed(failed, err)
		return
	}
	// A reset that neither a read nor a write has met: the member does not take
	// what there is, or the client had sent its FIN before.
	if c.client.failed {
		c.resetServer(RemoteReset)
		return
	}
	if c.toClient.eof && c.toClient.start == c.toClient.end && c.toServer.start == c.toServer.end {
		c.memberDone()
	}
}

// finWaitTimeout is how long a client may take to answer the proxy's FIN
// (fin-wait-timeout of the tcp profile).
const finWaitTimeout = 5 * time.Second

// memberDone passes the member's FIN on, once the client was sent all that came
// before it. The clientside socket is not closed yet: closing one that the client
// is still sending to resets it, and takes the response with it. The serverside
// half goes first, which frees its port before the client can use its own again.
func (c *conn) memberDone() {
	if c.toServer.eof {
		c.drop()
		return
	}
	c.proxy.loop.Forget(c.server.fd)
	unix.Close(c.server.fd)
	c.server.reset()
	if err := unix.Shutdown(c.client.fd, unix.SHUT_WR); err != nil {
		c.drop()
		return
	}
	c.state = closing
	c.proxy.loop.Arm(&c.timer, time.Now().Add(finWaitTimeout), c.drop)
	c.awaitClientFIN()
}

// awaitClientFIN reads what nobody wants any more, up to the client's FIN.
func (c *conn) awaitClientFIN() {
	for c.client.readable {
		n, err := unix.Read(c.client.fd, c.toServer.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			c.client.readable = false
		case errors.Is(err, unix.EINTR):
		case err != nil, n == 0:
			c.drop()
			return
		}
	}
}

func (c *conn) halfFailed(failed *half, err error) {
	if failed == &c.client {
		c.resetServer(RemoteReset)
		return
	}
	c.resetClient(causeOf(err), true)
}

// causeOf says in BIG-IP's words what befell a half.
func causeOf(err error) Cause {
	switch {
	case errors.Is(err, unix.ETIMEDOUT):
		return RetransmitTimeout
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return NoRoute
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EADDRINUSE):
		return NoLocalPort
	}
	return RemoteReset
}

// resetClient resets the clientside half. The cause is on record before the
// packet can be.
func (c *conn) resetClient(cause Cause, peer bool) {
	if c.flow != nil {
		c.flow.Reset, c.flow.Peer = cause.Text, peer
	}
	c.proxy.table.reset(clientside, c.clientAddr, c.flow, cause, peer)
	c.end(closeQuietly, eventloop.Reset)
}

// resetServer resets the serverside half because of what the client did.
func (c *conn) resetServer(cause Cause) {
	if c.flow != nil {
		c.proxy.table.reset(serverside, c.clientAddr, c.flow, cause, true)
	}
	c.end(eventloop.Reset, closeQuietly)
}

// drop closes both halves with a FIN.
func (c *conn) drop() { c.end(closeQuietly, closeQuietly) }

func closeQuietly(fd int) { unix.Close(fd) }

// end closes the serverside half, then the clientside one, and keeps the
// connection's memory for the next client.
func (c *conn) end(closeServer, closeClient func(fd int)) {
	p := c.proxy
	p.loop.Disarm(&c.timer)
	now := p.table.closed(c.clientAddr, c.flow)
	if c.server.fd >= 0 {
		p.loop.Forget(c.server.fd)
		closeServer(c.server.fd)
	}
	if c.flow != nil {
		c.flow.Closed = now
	}
	if c.client.fd >= 0 {
		p.loop.Forget(c.client.fd)
		closeClient(c.client.fd)
	}
	delete(p.live, c)
	c.recycle()
	p.free = append(p.free, c)
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

// fill reads what there is and what there is room for.
func (s *stream) fill() error {
	for s.from.readable && !s.eof && s.end < len(s.buf) {
		n, err := unix.Read(s.from.fd, s.buf[s.end:])
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
		n, err := unix.Write(s.to.fd, s.buf[s.start:s.end])
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
		if s.eof && !s.shut && s.to == &s.to.conn.server {
			s.shut = true
			if err := unix.Shutdown(s.to.fd, unix.SHUT_WR); err != nil && !errors.Is(err, unix.ENOTCONN) {
				return err
			}
		}
	}
	return nil
}
