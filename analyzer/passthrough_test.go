package analyzer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// passed are the two halves of a connection that the f5 passes through.
func (s *story) passed(port, server int) (c, b *telling) {
	c, b = s.clientFlow(port), s.serverFlow(s.snat(port), server)
	b.isn, b.answer = c.isn, c.answer
	return c, b
}

// pass lets a packet travel from one end to the other; it is seen as far as dies.
func (s *story) pass(at time.Duration, c, b *telling, p told) {
	near, far := p, p
	near.flow, far.flow = c, b
	if !p.toServer {
		near, far = far, near
	}
	for _, point := range near.flow.points {
		if near.dies == point && point != "f5/0.0" {
			s.tell(at, near)
			return
		}
	}
	near.dies = ""
	s.tell(at, near)
	c.peer, b.peer = b, c // known from the first SYN on
	s.tell(at+4*hopDelay, far)
}

func TestWhatAProxyPassesThroughIsFollowedToWhereItEnds(t *testing.T) {
	syns := func(s *story, c, b *telling, dies string) {
		for _, r := range retries {
			s.pass(at+r, c, b, told{toServer: true, flags: flagSYN, seq: c.isn, dies: dies})
		}
	}
	handshakeTimeout := func(s *story, c *telling) {
		s.tell(at+5*time.Second, told{flow: c, flags: flagRST | flagACK, ack: c.isn + 1, rst: &f5trailer.RSTCause{Peer: true, Text: "handshake timeout", Line: 1511}})
	}
	for _, row := range []struct {
		name string
		tell func(s *story, c, b *telling)
		hop  string
		Cause
		by string // who sent the RST
	}{
		{"the firewall drops the SYNs, and the f5 tires of it", func(s *story, c, b *telling) {
			syns(s, c, b, "firewall/feth11")
			handshakeTimeout(s, c)
		}, "firewall", SYNDropped, "f5"},
		{"the firewall drops the SYNs, and the client tires of it", func(s *story, c, b *telling) {
			syns(s, c, b, "firewall/feth11")
		}, "firewall", SYNDropped, ""},
		{"the SYN does not get to the f5", func(s *story, c, b *telling) {
			syns(s, c, b, "client/eth0")
		}, "link:client-f5", SYNDropped, ""},
		{"the server does not answer", func(s *story, c, b *telling) { syns(s, c, b, "") }, "server2", NoAnswer, ""},
		{"the server refuses", func(s *story, c, b *telling) {
			s.pass(at, c, b, told{toServer: true, flags: flagSYN, seq: c.isn})
			s.pass(at+10*hopDelay, c, b, told{flags: flagRST | flagACK, ack: c.isn + 1})
		}, "server2", PortClosed, ""},
		{"the firewall refuses", func(s *story, c, b *telling) {
			s.pass(at, c, b, told{toServer: true, flags: flagSYN, seq: c.isn, dies: "firewall/feth11"})
			back := *b
			back.points = b.points[:2]
			s.tell(at+8*hopDelay, told{flow: &back, flags: flagRST | flagACK, ack: c.isn + 1})
			s.tell(at+12*hopDelay, told{flow: c, flags: flagRST | flagACK, ack: c.isn + 1})
		}, "firewall", Rejected, ""},
		{"the answers are lost behind the firewall", func(s *story, c, b *telling) {
			for _, r := range retries {
				s.pass(at+r, c, b, told{toServer: true, flags: flagSYN, seq: c.isn})
				s.tell(at+r+10*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: c.answer, ack: c.isn + 1, dies: b.points[3]})
			}
			handshakeTimeout(s, c)
		}, "link:firewall-server2", SYNAckDropped, "f5"},
		{"the answers are lost on the way to the client", func(s *story, c, b *telling) {
			for _, r := range retries {
				s.pass(at+r, c, b, told{toServer: true, flags: flagSYN, seq: c.isn})
				s.tell(at+r+10*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: c.answer, ack: c.isn + 1})
				s.tell(at+r+14*hopDelay, told{flow: c, flags: flagSYN | flagACK, seq: c.answer, ack: c.isn + 1, dies: "f5/0.0"})
			}
		}, "link:client-f5", SYNAckDropped, ""},
	} {
		for _, k := range []struct{ trailers, single, uncaptured bool }{
			{true, false, false}, {false, false, false}, {true, true, false}, {false, true, false}, {false, false, true},
		} {
			by, hop, server := row.by, row.hop, 2
			if !k.trailers {
				by = "" // nobody says so
			}
			if k.uncaptured && strings.Contains(hop, "f5") {
				continue // who could tell
			}
			if k.single { // the f5 is a box that translates addresses then
				hop, server = strings.Replace(hop, "server2", "server1", 1), 1
			}
			t.Run(fmt.Sprintf("%s, trailers %v, one server %v, f5 uncaptured %v", row.name, k.trailers, k.single, k.uncaptured), func(t *testing.T) {
				s := newStory(t)
				s.trailers, s.single = k.trailers, k.single
				if k.uncaptured {
					s.skip = []string{"f5/0.0"}
				}
				c, b := s.passed(54373, server)
				row.tell(s, c, b)
				s.passedWell(0, 200)
				s.passedWell(at+8*time.Second, 200)
				r := s.analyze()
				if len(r.Verdicts) != 1 {
					t.Fatalf("got %d verdicts, want 1\n%s", len(r.Verdicts), show(r))
				}
				v := r.Verdicts[0]
				if v.Hop != hop || v.Cause != row.Cause || v.RST != nil && v.RST.By != by {
					t.Errorf("got %s %s between %v, settle %q, RST %+v; want %s %s by %q\n%s", v.Hop, v.Cause, v.Between, v.WouldSettle, v.RST, hop, row.Cause, by, show(r))
				}
			})
		}
	}
}

// passedWell is n good requests through a proxy that passes packets through.
func (s *story) passedWell(at time.Duration, n int) {
	for i := range n {
		server := 1 + i%2
		if s.single {
			server = 1
		}
		c, b := s.passed(20000+i, server)
		when := at + time.Duration(i)*20*time.Millisecond
		step := func(p told) {
			s.pass(when, c, b, p)
			when += 10 * hopDelay
		}
		req := s.post(1000 + i)
		up, down := c.isn+1+uint32(len(req)), c.answer+1+uint32(len(answer))
		step(told{toServer: true, flags: flagSYN, seq: c.isn})
		step(told{flags: flagSYN | flagACK, seq: c.answer, ack: c.isn + 1})
		step(told{toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1})
		step(told{toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: req})
		step(told{flags: flagACK, seq: c.answer + 1, ack: up, payload: answer})
		step(told{flags: flagACK | flagFIN, seq: down, ack: up})
		step(told{toServer: true, flags: flagACK | flagFIN, seq: up, ack: down + 1})
		step(told{flags: flagACK, seq: down + 1, ack: up + 1})
	}
}
