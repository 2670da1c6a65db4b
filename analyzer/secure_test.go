package analyzer

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// resets ends the client's connection with the f5's RST.
func (w *wire) resets(at time.Duration, text string, peer bool) {
	p := told{flow: w.f, flags: flagRST | flagACK, seq: w.f.answer + 1 + w.down, ack: w.f.isn + 1 + w.up}
	if text != "" {
		p.rst = &f5trailer.RSTCause{Peer: peer, Text: text, Line: 1234}
	}
	w.tell(at, p)
}

// retransmitTimeout is what a BIG-IP says when a server does not answer its SYNs.
const retransmitTimeout = "TCP retransmit timeout"

// TestSealedConnections: requests inside TLS of which no key is known, and whose
// connection ends in one way or another.
func TestSealedConnections(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(s *story, t *session)
		want string // outcome, hop and cause of the verdict; "" for none
	}{
		{"the f5 resets the connection: the firewall swallowed its SYNs", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(17))...)
			w.flag(when, false, 0)
			w.resets(w.drops(when, 64373, 2, "firewall/feth11"), retransmitTimeout, true)
		}, "reset firewall syn-dropped"},
		{"the second request of a connection has that fate", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(16))...)
			when = w.passes(when, 16, 64372, 1)
			when = w.send(when, t.says(false, answer)...) + time.Second
			when = w.send(when, t.says(true, post(17))...)
			w.flag(when, false, 0)
			w.resets(w.drops(when, 64373, 2, "firewall/feth11"), retransmitTimeout, true)
		}, "reset firewall syn-dropped"},
		{"the f5 resets an idle connection", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(17))...)
			when = w.passes(when, 17, 64373, 2)
			when = w.send(when, t.says(false, answer)...)
			w.resets(when+4*time.Second, "Flow expired (sweeper)", false)
		}, ""},
		{"a server resets its idle connection, and the f5 the client's", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(17))...)
			when = w.passes(when, 17, 64373, 2)
			when = w.send(when, t.says(false, answer)...)
			w.resets(when+4*time.Second, "TCP RST from remote system", true)
		}, ""},
		{"the f5 resets a connection on which nothing was asked yet: it has no member", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			w.resets(when, "No pool member available", false)
		}, "reset f5 no-pool-member"},
		{"the f5 closes instead of answering", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(17))...)
			w.flag(when, false, 0)
			when = w.drops(when, 64373, 2, "firewall/feth11")
			w.flag(when, false, flagFIN)
			w.flag(when+2*hopDelay, true, flagFIN)
		}, "truncated firewall syn-dropped"},
		{"the client gives up", func(s *story, t *session) {
			w, when := s.secured(at, 54373, t)
			when = w.send(when, t.says(true, post(17))...)
			w.flag(when, false, 0)
			w.drops(when, 64373, 2, "firewall/feth11")
			w.closes(when+10*time.Second, t)
		}, "timeout firewall syn-dropped"},
		{"the client refuses the certificate, under encryption", func(s *story, t *session) {
			c := s.clientFlow(54373)
			w := &wire{story: s, f: c}
			when := s.handshake(at, c)
			ws := t.take()
			when = w.send(when, ws[:2]...) // the hellos
			when = w.send(when, written{true, append([]byte{23, 3, 3, 0, 19}, make([]byte, 19)...)})
			w.flag(when, true, flagFIN)
			w.flag(when+2*hopDelay, false, flagFIN)
		}, "tls-error  inconclusive"},
	} {
		for _, row := range []struct {
			version uint16
			alpn    []string
		}{{tls.VersionTLS13, []string{"http/1.1"}}, {tls.VersionTLS12, []string{"http/1.1"}}, {tls.VersionTLS13, []string{"h2", "http/1.1"}}, {tls.VersionTLS12, []string{"h2"}}} {
			if row.version == tls.VersionTLS12 && strings.Contains(c.name, "under encryption") {
				continue
			}
			for _, trailers := range []bool{true, false} {
				if !trailers && strings.Contains(c.name, "no member") {
					continue
				}
				t.Run(fmt.Sprintf("%s, TLS %x, %v, trailers %v", c.name, row.version, row.alpn, trailers), func(t *testing.T) {
					s := newStory(t)
					s.trailers = trailers
					c.tell(s, newSession(t, row.version, row.alpn...))
					s.background(0, 300)
					for i := range 20 {
						s.securely(time.Duration(i)*300*time.Millisecond, 500+i, 30000+i, 1+i%2, row.version, row.alpn...)
					}
					s.background(at+10*time.Second, 100)
					r := s.analyze()
					got := ""
					for _, v := range r.Verdicts {
						got += fmt.Sprintf("%s %s %s", v.Outcome, v.Hop, v.Cause)
					}
					if got != c.want {
						t.Errorf("got %q, want %q\n%s", got, c.want, show(r))
					}
				})
			}
		}
	}
}
