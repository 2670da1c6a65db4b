package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// server answers every request with the same and closes. Package backend's net/http
// would take more of the processors than the proxies that are to be measured.
type server struct {
	loop     *eventloop.Loop
	listener int
	ended    chan error
}

// backlog holds a burst of clients.
const backlog = 4096

// serve starts a server in a host. Close ends it.
func serve(host *topology.Host, address netip.AddrPort) (*server, error) {
	loop, err := eventloop.New()
	if err != nil {
		return nil, err
	}
	s := &server{loop: loop, listener: -1, ended: make(chan error, 1)}
	if err = host.Run(func() error { return s.listen(address) }); err == nil {
		err = host.Go(func() { s.ended <- loop.Run() })
	}
	if err != nil {
		if s.listener >= 0 {
			unix.Close(s.listener)
		}
		return nil, errors.Join(fmt.Errorf("server %s: %w", address, err), loop.Close())
	}
	return s, nil
}

func (s *server) listen(address netip.AddrPort) (err error) {
	if s.listener, err = eventloop.TCP(address); err != nil {
		return err
	}
	return errors.Join(unix.Listen(s.listener, backlog), s.loop.Add(s.listener, s, eventloop.Readable))
}

// Close ends the server. Clients that are still connected are left to the end of the
// process; once a batch is over there is none.
func (s *server) Close() error {
	s.loop.Stop()
	return errors.Join(<-s.ended, unix.Close(s.listener), s.loop.Close())
}

// Ready implements [eventloop.Handler] for the listener.
func (s *server) Ready(listener int, _ uint32) {
	for {
		fd, _, err := eventloop.Accept(listener)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			continue // the client was gone before it was accepted (accept(2))
		}
		if err := s.loop.Add(fd, &answer{loop: s.loop}, eventloop.Readable); err != nil {
			unix.Close(fd)
		}
	}
}

// answer is a connection with a request that is to be answered.
type answer struct {
	loop    *eventloop.Loop
	request []byte
}

var response = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n" +
	`{"received":"true"}`)

// Ready implements [eventloop.Handler]. The client's bodies end in a brace, so that
// the first read has the request whole if its last byte is one; else more is to come.
func (a *answer) Ready(fd int, _ uint32) {
	var b [4096]byte
	n, err := unix.Read(fd, b[:])
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if n > 0 {
		a.request = append(a.request, b[:n]...)
		if !bytes.HasSuffix(a.request, []byte("}")) {
			return
		}
		_, _ = unix.Write(fd, response) // who has gone will not miss it
	}
	a.loop.Forget(fd)
	unix.Close(fd)
}
