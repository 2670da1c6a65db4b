package analyzer

import (
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// keepsTrying repeats the client's request, which gets no further than the client.
func (s *story) keepsTrying(c *telling, when time.Duration) {
	for _, r := range rto {
		s.tell(when+r, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17), dies: "client/eth0"})
	}
}

// neverAsks is a client whose request gets no further than itself, until the f5's idle timer
// ends the connection.
func (s *story) neverAsks() {
	c := s.clientFlow(54373)
	when := s.handshake(at, c)
	s.keepsTrying(c, when)
	s.resets(when+4*time.Second, c, 0, "Flow expired (sweeper)", false)
}

// hangsUp has the client send its FIN, and a f5 without such a connection answer it.
func (s *story) hangsUp(c *telling, when time.Duration, sent uint32) {
	s.tell(when, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1 + sent, ack: c.answer + 1})
	s.tell(when+2*hopDelay, told{flow: c, flags: flagRST, seq: c.answer + 1, rst: &f5trailer.RSTCause{Text: "No flow found for ACK", Line: 1234}})
}

// answersInVain has the server answer, and the f5 give the answer on; the client gets no
// byte of it, and perhaps the FIN behind it.
func (s *story) answersInVain(c, b *telling, when time.Duration, fin bool) {
	n, end := uint32(len(post(17))), uint32(len(answer))
	when = s.handshake(when, b)
	s.exchange(when, b, post(17), answer, nil)
	when += 20 * hopDelay
	for _, r := range rto[:4] {
		s.tell(when+r, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer, dies: "f5/0.0"})
	}
	if fin {
		s.tell(when+hopDelay, told{flow: c, flags: flagFIN | flagACK, seq: c.answer + 1 + end, ack: c.isn + 1 + n})
		s.tell(when+4*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
	}
}

// asked is a client that waits, and whose f5 asks whether it is still there.
func (s *story) asked(lost, answerLost string) (c, b *telling, when time.Duration, n uint32) {
	c, b, when, n = s.thinking()
	for _, r := range probes {
		s.tell(when+r, told{flow: c, flags: flagACK, seq: c.answer, ack: c.isn + 1 + n, dies: lost})
		if lost == "" && answerLost != "nobody" {
			s.tell(when+r+3*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1, dies: answerLost})
		}
	}
	return c, b, when, n
}

// givesUpClient has the f5 reset both halves, and tell the server why.
func (s *story) givesUpClient(c, b *telling, when time.Duration, n uint32, text string) {
	s.tell(when, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1, ack: c.isn + 1 + n})
	s.tell(when+hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1,
		rst: &f5trailer.RSTCause{Peer: true, Text: text, Line: 1234}})
}

