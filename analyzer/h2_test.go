package analyzer

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/tlstap"
)

// h2Session is HTTP/2 as net/http speaks it, in a session. The server does with each
// request what it is told to.
type h2Session struct {
	*session
	conn     *http2.ClientConn
	arrived  chan int // ids of requests that are at the server
	gone     chan int // of those that the client gave up on there
	mu       sync.Mutex
	requests map[int]*h2Request
}

type h2Request struct {
	order  chan func(http.ResponseWriter)
	done   chan error
	cancel context.CancelFunc
}

func (h *h2Session) request(id int) *h2Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.requests[id] == nil {
		h.requests[id] = &h2Request{order: make(chan func(http.ResponseWriter), 1), done: make(chan error, 1)}
	}
	return h.requests[id]
}

func newH2Session(tb testing.TB, version uint16) *h2Session {
	tb.Helper()
	h := &h2Session{session: newSession(tb, version, "h2"), arrived: make(chan int), gone: make(chan int, 10), requests: map[int]*h2Request{}}
	go (&http2.Server{}).ServeConn(h.server, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id, _ := strconv.Atoi(r.Header.Get("X-Request-ID"))
		h.arrived <- id
		select {
		case do := <-h.request(id).order:
			do(w)
		case <-r.Context().Done():
			h.gone <- id
		}
	})})
	var err error
	if h.conn, err = (&http2.Transport{}).NewClientConn(h.client); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { h.conn.Close() })
	return h
}

// asks sends a request, and returns what was written until the server has it.
func (h *h2Session) asks(id int) []written {
	h.tb.Helper()
	ctx, cancel := context.WithCancel(h.tb.Context())
	h.request(id).cancel = cancel
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "POST", "https://vip/batch", strings.NewReader("hello"))
		req.Header.Set("X-Request-ID", strconv.Itoa(id))
		resp, err := h.conn.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		h.request(id).done <- err
	}()
	if got := <-h.arrived; got != id {
		h.tb.Fatalf("request %d arrives, want %d", got, id)
	}
	return h.take()
}

// cancels lets the client give up on a request, and returns what was written for it.
func (h *h2Session) cancels(id int) []written {
	h.request(id).cancel()
	<-h.request(id).done
	<-h.gone // the server has it
	return h.take()
}

// answers lets the server do something with a request, and returns what was written
// until the client has it.
func (h *h2Session) answers(id int, do func(http.ResponseWriter)) []written {
	h.request(id).order <- do
	<-h.request(id).done
	return h.take()
}

func respond(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "ok")
	}
}

