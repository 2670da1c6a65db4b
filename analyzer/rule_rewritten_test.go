package analyzer

import (
	"testing"
	"time"
)

func TestWhoMakesAnotherPacketOfItIsToBlame(t *testing.T) {
	// syns tells of a request whose SYNs a box changes, and which die after a point.
	syns := func(turns string, ttl byte, shift uint32, dies string, stamp uint32) func(s *story) {
		return func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			for i, r := range retries {
				stamp := stamp * uint32(i+1)
				s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, stamp: stamp, turns: turns, ttl: ttl, shift: shift, dies: dies})
				if dies == "" {
					s.tell(when+r+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer + uint32(i), ack: b.isn + 1 + shift})
					s.tell(when+r+8*hopDelay, told{flow: b, toServer: true, flags: flagRST, seq: b.isn + 1 + shift})
				}
			}
			s.resets(when+4*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}
	}
	for _, c := range []struct {
		name string
		tell func(s *story)
		hop  string
		Cause
	}{
		{"the cable before the firewall, which sets a TTL of 1", syns("f5/0.0", 1, 0, "firewall/feth11", 7), "link:f5-firewall", Rewritten},
		{"nobody: with a TTL of 2 the firewall may pass it on, and does not", syns("f5/0.0", 2, 0, "firewall/feth11", 7), "firewall", SYNDropped},
		{"not the firewall, which sets a TTL of 1, for no router follows", syns("firewall/feth11", 1, 0, "firewall/feth10", 7), "link:firewall-server2", SYNDropped},
		{"the firewall, which adds to the SYNs' numbers", syns("firewall/feth11", 0, 100_000, "", 7), "firewall", Rewritten},
		{"the cable behind it", syns("firewall/feth10", 0, 1, "", 7), "link:firewall-server2", Rewritten},
		{"a box that adds to the SYNs' numbers, and the capture beyond it has no SYN", func(s *story) {
			syns("firewall/feth10", 0, 100_000, "", 7)(s)
			s.skip = []string{"server2/eth0"}
		}, "", Inconclusive},
		{"the cable before the firewall, which adds to the requests' numbers", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), turns: "f5/0.0", shift: 1000})
				s.tell(when+r+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "link:f5-firewall", Rewritten},
		{"the firewall, which adds to the responses' numbers", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			for _, r := range rto {
				s.tell(when+r+time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, turns: "firewall/feth10", shift: 1000})
			}
			s.tell(when+5*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", Rewritten},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
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