func TestWhatIsLostBetweenClientAndProxyIsNoFaultOfWhoWaitsForIt(t *testing.T) {
	for _, row := range []struct {
		name    string
		tell    func(s *story)
		outcome Outcome
		hop     string
		cause   Cause
		settle  string
	}{
		{"the request is lost, and the f5's idle timer ends the connection", (*story).neverAsks, Reset, "link:client-f5", DataDropped, ""},
		{"the same, and the client's capture has missed the handshake", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "client/eth0" && p.flags&flagSYN != 0 && p.flow.client.Port() == 54373
			}
			s.neverAsks()
		}, Reset, "link:client-f5", DataDropped, ""},
		{"the same, and the f5's has missed it, too", func(s *story) {
			s.blind = func(_ string, _ time.Duration, p told) bool {
				return p.flags&flagSYN != 0 && p.flow.client.Port() == 54373
			}
			s.neverAsks()
		}, Reset, "link:client-f5", DataDropped, ""},
		{"the request is lost, and the client gives up", func(s *story) {
			c := s.clientFlow(54373)
			when := s.handshake(at, c)
			s.keepsTrying(c, when)
			s.tell(when+5*time.Second, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1 + uint32(len(post(17))), ack: c.answer + 1})
			s.tell(when+5*time.Second+2*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1})
		}, Timeout, "link:client-f5", DataDropped, ""},
		{"the request arrives, and the f5's idle timer ends the connection all the same", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when+4*time.Second, c, len(post(17)), "Flow expired (sweeper)", false)
		}, Reset, "f5", IdleTimeout, ""},
		{"the response is lost, and the f5 has forgotten the client that gives up", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.answersInVain(c, b, when, false)
			s.hangsUp(c, when+5*time.Second, uint32(len(post(17))))
		}, Timeout, "link:client-f5", ResponseDropped, ""},
		{"the response gets another number, and the f5 has forgotten the client that gives up", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.exchange(when, b, post(17), answer, nil)
			for _, r := range rto[:4] {
				s.tell(when+20*hopDelay+r, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer, turns: "f5/0.0", shift: 100_000})
				s.tell(when+23*hopDelay+r, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
			}
			s.hangsUp(c, when+5*time.Second, n)
		}, Timeout, "link:client-f5", Rewritten, ""},
		{"the request comes damaged, and the f5's idle timer ends the connection", func(s *story) {
			c := s.clientFlow(54373)
			when := s.handshake(at, c)
			for _, r := range rto {
				s.tell(when+r, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17), spoils: "client/eth0"})
			}
			s.resets(when+4*time.Second, c, 0, "Flow expired (sweeper)", false)
		}, Reset, "link:client-f5", Corrupted, ""},
		{"the request comes with another number, and the f5's idle timer ends the connection", func(s *story) {
			c := s.clientFlow(54373)
			when := s.handshake(at, c)
			for _, r := range rto {
				s.tell(when+r, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17), turns: "client/eth0", shift: 100_000})
			}
			s.resets(when+4*time.Second, c, 0, "Flow expired (sweeper)", false)
		}, Reset, "link:client-f5", Rewritten, ""},
		{"the response is lost, and the FIN behind it is not", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.answersInVain(c, b, when, true)
			s.hangsUp(c, when+5*time.Second, uint32(len(post(17))))
		}, Timeout, "link:client-f5", ResponseDropped, ""},
		{"the f5 has forgotten a client that gives up, and nothing was lost", func(s *story) {
			c, b, when, n := s.thinking()
			s.tell(when+3*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.hangsUp(c, when+5*time.Second, n)
		}, Timeout, "f5", SessionExpired, ""},
		{"the client's answers to probes are lost", func(s *story) {
			c, b, when, n := s.asked("", "client/eth0")
			s.givesUpClient(c, b, when+3*time.Second, n, "TCP keep-alive timeout")
		}, Reset, "link:client-f5", AckDropped, ""},
		{"the probes are", func(s *story) {
			c, b, when, n := s.asked("f5/0.0", "")
			s.givesUpClient(c, b, when+3*time.Second, n, "TCP keep-alive timeout")
		}, Reset, "link:client-f5", AckDropped, ""},
		{"the answers are lost, and the f5 does not say that this is why", func(s *story) {
			c, b, when, n := s.asked("", "client/eth0")
			s.givesUpClient(c, b, when+3*time.Second, n, "Phase of the moon")
		}, Reset, "", Inconclusive, "may have had another"},
		{"the f5 gives up a client that has answered", func(s *story) {
			c, b, when, n := s.asked("", "")
			s.givesUpClient(c, b, when+3*time.Second, n, "TCP keep-alive timeout")
		}, Reset, "", Inconclusive, "what became of the last probes"},
		{"the f5 gives up a client that does not answer", func(s *story) {
			c, b, when, n := s.asked("", "nobody")
			s.givesUpClient(c, b, when+3*time.Second, n, "TCP keep-alive timeout")
		}, Reset, "", Inconclusive, "what became of the last probes"},
		{"the client gives up too soon, and its host resets the response", func(s *story) {
			c, b, when, n := s.thinking()
			end := c.isn + 1 + n
			s.tell(when+5*hopDelay, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: end, ack: c.answer + 1})
			s.tell(when+7*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: end + 1})
			s.tell(when+7*hopDelay, told{flow: b, toServer: true, flags: flagFIN | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.tell(when+time.Second, told{flow: b, flags: flagACK | flagFIN, seq: b.answer + 1, ack: b.isn + 2 + n, payload: answer})
			s.tell(when+time.Second+5*hopDelay, told{flow: c, flags: flagACK | flagFIN, seq: c.answer + 1, ack: end + 1, payload: answer})
			s.tell(when+time.Second+7*hopDelay, told{flow: c, toServer: true, flags: flagRST, seq: end + 1})
		}, Timeout, "client", ClientAbort, ""},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(row.name+map[bool]string{true: ", in IPv6"}[v6], func(t *testing.T) {
				s := newStory(t)
				s.v6 = v6
				row.tell(s)
				s.background(0, 300)
				s.background(at+8*time.Second, 200)
				r := s.analyze()
				if len(r.Verdicts) != 1 {
					t.Fatalf("got %d verdicts, want 1\n%s", len(r.Verdicts), show(r))
				}
				v := r.Verdicts[0]
				if v.Hop != row.hop || v.Cause != row.cause || v.Outcome != row.outcome || !strings.Contains(v.WouldSettle, row.settle) || (v.RST != nil) != (row.outcome == Reset) {
					t.Errorf("got %s %s, %s, settle %q; want %s %s, %s\n%s", v.Hop, v.Cause, v.Outcome, v.WouldSettle, row.hop, row.cause, row.outcome, show(r))
				}
			})
		}
	}
}

