package backend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
)

// strike returns what the first mood that strikes a request does to it, once it is in
// the ledger; nil if none does.
func (s *Server) strike(r *http.Request) func(answer) {
	ordinal := ordinalOf(r)
	for _, m := range s.moods {
		if neverReads(m) || !m.Strikes(ordinal, 0) { // a server is not told of attempts
			continue
		}
		own, other := ends(r)
		m.Note(own, other, ordinal)
		f := m.Fault()
		return func(a answer) { s.perform(&f, a) }
	}
	return nil
}

// ordinalOf reads the request's ordinal from its X-Request-ID; -1 if there is none
// or it is not a number.
func ordinalOf(r *http.Request) int {
	n, err := strconv.ParseUint(r.Header.Get("X-Request-ID"), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// ends returns a request's two addresses, the server's own first.
func ends(r *http.Request) (own, other netip.AddrPort) {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		own = local.AddrPort()
	}
	other, _ = netip.ParseAddrPort(r.RemoteAddr) // of a TCP connection it is one
	return netip.AddrPortFrom(own.Addr().Unmap(), own.Port()), netip.AddrPortFrom(other.Addr().Unmap(), other.Port())
}

// perform misbehaves.
func (s *Server) perform(f *fault.Fault, a answer) {
	switch f.Do {
	case fault.AnswerError:
		a.body = `{"error":"no worker left"}` + "\n"
		a.write(http.StatusServiceUnavailable)
		return
	case fault.AnswerSlowly:
		s.answerAfter(f.After, a)
		return
	}
	c, _, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return // the connection is closed by the caller, and the run INVALID
	}
	defer c.Close()
	_ = c.SetDeadline(time.Time{})
	switch f.Do {
	case fault.CutResponse:
		a.half(c)
	case fault.Die:
		a.half(c)
		abort(c)
	case fault.Reset:
		abort(c)
	case fault.StaySilent:
		s.awaitEnd(c)
	}
}

// half writes the header and half of the body.
func (a answer) half(c net.Conn) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		len(a.body), a.body[:len(a.body)/2])
}

// abort has the connection closed with a RST instead of a FIN. c is a [net.TCPConn], or an
// [unread] one where the server has a mood of that kind as well.
func abort(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}

// pause waits; a false means that the server was closed meanwhile.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// awaitEnd reads what comes until the other side ends the connection, or the server
// is closed.
func (s *Server) awaitEnd(c net.Conn) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	select {
	case <-ended:
	case <-s.stop:
		c.Close()
		<-ended
	}
}
