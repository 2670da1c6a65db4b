package client

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

// request is one POST on one connection.
type request struct {
	response
	sender    *sender
	record    *Record
	fd        int // -1: not yet, or the client misbehaves on a connection elsewhere
	timer     eventloop.Timer
	out       []byte // what is still to be sent
	message   []byte // memory behind out
	connected bool
}

func (s *sender) begin(ordinal int) {
	r := &request{sender: s, response: response{in: make([]byte, 0, responseBytes)}}
	if n := len(s.free); n > 0 {
		r, s.free = s.free[n-1], s.free[:n-1]
	}
	rec := &s.records[ordinal]
	rec.Ordinal, rec.Local, rec.Start = ordinal, netip.AddrPortFrom(s.Local, Port(ordinal)), time.Now()
	r.record, r.fd, r.connected, r.status, r.in, r.received = rec, -1, false, 0, r.in[:0], 0
	s.port[rec.Local.Port()] = true
	s.live[r] = struct{}{}
	if m := s.mood(ordinal); m != nil {
		s.misbehave(r, m)
		return
	}
	r.message = s.compose(r.message[:0], ordinal)
	r.out = r.message
	if err := r.connect(); err != nil {
		s.finish(r, Local, err)
	}
}

// compose writes a request.
func (b *Batch) compose(to []byte, ordinal int) []byte {
	return b.composeWith(to, ordinal, "")
}

// composeWith writes a request with more lines in its header.
func (b *Batch) composeWith(to []byte, ordinal int, lines string) []byte {
	body := b.body(ordinal)
	return fmt.Appendf(to, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nX-Request-ID: %d\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s",
		b.Target, b.Server, userAgent, ordinal, len(body), lines, body)
}

const userAgent = "hopblame"

// LargeBody is what a large request has more than others, in bytes: two full packets of
// an Ethernet and one that is not, by which size is told from chance.
const LargeBody = 4000

// body is the body of a request; like its id it is unique to its ordinal.
func (b *Batch) body(ordinal int) string {
	body := fmt.Sprintf(`{"batch":"nightly","record":%d,"amount":"%d.%02d"}`, ordinal, ordinal%9973, ordinal%100)
	if b.Large != nil && b.Large(ordinal) {
		body = fmt.Sprintf(`%s,"note":"%s"}`, body[:len(body)-1], strings.Repeat(".", LargeBody))
	}
	return body
}

func (r *request) dial() Dial { return Dial{r.record.Ordinal, r.record.Local, r.sender.Server} }

func (r *request) connect() error {
	fd, err := eventloop.TCP(r.record.Local)
	if err != nil {
		return err
	}
	r.fd = fd
	if err := r.sender.number(fd, r.record.Ordinal); err != nil {
		return err
	}
	r.sender.Hooks.dialing(r.dial())
	if err := unix.Connect(fd, eventloop.Sockaddr(r.sender.Server)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return &connectError{err}
	}
	l := r.sender.loop
	if err := l.Add(fd, r, eventloop.Readable|eventloop.Writable|eventloop.PeerShut); err != nil {
		return err
	}
	l.Arm(&r.timer, r.record.Start.Add(r.sender.Timeout), func() { r.sender.finish(r, r.overdue(), nil) })
	return nil
}

// Ready implements [eventloop.Handler].
func (r *request) Ready(_ int, events uint32) {
	if events&eventloop.Writable != 0 && events&eventloop.Failed == 0 {
		r.connected = true
		for len(r.out) > 0 {
			n, err := unix.Write(r.fd, r.out)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				r.fail(err)
				return
			}
			r.out = r.out[n:]
		}
	}
	if events&(eventloop.Readable|eventloop.PeerShut|eventloop.Failed|eventloop.HungUp) != 0 {
		r.read()
	}
}

// read takes what there is; the response is complete when its length is.
func (r *request) read() {
	for {
		var spill [4096]byte // of a response longer than what is kept
		space := r.in[len(r.in):cap(r.in)]
		if len(space) == 0 {
			space = spill[:]
		}
		n, err := unix.Read(r.fd, space)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			r.fail(err)
			return
		case n == 0:
			r.sender.finish(r, r.verdict(), nil)
			return
		}
		r.received += n
		if len(r.in) < cap(r.in) {
			r.in = r.in[:len(r.in)+n]
		}
	}
}

func (r *request) fail(err error) {
	r.verdict() // for the status, if there was one
	if !r.connected {
		err = &connectError{err}
	}
	r.sender.finish(r, outcomeOf(err), err)
}

func (r *request) close() {
	r.sender.loop.Disarm(&r.timer)
	if r.fd >= 0 {
		r.sender.loop.Forget(r.fd)
		unix.Close(r.fd)
		r.fd = -1
		r.sender.Hooks.dialed(r.dial())
	}
}
