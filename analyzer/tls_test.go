package analyzer

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/tlstap"
	"github.com/hopblame/hopblame/internal/tlstap/tlstest"
)

// session is a TLS connection made by crypto/tls. What its two sides write is not
// sent anywhere but told as a story.
type session struct {
	tb             testing.TB
	client, server *tls.Conn
	keys           bytes.Buffer // as SSLKEYLOGFILE has them
	mu             sync.Mutex
	written        []written
}

// written is what one side wrote at a time.
type written struct {
	toServer bool
	b        []byte
}

type tapped struct {
	net.Conn
	toServer bool
	of       *session
}

func (t *tapped) Write(b []byte) (int, error) {
	t.of.mu.Lock()
	t.of.written = append(t.of.written, written{t.toServer, bytes.Clone(b)})
	t.of.mu.Unlock()
	return t.Conn.Write(b)
}

// newSession shakes hands in a version of TLS, with protocols that the client offers.
func newSession(tb testing.TB, version uint16, alpn ...string) *session {
	tb.Helper()
	cert := tlstest.Certificate(tb)
	s := &session{tb: tb}
	a, b := tlstest.Connected(tb)
	s.client = tls.Client(&tapped{a, true, s}, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, NextProtos: alpn, KeyLogWriter: &s.keys,
		ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	s.server = tls.Server(&tapped{b, false, s}, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: alpn})
	done := make(chan error, 1)
	go func() { done <- s.server.Handshake() }()
	if err := s.client.Handshake(); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	return s
}

// record is what the TLS provider of a BIG-IP's tcpdump makes of the session's keys.
func (s *session) record() f5trailer.TLV {
	s.tb.Helper()
	var out f5trailer.TLSSecrets
	line := strings.Fields(s.keys.String()) // the first one
	if _, err := hex.Decode(out.ClientRandom[:], []byte(line[1])); err != nil {
		s.tb.Fatal(err)
	}
	var keys tlstap.KeyRing
	if err := keys.ReadKeyLog(strings.NewReader(s.keys.String())); err != nil {
		s.tb.Fatal(err)
	}
	k := keys.Of(out.ClientRandom)
	copy(out.MasterSecret[:], k.Master)
	out.ClientHandshake, out.ServerHandshake = k.ClientHandshake, k.ServerHandshake
	out.ClientTraffic, out.ServerTraffic = k.ClientTraffic, k.ServerTraffic
	v, err := out.TLV()
	if err != nil {
		s.tb.Fatal(err)
	}
	return v
}

// take returns what was written since it was last called.
func (s *session) take() []written {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.written
	s.written = nil
	return out
}

// says lets one side say something, and returns what it wrote.
func (s *session) says(toServer bool, text string) []written {
	s.tb.Helper()
	from, to := s.client, s.server
	if !toServer {
		from, to = to, from
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(to, make([]byte, len(text)))
		done <- err
	}()
	if _, err := io.WriteString(from, text); err != nil {
		s.tb.Fatal(err)
	}
	if err := <-done; err != nil {
		s.tb.Fatal(err)
	}
	return s.take()
}

// wire is a connection of the story on which bytes are sent as they come.
type wire struct {
	*story
	f        *telling
	up, down uint32 // bytes sent so far
}

// send puts what was written into segments, and returns when the last one arrived.
func (w *wire) send(at time.Duration, ws ...written) time.Duration {
	way := time.Duration(len(w.f.points)) * hopDelay
	for _, x := range ws {
		for b := x.b; len(b) > 0; at += way {
			n := min(len(b), 1400)
			p := told{flow: w.f, toServer: x.toServer, flags: flagACK, seq: w.f.isn + 1 + w.up, ack: w.f.answer + 1 + w.down, payload: string(b[:n])}
			sent := &w.up
			if !x.toServer {
				p.seq, p.ack = p.ack, p.seq
				sent = &w.down
			}
			w.tell(at, p)
			*sent += uint32(n)
			b = b[n:]
		}
	}
	return at
}

// ack lets one side acknowledge all it has.
func (w *wire) flag(at time.Duration, toServer bool, flags byte) {
	p := told{flow: w.f, toServer: toServer, flags: flagACK | flags, seq: w.f.isn + 1 + w.up, ack: w.f.answer + 1 + w.down}
	if !toServer {
		p.seq, p.ack = p.ack, p.seq
	}
	w.tell(at, p)
	switch {
	case flags&flagFIN == 0:
	case toServer:
		w.up++
	default:
		w.down++
	}
}

// secured opens a client's connection with TLS.
func (s *story) secured(at time.Duration, port int, t *session) (w *wire, when time.Duration) {
	w = &wire{story: s, f: s.clientFlow(port)}
	if s.opens != nil {
		s.opens(w.f)
	}
	return w, w.send(s.handshake(at, w.f), t.take()...)
}

// passes tells of a request's way to a server and back, and returns when the answer
// is at the proxy.
func (w *wire) passes(at time.Duration, id, port, server int) time.Duration {
	b := w.serverFlow(port, server)
	b.peer, w.f.peer = w.f, b
	up := w.handshake(at, b)
	w.exchange(up, b, w.post(id), answer, nil)
	return up + 20*hopDelay
}

// closes ends the connection, the client first.
func (w *wire) closes(at time.Duration, t *session) {
	_ = t.client.CloseWrite()
	at = w.send(at, t.take()...)
	w.flag(at, true, flagFIN)
	w.flag(at+2*hopDelay, false, flagFIN)
	w.flag(at+4*hopDelay, true, 0)
}

// securely tells of a good request inside TLS.
func (s *story) securely(at time.Duration, id, port, server int, version uint16, alpn ...string) {
	t := newSession(s.tb, version, alpn...)
	w, when := s.secured(at, port, t)
	when = w.send(when, t.says(true, s.post(id))...)
	when = w.passes(when, id, s.snat(port), server)
	when = w.send(when, t.says(false, answer)...)
	w.closes(when, t)
}

// drops tells of a serverside connection whose SYNs, as often as the profile says, die
// after a point; it returns when the proxy gives up.
func (w *wire) drops(at time.Duration, port, server int, dies string) time.Duration {
	w.tries(at, port, server, dies, retries...)
	return at + 4*time.Second
}

// tries tells of the SYNs of one at such times.
func (w *wire) tries(at time.Duration, port, server int, dies string, times ...time.Duration) {
	b := w.serverFlow(port, server)
	b.peer, w.f.peer = w.f, b
	for _, r := range times {
		w.tell(at+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: dies})
	}
}
