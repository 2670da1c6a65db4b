package bigip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pipe is what a half is that ends in memory: on one side the event loop, which owns
// all sockets of the lab, on the other a goroutine that reads and writes it as a
// [net.Conn] — TLS, HTTP/2, or the other half of a request that was looked into. It is
// a pair of UNIX sockets, so that the loop serves it like any other half, and the
// kernel takes care of deadlines and of a sender that is faster than its reader.
type pipe struct {
	net.Conn                // the goroutine's end
	client   netip.AddrPort // whose connection it is
	opened   chan struct{}  // closed when a member has been connected to
	over     chan struct{}  // closed when the loop has ended it
	ended    atomic.Pointer[BrokenError]

	// The rest belongs to the loop's thread.
	conn   *conn   // nil once it has ended
	behind []*pipe // of a client: the members' connections that are only its own
}

// BrokenError says what has ended a connection that ends in memory.
type BrokenError struct {
	Event Event
	Flow  *Flow // of the member's connection; nil where there is none
}

func (e *BrokenError) Error() string {
	return "f5: the connection has ended: " + endings[e.Event].cause.Text
}

// newPipe makes a pipe, the loop's end of it in a half.
func (h *half) newPipe(client netip.AddrPort) (*pipe, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("f5: pipe: %w", err)
	}
	file := os.NewFile(uintptr(fds[1]), "pipe")
	c, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("f5: pipe: %w", err)
	}
	p := &pipe{Conn: c, client: client, opened: make(chan struct{}), over: make(chan struct{}), conn: h.conn}
	h.fd, h.pipe = fds[0], p
	return p, nil
}

// RemoteAddr returns the client's address: the goroutine is not to know of the pipe.
func (p *pipe) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.client) }

// broken says why the loop has ended the pipe; nil while it has not.
func (p *pipe) broken() error {
	if e := p.ended.Load(); e != nil {
		return e
	}
	return nil
}

// take reads what the goroutine has written. A goroutine that goes away is at its end,
// whether or not it has read everything.
func (h *half) take(b []byte) (int, error) {
	n, err := unix.Read(h.fd, b)
	if errors.Is(err, unix.ECONNRESET) {
		return 0, nil
	}
	return n, err
}

// give writes what the goroutine will read; to one that has gone away, nothing.
func (h *half) give(b []byte) (int, error) {
	n, err := unix.Write(h.fd, b)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return len(b), nil
	}
	return n, err
}
