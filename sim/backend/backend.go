// Package backend is the pool's servers: plain HTTP/1.1, one answer to every
// request. Their moods — servers that reset, hang, break off — are faults.
package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Server is a running backend.
type Server struct {
	http  http.Server
	name  string
	after time.Duration
	moods []*fault.Mood
	busy  atomic.Int64
	stop  chan struct{}
	ended chan error
}

// Habits are what a server does with every request. The zero value answers at once.
type Habits struct {
	AnswerAfter time.Duration // how long an answer in good order takes
	// DeferAccept has the kernel wait a second for a connection's first data before it
	// takes the connection (TCP_DEFER_ACCEPT of tcp(7)), as nginx's deferred does.
	DeferAccept bool
}

// Start serves on an address of a host, in whatever moods; the first that strikes a
// request has it. Close ends it.
func Start(ctx context.Context, host *topology.Host, address netip.AddrPort, habits Habits, moods ...*fault.Mood) (*Server, error) {
	l, err := host.Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	s := &Server{name: host.Name(), after: habits.AnswerAfter, moods: moods, stop: make(chan struct{}), ended: make(chan error, 1)}
	s.http = http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // the captures tell what happened
		Handler:           http.HandlerFunc(s.serve),
	}
	if slices.ContainsFunc(moods, neverReads) {
		if err := set(l, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return nil, errors.Join(fmt.Errorf("backend: receive buffer of %s: %w", address, err), l.Close())
		}
	}
	if habits.DeferAccept {
		const seconds = 1
		if err := set(l, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds); err != nil {
			return nil, errors.Join(fmt.Errorf("backend: TCP_DEFER_ACCEPT of %s: %w", address, err), l.Close())
		}
	}
	go func() { s.ended <- s.http.Serve(listener{l, s}) }()
	return s, nil
}

// set sets an option of a listener's socket.
func set(l net.Listener, level, option, value int) error {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, value) }); err != nil {
		return err
	}
	return failed
}

// serve answers a request, or does what a mood says.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	s.busy.Add(1)
	defer s.busy.Add(-1)
	a := answer{w, r, fmt.Sprintf(`{"server":%q,"received":%d}`+"\n", s.name, n)}
	if do := s.strike(r); do != nil {
		do(a)
		return
	}
	s.answerAfter(s.after, a)
}

// answerAfter answers in good order, but takes its time.
func (s *Server) answerAfter(d time.Duration, a answer) {
	if d > 0 && !s.pause(d) {
		panic(http.ErrAbortHandler) // net/http would answer 200 for one who returns
	}
	a.write(http.StatusOK)
}

// answer is what a request is due.
type answer struct {
	w    http.ResponseWriter
	r    *http.Request
	body string
}

func (a answer) write(status int) {
	a.w.Header().Set("Content-Type", "application/json")
	a.w.WriteHeader(status)
	_, _ = io.WriteString(a.w, a.body) // the other side may be gone; its capture tells
	a.pad()
}

// pad adds as many bytes as the request's target asks for: ?bytes=N.
func (a answer) pad() {
	n, err := strconv.ParseUint(a.r.URL.Query().Get("bytes"), 10, 31)
	line := bytes.Repeat([]byte("."), 1<<10)
	for n > 0 && err == nil {
		line = line[:min(n, uint64(len(line)))]
		_, err = a.w.Write(line)
		n -= uint64(len(line))
	}
}

// Busy returns how many requests are not done with: being answered, slowly perhaps,
// or left open in silence. One of which the rest never comes is none.
func (s *Server) Busy() int { return int(s.busy.Load()) }

// Close stops the server and waits for it.
func (s *Server) Close() error {
	close(s.stop)
	err := s.http.Close()
	if served := <-s.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// listener switches keep-alive probes off: they would be packets nobody sent.
type listener struct {
	net.Listener
	server *Server
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: false})
	if slices.ContainsFunc(l.server.moods, neverReads) {
		return &unread{tcp, l.server}, nil
	}
	return c, nil
}
