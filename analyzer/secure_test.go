package analyzer

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/tlstap"
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

// sealedEndings are requests inside TLS of which no key is known, and whose connection
// ends in one way or another.
var sealedEndings = []struct {
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
}

func TestSealedConnections(t *testing.T) {
	for _, c := range sealedEndings {
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

const unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

// failuresInside are those of clients whose connections go on: only what the proxy does
// for them shows that a request failed.
var failuresInside = []struct {
	name string
	tell func(s *story, t *session)
	h1   string // verdicts if the client offers HTTP/1.1 only
	h2   string // if it offers HTTP/2
	open string // whether a finding says that it is open: with which of the two
}{
	{"the f5 says 503, and the client closes", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		when = w.drops(when, 64373, 2, "firewall/feth11")
		w.closes(w.send(when, t.says(false, unavailable)...), t)
	}, "unknown firewall syn-dropped", "unknown firewall syn-dropped", ""},
	{"the f5 says 503, and the client asks again with success", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		when = w.drops(when, 64373, 2, "firewall/feth11")
		when = w.send(when, t.says(false, strings.Replace(unavailable, ": 0", ": 1000", 1)+strings.Repeat(" ", 1000))...)
		when = w.send(when, t.says(true, post(18))...)
		when = w.passes(when, 18, 64374, 1)
		w.closes(w.send(when, t.says(false, answer)...), t)
	}, "unknown firewall syn-dropped", "", "h2"},
	{"the f5 tries another member, and the request succeeds", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		when = w.drops(when, 64373, 2, "firewall/feth11")
		when = w.passes(when, 17, 64374, 1)
		w.closes(w.send(when, t.says(false, answer)...), t)
	}, "", "", ""},
	{"the f5 tries another member, and that fails as well", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		when = w.drops(when, 64373, 2, "firewall/feth11")
		when = w.drops(when, 64374, 1, "f5/0.0")
		w.closes(w.send(when, t.says(false, unavailable)...), t)
	}, "unknown link:f5-firewall syn-dropped", "unknown link:f5-firewall syn-dropped", ""},
	{"a body comes in while the f5 tries one member, then the other", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		gaveUp := w.drops(when, 64373, 2, "firewall/feth11")
		for i := range 30 {
			w.send(when+time.Duration(i)*200*time.Millisecond, t.says(true, strings.Repeat("x", 1000))...)
			w.flag(when+time.Duration(i)*200*time.Millisecond+hopDelay, false, 0)
		}
		when = w.passes(gaveUp, 17, 64374, 1)
		w.closes(w.send(when+3*time.Second, t.says(false, answer)...), t)
	}, "", "", "http/1.1 h2"},
	{"the server answers 503", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		b := s.serverFlow(64373, 2)
		b.peer, w.f.peer = w.f, b
		up := s.handshake(when, b)
		s.exchange(up, b, post(17), unavailable, nil)
		w.closes(w.send(up+20*hopDelay, t.says(false, unavailable)...), t)
	}, "unknown server2 app-error 17", "unknown server2 app-error 17", ""},
	{"all is well, and ports come round", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		for i := range 5 {
			when = w.send(when, t.says(true, post(17+i))...)
			when = w.passes(when, 17+i, 64373, 2)
			when = w.send(when, t.says(false, answer)...) + 100*time.Millisecond
		}
		w.closes(when, t)
	}, "", "", ""},
	{"the f5 gives up soon, the client closes, and the captures end", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		w.tries(when, 64373, 2, "firewall/feth11", 0, 100*time.Millisecond, 200*time.Millisecond)
		when = w.send(when+300*time.Millisecond, t.says(false, unavailable)...)
		w.closes(when, t)
		for _, p := range standardPoints {
			s.cut[p.name] = when + 100*time.Millisecond
		}
	}, "unknown firewall syn-dropped", "unknown firewall syn-dropped", ""},
	{"the f5 gives up soon, and the captures end before anybody closes", func(s *story, t *session) {
		w, when := s.secured(at, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		w.tries(when, 64373, 2, "firewall/feth11", 0, 100*time.Millisecond, 200*time.Millisecond)
		when = w.send(when+300*time.Millisecond, t.says(false, unavailable)...)
		for _, p := range standardPoints {
			s.cut[p.name] = when + 100*time.Millisecond
		}
	}, "", "", ""},
	{"the f5 still tries when the captures end", func(s *story, t *session) {
		w, when := s.secured(at+16*time.Second, 54373, t)
		when = w.send(when, t.says(true, post(17))...)
		w.flag(when, false, 0)
		w.drops(when, 64373, 2, "firewall/feth11")
		s.isb = false
	}, "", "", ""},
}