func TestAClientThatHasNothingMoreToSayAndTakesTheResponseIsServed(t *testing.T) {
	s := newStory(t)
	c, b, when, n := s.thinking()
	end := c.isn + 1 + n
	s.tell(when+5*hopDelay, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: end, ack: c.answer + 1})
	s.tell(when+time.Second, told{flow: b, flags: flagACK | flagFIN, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer})
	s.tell(when+time.Second+5*hopDelay, told{flow: c, flags: flagACK | flagFIN, seq: c.answer + 1, ack: end + 1, payload: answer})
	s.tell(when+time.Second+7*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: end + 1, ack: c.answer + 2 + uint32(len(answer))})
	s.background(0, 100)
	s.background(at+3*time.Second, 100)
	r := s.analyze()
	if len(r.Verdicts) > 0 || r.Requests.OK != r.Requests.Seen {
		t.Errorf("got %+v\n%s", r.Requests, show(r))
	}
}

// A client's TCP repeats a SYN every second at first, and a capture ends with the client.
func TestACallInVainHasFailedThoughTheCaptureEndsRightBehindItsLastSYN(t *testing.T) {
	for _, row := range []struct {
		name   string
		tries  int
		ends   time.Duration
		failed bool
	}{
		{"five SYNs in four seconds, the last a moment ago", 5, 4900 * time.Millisecond, true},
		{"three SYNs, the first three seconds ago", 3, 3 * time.Second, true},
		{"three SYNs, in less time: it may yet be answered", 3, 2900 * time.Millisecond, false},
		{"one SYN, a second ago", 1, time.Second, true},
		{"one SYN, a moment ago: it may yet be answered", 1, 900 * time.Millisecond, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			c := s.clientFlow(54373)
			for try := range row.tries {
				s.tell(at+time.Duration(try)*time.Second, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, dies: "client/eth0"})
			}
			s.background(0, 100)
			for _, p := range standardPoints {
				s.cut[p.name] = at + row.ends
			}
			report := s.analyze()
			if failed := len(report.Verdicts) == 1; failed != row.failed {
				t.Fatalf("failed: %t, want %t\n%s", failed, row.failed, show(report))
			}
			if v := report.Verdicts; row.failed && (v[0].Hop != "link:client-f5" || v[0].Cause != SYNDropped) {
				t.Errorf("got %s %s\n%s", v[0].Hop, v[0].Cause, show(report))
			}
		})
	}
}

// A client whose SYN comes to the proxy with another number refuses the answer and asks again.
func TestAClientThatRefusesAnAnswerToAnotherSYNStillWaitsForItsOwn(t *testing.T) {
	for _, row := range []struct {
		name    string
		turns   string
		shift   uint32 // that the RST has
		hop     string
		failed  bool
		answers int // SYNs that are answered in good order, after all
	}{
		{"a box before the f5 changes each SYN", "client/eth0", 100_000, "link:client-f5", true, 0},
		{"a box did so at first", "client/eth0", 100_000, "", false, 1},
		{"the client resets what it has asked for itself, and asks no more", "", 0, "", false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			c := s.clientFlow(54373)
			tries := retries
			if row.shift == 0 {
				tries = retries[:1]
			}
			for i, r := range tries {
				s.tell(at+r, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, stamp: 7 + uint32(i), turns: row.turns, shift: row.shift})
				if row.shift != 0 {
					s.tell(at+r+2*hopDelay, told{flow: c, flags: flagSYN | flagACK, seq: c.answer + uint32(i), ack: c.isn + row.shift + 1})
				}
				s.tell(at+r+4*hopDelay, told{flow: c, toServer: true, flags: flagRST, seq: c.isn + row.shift + 1})
			}
			if row.answers > 0 {
				open := s.handshake(at+4*time.Second, c)
				s.exchange(open, c, post(17), answer, nil)
			}
			s.background(0, 300)
			s.background(at+5*time.Second, 100)
			r := s.analyze()
			if failed := len(r.Verdicts) == 1; failed != row.failed || len(r.Verdicts) > 1 {
				t.Fatalf("got %s", show(r))
			}
			if v := r.Verdicts; row.failed && (v[0].Hop != row.hop || v[0].Cause != Rewritten || v[0].Outcome != Timeout) {
				t.Errorf("got %s", show(r))
			}
		})
	}
}

// TestWhatTheF5AcknowledgesItsClientSent lets both captures of the clientside lose all that a
// client sends but its SYN: its connection was open all the same, and is reset, not refused.
func TestWhatTheF5AcknowledgesItsClientSent(t *testing.T) {
	s := newStory(t)
	s.blind = func(point string, _ time.Duration, p told) bool {
		return p.toServer && p.flags&flagSYN == 0 && p.flow.client.Port() == 54373 && (point == "client/eth0" || point == "f5/0.0")
	}
	s.background(0, 200)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(at+8*time.Second, 200)
	r := s.analyze()
	if len(r.Verdicts) != 1 || r.Verdicts[0].Outcome != Reset || r.Verdicts[0].Hop != "firewall" {
		t.Errorf("want one request that was reset, for the firewall\n%s", show(r))
	}
}