func abort(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// keysOf gives the analysis the keys of sessions.
func (s *story) analyzeWith(keys ...*session) *Report {
	s.tb.Helper()
	var log strings.Builder
	for _, k := range keys {
		log.Write(k.keys.Bytes())
	}
	r, err := Analyze(s.tb.Context(), s.write(), Options{KeyLog: strings.NewReader(log.String())})
	s.check(err)
	return r
}

// overlapping tells of requests of HTTP/2 that overlap on one connection, and of which
// every tenth fails; how is what the client gets then.
func (s *story) overlapping(from time.Duration, requests int, h *h2Session, dies string, how func(http.ResponseWriter)) (failed []int) {
	w, when := s.secured(from, 54373, h.session)
	type event struct {
		at   time.Duration
		tell func(at time.Duration)
	}
	var events []event
	for i := range requests {
		asked := when + time.Duration(i)*25*time.Millisecond
		events = append(events, event{asked, func(at time.Duration) { w.send(at, h.asks(i)...) }})
		do, done := respond(200), asked+10*time.Millisecond
		if i%10 != 9 {
			w.passes(asked+4*hopDelay, i, 60000+i, 1+i%2)
		} else {
			failed = append(failed, i)
			do, done = how, w.drops(asked+4*hopDelay, 60000+i, 1+i%2, dies)
		}
		events = append(events, event{done, func(at time.Duration) { w.send(at, h.answers(i, do)...) }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	for _, e := range events {
		e.tell(e.at)
	}
	return failed
}

func TestStreamsOfHTTP2(t *testing.T) {
	for _, c := range []struct {
		name    string
		version uint16
		how     func(http.ResponseWriter)
		outcome Outcome
	}{
		{"the f5 resets the stream", tls.VersionTLS13, abort, Reset},
		{"the f5 answers 503", tls.VersionTLS13, respond(503), Error},
		{"the f5 resets the stream, in TLS 1.2", tls.VersionTLS12, abort, Reset},
	} {
		for _, trailers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trailers %v", c.name, trailers), func(t *testing.T) {
				s := newStory(t)
				s.trailers = trailers
				h := newH2Session(t, c.version)
				failed := s.overlapping(time.Second, 200, h, "firewall/feth11", c.how)
				s.background(0, 200)
				s.background(14*time.Second, 50)
				r := s.analyzeWith(h.session)
				if len(r.Verdicts) != len(failed) {
					t.Fatalf("got %d verdicts, want %d\n%s", len(r.Verdicts), len(failed), show(r))
				}
				for i, v := range r.Verdicts {
					if v.Hop != "firewall" || v.Cause != SYNDropped || v.Outcome != c.outcome || v.RST != nil ||
						v.Request.ID != strconv.Itoa(failed[i]) || v.Request.Method != "POST" || v.Request.Target != "/batch" {
						t.Errorf("request %d: got %s %q %s, %+v, settle %q", failed[i], v.Outcome, v.Hop, v.Cause, v.Request, v.WouldSettle)
					}
				}
				if n := r.Requests; n.Seen != 450 || n.OK != 450-len(failed) {
					t.Errorf("counted %+v", n)
				}
			})
		}
	}
}

// TestKeysInTrailers: nobody gives a key log; the f5's own capture has the secrets.
func TestKeysInTrailers(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		for _, sole := range []bool{true, false} {
			t.Run(fmt.Sprintf("TLS %x, the f5's capture is the only one of the client's side %v", version, sole), func(t *testing.T) {
				s := newStory(t)
				if sole {
					s.skip = []string{"client/eth0"}
				}
				h := newH2Session(t, version)
				s.secrets = map[*telling]f5trailer.TLV{}
				s.opens = func(f *telling) { s.secrets[f] = h.record() }
				failed := s.overlapping(time.Second, 200, h, "firewall/feth11", abort)
				s.background(0, 200)
				s.background(14*time.Second, 50)
				r := s.analyze()
				if len(r.Verdicts) != len(failed) {
					t.Fatalf("got %d verdicts, want %d\n%s", len(r.Verdicts), len(failed), show(r))
				}
				for i, v := range r.Verdicts {
					if v.Hop != "firewall" || v.Outcome != Reset || v.Request.ID != strconv.Itoa(failed[i]) {
						t.Errorf("request %d: got %s %q %s, %+v, settle %q", failed[i], v.Outcome, v.Hop, v.Cause, v.Request, v.WouldSettle)
					}
				}
			})
		}
	}
}

// TestALongConnection has more packets than are kept of one at a point.
func TestALongConnection(t *testing.T) {
	s := newStory(t)
	h := newH2Session(t, tls.VersionTLS13)
	failed := s.overlapping(time.Second, 6000, h, "firewall/feth11", abort)
	r := s.analyzeWith(h.session)
	if r.Points[0].Packets <= maxSightings {
		t.Fatalf("%d packets only", r.Points[0].Packets)
	}
	right := 0
	for i, v := range r.Verdicts {
		if v.Hop == "firewall" && v.Cause == SYNDropped && v.Request.ID == strconv.Itoa(failed[i]) {
			right++
		}
	}
	if right != len(failed) || len(r.Verdicts) != right {
		t.Errorf("%d of %d verdicts are right, %d failed", right, len(r.Verdicts), len(failed))
	}
}