func TestFailuresInsideTLS(t *testing.T) {
	for _, c := range failuresInside {
		for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
			for _, alpn := range []string{"http/1.1", "h2"} {
				t.Run(fmt.Sprintf("%s, TLS %x, %s", c.name, version, alpn), func(t *testing.T) {
					s := newStory(t)
					c.tell(s, newSession(t, version, alpn))
					s.background(0, 300)
					for i := range 20 {
						s.securely(time.Duration(i)*300*time.Millisecond, 500+i, 30000+i, 1+i%2, version, alpn)
					}
					s.background(at+12*time.Second, 100)
					r := s.analyze()
					got, want := "", c.h1
					for _, v := range r.Verdicts {
						got += strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.Outcome, v.Hop, v.Cause, v.Request.ID))
					}
					open := strings.Contains(fmt.Sprint(r.Findings), "do not tell whether it tried again")
					if alpn == "h2" {
						want = c.h2
					}
					if got != want || open != strings.Contains(c.open, alpn) {
						t.Errorf("got %q, open %v; want %q\n%s", got, open, want, show(r))
					}
					if n := r.Requests; n.Seen < n.OK+n.Failed || n.Failed != len(r.Verdicts) {
						t.Errorf("counted %+v", n)
					}
				})
			}
		}
	}
}

// TestRequestsInsideTLSThatTheClientsCaptureMisses: of the connection only the f5's capture
// tells, and the requests are followed at the client.
func TestRequestsInsideTLSThatTheClientsCaptureMisses(t *testing.T) {
	s := newStory(t)
	s.blind = func(point string, _ time.Duration, p told) bool {
		return point == "client/eth0" && p.flow.client.Port() == 54373
	}
	ts := newSession(t, tls.VersionTLS13, "http/1.1")
	w, when := s.secured(at, 54373, ts)
	when = w.send(when, ts.says(true, post(17))...)
	w.flag(when, false, 0)
	when = w.drops(when, 64373, 2, "firewall/feth11")
	w.closes(w.send(when, ts.says(false, unavailable)...), ts)
	s.background(0, 300)
	for i := range 20 {
		s.securely(time.Duration(i)*300*time.Millisecond, 500+i, 30000+i, 1+i%2, tls.VersionTLS13, "http/1.1")
	}
	s.background(at+12*time.Second, 100)
	r := s.analyze()
	if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != "firewall" || r.Verdicts[0].Cause != SYNDropped || r.Verdicts[0].Request.StartPoint != "f5/0.0" {
		t.Errorf("got %s", show(r))
	}
}

// TestConnectionsThatNothingTiesToClients: without trailers and keys, what came to
// nothing may be anyone's. It is told as a finding.
func TestConnectionsThatNothingTiesToClients(t *testing.T) {
	s := newStory(t)
	s.trailers = false
	failed := s.multiplexed(time.Second, 100, false)
	s.background(0, 200)
	s.background(14*time.Second, 50)
	r := s.analyze()
	if len(r.Verdicts) > 0 || len(r.Findings) != 1 || r.Findings[0].Requests != len(failed) ||
		!strings.Contains(r.Findings[0].What, "came to nothing (firewall, syn-dropped)") {
		t.Errorf("got %s", show(r))
	}
}

