package client

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

// request is one POST on one connection.
type request struct {
	sender    *sender
	record    *Record
	fd        int
	timer     eventloop.Timer
	out       []byte // what is still to be sent
	message   []byte // memory behind out
	in        []byte // what was received, as far as it is kept
	received  int    // bytes
	connected bool
	status    int
}

// responseBytes is as much of a response as is kept: its header.
const responseBytes = 8 << 10

func (s *sender) begin(ordinal int) {
	r := &request{sender: s, in: make([]byte, 0, responseBytes)}
	if n := len(s.free); n > 0 {
		r, s.free = s.free[n-1], s.free[:n-1]
	}
	rec := &s.records[ordinal]
	rec.Ordinal, rec.Local, rec.Start = ordinal, netip.AddrPortFrom(s.Local, Port(ordinal)), time.Now()
	r.record, r.fd, r.connected, r.status, r.in, r.received = rec, -1, false, 0, r.in[:0], 0
	r.message = s.compose(r.message[:0], ordinal)
	r.out = r.message
	s.port[rec.Local.Port()] = true
	s.live[r] = struct{}{}
	if err := r.connect(); err != nil {
		s.finish(r, Local, err)
	}
}

// compose writes a request; id and body are unique to its ordinal.
func (s *sender) compose(b []byte, ordinal int) []byte {
	body := fmt.Sprintf(`{"batch":"nightly","record":%d,"amount":"%d.%02d"}`, ordinal, ordinal%9973, ordinal%100)
	return fmt.Appendf(b, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: hopblame\r\nX-Request-ID: %d\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		s.Target, s.Server, ordinal, len(body), body)
}

func (r *request) connect() error {
	fd, err := eventloop.TCP(r.record.Local)
	if err != nil {
		return err
	}
	r.fd = fd
	if err := unix.Connect(fd, eventloop.Sockaddr(r.sender.Server)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	l := r.sender.loop
	if err := l.Add(fd, r, eventloop.Readable|eventloop.Writable|eventloop.PeerShut); err != nil {
		return err
	}
	l.Arm(&r.timer, r.record.Start.Add(r.sender.Timeout), func() { r.sender.finish(r, Timeout, nil) })
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

// fail tells a refused connection from a reset one: by how far it had come, not
// by where the error surfaced.
func (r *request) fail(err error) {
	outcome := Reset
	switch {
	case errors.Is(err, unix.ECONNREFUSED) && !r.connected:
		outcome = Refused
	case errors.Is(err, unix.ETIMEDOUT):
		outcome = Timeout
	case !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNREFUSED):
		outcome = Local
	}
	r.verdict() // for the status, if there was one
	r.sender.finish(r, outcome, err)
}

var headerTerminator = []byte("\r\n\r\n")

// verdict judges the response once the server has closed.
func (r *request) verdict() Outcome {
	head, _, complete := bytes.Cut(r.in, headerTerminator)
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) {
		if len(r.in) == 0 {
			return Truncated // closed without a word
		}
		return Error
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return Error
	}
	r.status = status
	switch length := contentLength(rest); {
	case !complete || length > r.received-len(head)-len(headerTerminator):
		return Truncated
	case status >= 500:
		return Error
	}
	return OK
}

// contentLength reads the length the response announced; 0 if it did not.
func contentLength(header []byte) int {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("Content-Length")) {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(value)))
			return n
		}
	}
	return 0
}

func (r *request) close() {
	r.sender.loop.Disarm(&r.timer)
	if r.fd >= 0 {
		r.sender.loop.Forget(r.fd)
		unix.Close(r.fd)
		r.fd = -1
	}
}