// TestStreamsMeetDifferentFates: what fails at one time fails at different places.
func TestStreamsMeetDifferentFates(t *testing.T) {
	for _, trailers := range []bool{true, false} {
		t.Run(fmt.Sprintf("trailers %v", trailers), func(t *testing.T) {
			s := newStory(t)
			s.trailers = trailers
			h := newH2Session(t, tls.VersionTLS13)
			w, when := s.secured(time.Second, 54373, h.session)
			type event struct {
				at   time.Duration
				tell func(at time.Duration)
			}
			var events []event
			want := map[string]string{}
			for i := range 200 {
				asked := when + time.Duration(i)*25*time.Millisecond
				events = append(events, event{asked, func(at time.Duration) { w.send(at, h.asks(i)...) }})
				do, done := respond(200), asked+20*time.Millisecond
				to := asked + 4*hopDelay
				switch id := strconv.Itoa(i); i % 20 {
				case 3:
					do, done = abort, w.drops(to, 60000+i, 1, "firewall/feth11")
					want[id] = "reset firewall syn-dropped"
				case 8:
					do, done = abort, w.drops(to, 60000+i, 2, "f5/0.0")
					want[id] = "reset link:f5-firewall syn-dropped"
				case 12: // the server resets it
					b := s.serverFlow(60000+i, 1)
					b.peer, w.f.peer = w.f, b
					up := s.handshake(to, b)
					n := b.isn + 1 + uint32(len(post(i)))
					s.tell(up, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(i)})
					s.tell(up+4*hopDelay, told{flow: b, flags: flagACK | flagRST, seq: b.answer + 1, ack: n})
					do = respond(502)
					want[id] = "error server1 app-reset"
				case 15: // the server answers 500
					b := s.serverFlow(60000+i, 2)
					b.peer, w.f.peer = w.f, b
					s.exchange(s.handshake(to, b), b, post(i), "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", nil)
					do = respond(500)
					want[id] = "error server2 app-error"
				case 17: // the server's port is closed
					b := s.serverFlow(60000+i, 2)
					b.peer, w.f.peer = w.f, b
					s.tell(to, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
					s.tell(to+4*hopDelay, told{flow: b, flags: flagACK | flagRST, ack: b.isn + 1})
					do = respond(503)
					want[id] = "error server2 port-closed"
				default:
					w.passes(to, i, 60000+i, 1+i%2)
				}
				events = append(events, event{done, func(at time.Duration) { w.send(at, h.answers(i, do)...) }})
			}
			slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
			for _, e := range events {
				e.tell(e.at)
			}
			s.background(0, 200)
			s.background(14*time.Second, 50)
			r := s.analyzeWith(h.session)
			if len(r.Verdicts) != len(want) {
				t.Errorf("got %d verdicts, want %d", len(r.Verdicts), len(want))
			}
			for _, v := range r.Verdicts {
				if got := fmt.Sprintf("%s %s %s", v.Outcome, v.Hop, v.Cause); got != want[v.Request.ID] {
					t.Errorf("request %s: got %s, want %s; settle %q", v.Request.ID, got, want[v.Request.ID], v.WouldSettle)
				}
			}
		})
	}
}

// TestHTTP1InsideTLSWithKeys: what is inferred without keys is known with them.
func TestHTTP1InsideTLSWithKeys(t *testing.T) {
	want := map[string]string{
		"the f5 says 503, and the client closes":                                      "error firewall syn-dropped 17",
		"the f5 says 503, and the client asks again with success":                     "error firewall syn-dropped 17",
		"the f5 tries another member, and that fails as well":                         "error link:f5-firewall syn-dropped 17",
		"the f5 gives up soon, the client closes, and the captures end":               "error firewall syn-dropped 17",
		"the f5 gives up soon, and the captures end before anybody closes":            "error firewall syn-dropped 17",
		"the server answers 503":                                                      "error server2 app-error 17",
		"the f5 resets the connection: the firewall swallowed its SYNs":               "reset firewall syn-dropped 17",
		"the second request of a connection has that fate":                            "reset firewall syn-dropped 17",
		"the f5 closes instead of answering":                                          "truncated firewall syn-dropped 17",
		"the client gives up":                                                         "timeout firewall syn-dropped 17",
		"the f5 resets a connection on which nothing was asked yet: it has no member": "reset f5 no-pool-member",
		"the client refuses the certificate, under encryption":                        "tls-error  inconclusive",
	}
	check := func(name string, tell func(s *story, t *session)) {
		for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
			if version == tls.VersionTLS12 && strings.Contains(name, "under encryption") {
				continue
			}
			t.Run(fmt.Sprintf("%s, TLS %x", name, version), func(t *testing.T) {
				s := newStory(t)
				session := newSession(t, version, "http/1.1")
				tell(s, session)
				s.background(0, 200)
				s.background(at+12*time.Second, 50)
				r := s.analyzeWith(session)
				got := ""
				for _, v := range r.Verdicts {
					got += strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.Outcome, v.Hop, v.Cause, v.Request.ID))
				}
				if got != want[name] {
					t.Errorf("got %q, want %q\n%s", got, want[name], show(r))
				}
			})
		}
	}
	for _, c := range sealedEndings {
		check(c.name, c.tell)
	}
	for _, c := range failuresInside {
		if !strings.Contains(c.name, "a body comes in") { // its bytes are no HTTP
			check(c.name, c.tell)
		}
	}
}