// multiplexed tells of requests that overlap on one sealed connection, and of which
// every twentieth meets with a firewall that swallows its SYNs. A proxy that tries
// again has another member for it. It returns when the failing ones were asked for.
func (s *story) multiplexed(from time.Duration, requests int, again bool) (failed []time.Duration) {
	t := newSession(s.tb, tls.VersionTLS13, "h2")
	w, when := s.secured(from, 54373, t)
	type event struct {
		at   time.Duration
		tell func(at time.Duration)
	}
	var events []event
	for i := range requests {
		asked := when + time.Duration(i)*30*time.Millisecond
		reply := func(at time.Duration) { w.send(at, t.says(false, strings.Repeat("a", 100))...) }
		events = append(events, event{asked, func(at time.Duration) { w.send(at, t.says(true, strings.Repeat("q", 100))...) }})
		done := asked + 10*time.Millisecond
		if i%20 != 19 {
			w.passes(asked+3*hopDelay, i, 60000+i, 1+i%2)
		} else {
			failed = append(failed, asked)
			done = w.drops(asked+3*hopDelay, 60000+i, 1+i%2, "firewall/feth11")
			if again {
				done = w.passes(done, i, 50000+i, 2-i%2)
			}
		}
		events = append(events, event{done, reply})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	for _, e := range events {
		e.tell(e.at)
	}
	return failed
}

func TestMultiplexedFailuresWithoutKeys(t *testing.T) {
	for _, c := range []struct {
		name     string
		again    bool
		busy     bool // requests go on until the captures end
		verdicts bool
	}{
		{"a proxy that does not try again, as the last failures show", false, false, true},
		{"one that does", true, false, false},
		{"one of which nobody knows", false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			requests := 300
			if c.busy {
				requests = 700
				for _, p := range standardPoints {
					s.cut[p.name] = 20 * time.Second
				}
			}
			failed := s.multiplexed(time.Second, requests, c.again)
			s.background(0, 300)
			s.background(19*time.Second, 50)
			r := s.analyze()
			if !c.verdicts {
				if open := strings.Contains(fmt.Sprint(r.Findings), "do not tell whether it tried again"); len(r.Verdicts) > 0 || open != c.busy {
					t.Errorf("got %d verdicts, open %v\n%s", len(r.Verdicts), open, show(r))
				}
				return
			}
			if len(r.Verdicts) != len(failed) {
				t.Fatalf("got %d verdicts, want %d\n%s", len(r.Verdicts), len(failed), show(r))
			}
			for i, v := range r.Verdicts {
				if v.Hop != "firewall" || v.Cause != SYNDropped || v.Outcome != Unknown {
					t.Errorf("got %s %s %s", v.Outcome, v.Hop, v.Cause)
				}
				if d := v.Request.Start.Sub(storyStart.Add(failed[i])); d < 0 || d > time.Millisecond {
					t.Errorf("request %d starts %v after it did", i, d)
				}
			}
		})
	}
}

// FuzzInsideTLS damages the packets of connections in TLS, opened and sealed: no crash,
// and counts that add up.
func FuzzInsideTLS(f *testing.F) {
	var packets [][]written
	var rings []*tlstap.KeyRing
	for _, keys := range []bool{true, false} {
		for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
			h1, h2 := newSession(f, version, "http/1.1"), newH2Session(f, version)
			one := h1.take()
			one = append(append(one, h1.says(true, post(1))...), h1.says(false, answer)...)
			two := append(h2.asks(1), h2.asks(2)...)
			two = append(append(two, h2.answers(1, respond(200))...), h2.answers(2, abort)...)
			packets = append(packets, one, two)
			for _, s := range []*session{h1, h2.session} {
				ring := &tlstap.KeyRing{}
				if keys {
					if err := ring.ReadKeyLog(bytes.NewReader(s.keys.Bytes())); err != nil {
						f.Fatal(err)
					}
				}
				rings = append(rings, ring)
			}
		}
	}
	f.Add(uint8(0), uint16(0), []byte{}, uint8(0), uint8(0), uint8(0))
	f.Add(uint8(1), uint16(40), []byte{1}, uint8(3), uint8(9), uint8(1))
	f.Add(uint8(7), uint16(900), []byte{255, 0}, uint8(5), uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, which uint8, at uint16, patch []byte, lost, cut, end uint8) {
		k := int(which) % len(packets)
		var script []string
		for i, w := range packets[k] {
			way := map[bool]string{true: ">", false: "<"}[w.toServer]
			b := bytes.Clone(w.b)
			if i == int(at)%len(packets[k]) {
				copy(b[int(at)%len(b):], patch)
			}
			switch {
			case i == int(lost):
				script = append(script, fmt.Sprintf("%sG%d", way, min(99, len(b))))
			case i == int(cut) && len(b) > 1:
				script = append(script, way+string(b[:len(b)/2]), way+string(b[len(b)/2:]))
			default:
				script = append(script, way+string(b))
			}
		}
		script = append(script, []string{"<R", ">R", "<F", ">F"}[end%4], ">F")
		s := newSurvey(Point{Name: "p"}, 0, true)
		s.log.keys = rings[k]
		play(s, script)
		for _, v := range s.servers {
			if n := v.counts; n.Seen < n.OK+n.Failed || n.Failed != len(s.log.failures) {
				t.Fatalf("counted %+v, %d failures", n, len(s.log.failures))
			}
		}
	})
}
