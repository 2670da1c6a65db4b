package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Dial is a connection that the client opens.
type Dial struct {
	Ordinal       int // of the request, the first one where several share the connection
	Local, Server netip.AddrPort
}

// Hooks tell a fault which connection belongs to which request. They are called from
// several goroutines and must not block for long; nil ones are not called.
type Hooks struct {
	Dialing func(Dial) // just before the first SYN
	Dialed  func(Dial) // once the connection is closed, or will never be open
}

// dialing and dialed call the hooks.
func (h *Hooks) dialing(d Dial) {
	if h.Dialing != nil {
		h.Dialing(d)
	}
}

func (h *Hooks) dialed(d Dial) {
	if h.Dialed != nil {
		h.Dialed(d)
	}
}

// connectError says that a connection did not come about.
type connectError struct{ error }

func (e *connectError) Error() string { return "connect: " + e.error.Error() }
func (e *connectError) Unwrap() error { return e.error }

// dial opens a connection of a batch from a host. The socket is one of the host's namespace;
// waiting for the answer is done here, so that no thread of the host's is held up; an error is a [connectError].
// before, if it is not nil, sees the socket before its SYN leaves.
func (b *Batch) dial(ctx context.Context, host *topology.Host, own Dial, before func(fd int) error) (*net.TCPConn, error) {
	var file *os.File
	err := host.Run(func() error {
		fd, err := eventloop.TCP(own.Local)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "tcp")
		err = b.number(fd, own.Ordinal)
		if err == nil && before != nil {
			err = before(fd)
		}
		if err == nil {
			err = unix.Connect(fd, eventloop.Sockaddr(own.Server))
		}
		if errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
		return err
	})
	if file != nil {
		defer file.Close() // FileConn has its own copy
	}
	if err == nil {
		err = awaitAnswer(ctx, file)
	}
	if err != nil {
		return nil, &connectError{err}
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, &connectError{err}
	}
	tcp := c.(*net.TCPConn)
	// Probes would be packets that nobody sent.
	if err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: false}); err != nil {
		return nil, errors.Join(&connectError{err}, tcp.Close())
	}
	return tcp, nil
}

// past is a deadline that ends what waits at once.
var past = time.Unix(1, 0)

// awaitAnswer waits until a socket is connected, or why it will not be.
func awaitAnswer(ctx context.Context, socket *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(past) })
	defer stop()
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		if failed = eventloop.Error(int(fd)); failed != nil {
			return true
		}
		_, err := unix.Getpeername(int(fd))
		return !errors.Is(err, unix.ENOTCONN)
	})
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return errors.Join(failed, err)
}

// awaitEnd waits, without reading anything, until the server ends a connection or until
// a time; the error is what ended it, nil for a FIN.
func awaitEnd(ctx context.Context, c *net.TCPConn, until time.Time) (ended bool, why error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true, err
	}
	_ = c.SetWriteDeadline(until)
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(past) })
	defer stop()
	// Every event of a socket's wakes who waits to write.
	err = raw.Write(func(fd uintptr) bool {
		if why = eventloop.Error(int(fd)); why != nil {
			return true
		}
		i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		return err != nil || i.State != unix.BPF_TCP_ESTABLISHED
	})
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	case err != nil:
		return true, err
	}
	return true, why
}
