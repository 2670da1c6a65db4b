// Package backend is the pool's servers: plain HTTP/1.1, one answer to every
// request. Their moods — servers that refuse, ignore, reset — are faults.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/topology"
)

// Server is a running backend.
type Server struct {
	http  http.Server
	ended chan error
}

// Start serves on an address of a host. Close ends it.
func Start(ctx context.Context, host *topology.Host, address netip.AddrPort) (*Server, error) {
	l, err := host.Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	s := &Server{ended: make(chan error, 1)}
	name := host.Name()
	s.http = http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // the captures tell what happened
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"server":%q,"received":%d}`+"\n", name, n)
		}),
	}
	go func() { s.ended <- s.http.Serve(listener{l}) }()
	return s, nil
}

// Close stops the server and waits for it.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// listener switches keep-alive probes off: they would be packets nobody sent.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: false})
	}
	return c, nil
}