// TestWhatIsLostInsideTLS: the captures of the client's connection miss packets, after
// which it cannot be read; that makes nobody fail.
func TestWhatIsLostInsideTLS(t *testing.T) {
	for _, c := range []struct {
		name  string
		blind func(point string, at time.Duration, p told) bool
		least int // verdicts of the streams that were read before
	}{
		{"a packet of the client's", func(point string, at time.Duration, p told) bool {
			return at > 3*time.Second && at < 3100*time.Millisecond && p.flow.vlan == 4094 && p.toServer && p.payload != "" && p.flow.client.Port() == 54373
		}, 0},
		{"a packet of the f5's", func(point string, at time.Duration, p told) bool {
			return at > 3*time.Second && at < 3100*time.Millisecond && p.flow.vlan == 4094 && !p.toServer && p.payload != "" && p.flow.client.Port() == 54373
		}, 0},
		{"the handshake", func(point string, at time.Duration, p told) bool {
			return at < 1010*time.Millisecond && p.flow.vlan == 4094 && p.flow.client.Port() == 54373
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			s.blind = c.blind
			h := newH2Session(t, tls.VersionTLS13)
			failed := s.overlapping(time.Second, 200, h, "firewall/feth11", abort)
			s.background(0, 200)
			s.background(14*time.Second, 50)
			r := s.analyzeWith(h.session)
			if len(r.Verdicts) < c.least || len(r.Verdicts) > len(failed) {
				t.Errorf("got %d verdicts, %d failed\n%s", len(r.Verdicts), len(failed), show(r))
			}
			for _, v := range r.Verdicts {
				if v.Hop != "firewall" || v.Cause != SYNDropped {
					t.Errorf("got %s %q %s, %+v, settle %q", v.Outcome, v.Hop, v.Cause, v.Request, v.WouldSettle)
				}
			}
			t.Logf("%d of %d", len(r.Verdicts), len(failed))
		})
	}
}

// TestStreamsThatAreGivenUp: the client has enough of one, and the server is silent.
func TestStreamsThatAreGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		waited time.Duration
		want   string
	}{
		{"sooner than good ones are answered", 10 * time.Millisecond, "timeout client client-abort"},
		{"after a long wait", 20 * time.Second, "timeout server2 app-silent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			h := newH2Session(t, tls.VersionTLS13)
			w, when := s.secured(at, 54373, h.session)
			when = w.send(when, h.asks(1)...)
			when = w.passes(when, 1, 60001, 1) + 20*time.Millisecond
			when = w.send(when, h.answers(1, respond(200))...)
			when = w.send(when, h.asks(17)...)
			b := s.serverFlow(60017, 2)
			b.peer, w.f.peer = w.f, b
			up := s.handshake(when, b)
			n := b.isn + 1 + uint32(len(post(17)))
			s.tell(up, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			s.tell(up+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: n})
			when += c.waited
			w.send(when, h.cancels(17)...)
			s.tell(when+4*hopDelay, told{flow: b, toServer: true, flags: flagACK | flagRST, seq: n, ack: b.answer + 1})
			s.background(0, 200)
			s.background(when+time.Second, 100)
			r := s.analyzeWith(h.session)
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

// TestStreamsThatDidNotFail: whatever is not a failure, and one that was sent again.
func TestStreamsThatDidNotFail(t *testing.T) {
	s := newStory(t)
	h := newH2Session(t, tls.VersionTLS13)
	w, when := s.secured(at, 54373, h.session)
	for i := range 5 {
		when = w.send(when, h.asks(i)...)
		when = w.passes(when, i, 60000+i, 1)
		when = w.send(when, h.answers(i, respond([]int{200, 204, 302, 404, 200}[i]))...)
	}
	w.closes(when, h.session)
	s.background(0, 200)
	r := s.analyzeWith(h.session)
	if len(r.Verdicts) > 0 || r.Requests.Seen != 205 || r.Requests.OK != 205 {
		t.Errorf("got %s", show(r))
	}
}

// TestRefusedStreams: a request that the server did not look at may be sent again.
func TestRefusedStreams(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("sent again %v", again), func(t *testing.T) {
			s := newStory(t)
			session := newSession(t, tls.VersionTLS13, "h2")
			w, when := s.secured(at, 54373, session)
			k := newH2Talk(t, 1<<20)
			k.sent = func(side tlstap.Side, b []byte) {
				when = w.send(when, session.says(side == tlstap.Client, string(b))...)
			}
			ask := func(stream uint32) {
				k.headers(tlstap.Client, stream, true, 1<<10, ":method", "GET", ":path", "/17", "x-request-id", "17")
			}
			k.preface()
			ask(1)
			k.says(tlstap.Server, func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeRefusedStream) })
			if again {
				ask(3)
				when = w.passes(when, 17, 60017, 1)
				k.headers(tlstap.Server, 3, true, 1<<10, ":status", "200")
			}
			w.closes(when, session)
			s.background(0, 200)
			r := s.analyzeWith(session)
			if again != (len(r.Verdicts) == 0) || !again && (r.Verdicts[0].Outcome != Reset || r.Verdicts[0].Request.ID != "17") {
				t.Errorf("got %s", show(r))
			}
		})
	}
}
