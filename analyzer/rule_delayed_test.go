package analyzer

import (
	"testing"
	"time"
)

// patient tells of a request that the server acknowledges and answers, each of them held
// up somewhere, and of a client that gives up after a time.
func (s *story) patient(patience time.Duration, request, response told, think time.Duration) {
	c, b, when := s.opened(at, 17, 54373, 2, post(17))
	n, m := uint32(len(post(17))), uint32(len(answer))
	when = s.handshake(when, b)
	s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), stays: request.stays, by: request.by})
	came := when + request.by + 4*hopDelay
	s.tell(came, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
	came += think
	s.tell(came, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, stays: response.stays, by: response.by})
	came += response.by + 4*hopDelay
	s.tell(at+patience, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
	s.tell(at+patience+4*hopDelay, told{flow: b, toServer: true, flags: flagFIN | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
	s.tell(came, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 2 + n, ack: b.answer + 1 + m})
	s.tell(came, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 2 + n, payload: answer})
	s.tell(came+4*hopDelay, told{flow: c, toServer: true, flags: flagRST, seq: c.isn + 2 + n})
}

// synsHeldUp tells of a request whose SYNs, or the answers to them, are held up.
func (s *story) synsHeldUp(syn, answer told) {
	c, b, when := s.opened(at, 17, 54373, 2, post(17))
	for i, r := range retries {
		// The time stamp of each tells it from the others: here, its ACK field does.
		s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, ack: uint32(i), stays: syn.stays, by: syn.by})
		s.tell(when+r+syn.by+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer + uint32(i), ack: b.isn + 1, stays: answer.stays, by: answer.by})
		s.tell(when+r+syn.by+answer.by+8*hopDelay, told{flow: b, toServer: true, flags: flagRST, seq: b.isn + 1})
	}
	s.resets(when+4*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
}

// answeredAgain tells of SYN-ACKs that the firewall drops, of which the server repeats the
// last when the f5 has given up. The server's capture misses that one, and the firewall's
// has no other.
func (s *story) answeredAgain() {
	c, b, when := s.opened(at, 17, 54373, 2, post(17))
	again := when + time.Second
	s.blind = func(point string, at time.Duration, p told) bool {
		return p.flow == b && p.flags&flagACK != 0 && (point == "server2/eth0") == (at >= again) && point != "firewall/feth11"
	}
	for i, r := range []time.Duration{0, 100 * time.Millisecond} {
		s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, stamp: 5000 + uint32(i)*100})
		s.tell(when+r+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1, dies: "firewall/feth10", stamp: 9000 + uint32(i)*100})
	}
	s.resets(when+400*time.Millisecond, c, len(post(17)), retransmitTimeout, true)
	s.tell(again+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1, dies: "firewall/feth10", stamp: 10_000})
}

func TestWhoHoldsAPacketUpIsToBlameAndNotWhoGivesUp(t *testing.T) {
	held := func(point string, by time.Duration) told { return told{stays: point, by: by} }
	for _, c := range []struct {
		name string
		tell func(s *story)
		hop  string
		Cause
	}{
		{"the SYNs, before the firewall", func(s *story) { s.synsHeldUp(held("f5/0.0", 6*time.Second), told{}) }, "link:f5-firewall", Delayed},
		{"the SYNs, in the firewall", func(s *story) { s.synsHeldUp(held("firewall/feth11", 6*time.Second), told{}) }, "firewall", Delayed},
		{"the SYN-ACKs, behind the firewall", func(s *story) { s.synsHeldUp(told{}, held("server2/eth0", 6*time.Second)) }, "link:firewall-server2", Delayed},
		{"nobody: the SYN-ACK that comes late was sent late", (*story).answeredAgain, "firewall", SYNAckDropped},
		{"the request, in the firewall", func(s *story) { s.patient(5*time.Second, held("firewall/feth11", 8*time.Second), told{}, 0) }, "firewall", Delayed},
		{"the response, before the firewall", func(s *story) { s.patient(5*time.Second, told{}, held("firewall/feth11", 8*time.Second), 0) }, "link:f5-firewall", Delayed},
		{"nobody: the server is slow", func(s *story) { s.patient(5*time.Second, told{}, told{}, 8*time.Second) }, "server2", AppSilent},
		{"the server for most of the time, and the firewall in the end", func(s *story) {
			s.patient(5*time.Second, told{}, held("firewall/feth10", 800*time.Millisecond), 4500*time.Millisecond)
		},
			"", Inconclusive},
		{"the response, and the client has hardly waited", func(s *story) { s.patient(1400*time.Microsecond, told{}, held("firewall/feth10", 8*time.Second), 0) }, "client", ClientAbort},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				s := newStory(t)
				s.v6 = v6
				c.tell(s)
				s.background(0, 300)
				s.background(at+5*time.Second, 100)
				r := s.analyze()
				if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != c.hop || r.Verdicts[0].Cause != c.Cause {
					t.Errorf("got %s", show(r))
				}
			})
		}
	}
}

func TestAClientThatHasClosedOneHalfIsAnsweredAllTheSame(t *testing.T) {
	s := newStory(t)
	c := s.clientFlow(54373)
	when := s.handshake(at, c)
	n, m := uint32(len(post(17))), uint32(len(answer))
	s.tell(when, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17)})
	s.tell(when+time.Second, told{flow: c, flags: flagFIN | flagACK, seq: c.answer + 1, ack: c.isn + 2 + n, payload: answer})
	s.tell(when+time.Second+4*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 2 + n, ack: c.answer + 2 + m})
	s.background(0, 100)
	if r := s.analyze(); len(r.Verdicts) > 0 || r.Requests.OK != 101 {
		t.Errorf("%d requests of 101 went well, and %s", r.Requests.OK, show(r))
	}
}

func TestAPacketThatSeemsHeldUpByClocksThatCannotBeComparedIsNobodys(t *testing.T) {
	s := newStory(t)
	s.wrong = map[string]func(time.Duration) time.Duration{"firewall/feth10": func(time.Duration) time.Duration { return 8 * time.Second }}
	s.quiet = true
	s.patient(5*time.Second, told{}, told{}, 8*time.Second)
	for _, v := range s.analyze().Verdicts {
		if v.Cause == Delayed {
			t.Errorf("%s is said to have held a packet up", v.Hop)
		}
	}
}
