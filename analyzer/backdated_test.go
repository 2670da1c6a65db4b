package analyzer

import (
	"testing"
	"time"
)

func TestWhoMakesATimeStampOlderThanTheHandshakeIsToBlame(t *testing.T) {
	const day = 86_400_000
	type tale struct {
		turns    string // the last point before a box changes the request's time stamps
		backdate uint32 // by so much
		unless   int    // but for this many tries
		handshakes,
		answers uint32 // time stamps of the handshake's two packets; 0: none
		stamp uint32 // of the first try; those behind it are as much later as they are sent
		skip  []string
		clock map[string]time.Duration
	}
	for _, row := range []struct {
		name string
		tale
		hop string
		Cause
		settle string
	}{
		{"the cable before the firewall, which takes a day off", tale{turns: "f5/0.0", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004}, "link:f5-firewall", Rewritten, ""},
		{"the firewall", tale{turns: "firewall/feth11", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004}, "firewall", Rewritten, ""},
		{"the cable behind it", tale{turns: "firewall/feth10", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004}, "link:firewall-server2", Rewritten, ""},
		{"the firewall, over the clock's turn from its end to zero", tale{turns: "firewall/feth11", backdate: day, handshakes: 1<<32 - 2, answers: 7, stamp: 2}, "firewall", Rewritten, ""},
		{"the firewall, and the clocks of the captures are apart", tale{turns: "firewall/feth11", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004,
			clock: map[string]time.Duration{"server2/eth0": 30 * time.Second, "f5/0.0": -7 * time.Second}}, "firewall", Rewritten, ""},
		{"the segment behind the firewall, and its server has no capture", tale{turns: "f5/0.0", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004,
			skip: []string{"server2/eth0"}}, "link:f5-firewall", Rewritten, ""},
		{"some box before feth10, and there is no capture nearer to the f5", tale{turns: "f5/0.0", backdate: day, handshakes: 890_000_000, answers: 7, stamp: 890_000_004,
			skip: []string{"firewall/feth11", "f5/0.0"}}, "", Inconclusive, ""},
		{"nobody: the two ends have no time stamps, and the request has", tale{turns: "firewall/feth11", backdate: day, stamp: 890_000_004}, "", Inconclusive, ""},
		{"nobody: the server has not agreed on time stamps", tale{turns: "firewall/feth11", backdate: day, handshakes: 890_000_000, stamp: 890_000_004}, "", Inconclusive, ""},
		{"nobody: a tick is let pass", tale{turns: "firewall/feth11", backdate: 5, handshakes: 890_000_000, answers: 7, stamp: 890_000_004}, "", Inconclusive, ""},
		{"nobody: a try has come as it was sent", tale{turns: "firewall/feth11", backdate: day, unless: 1, handshakes: 890_000_000, answers: 7, stamp: 890_000_004}, "", Inconclusive, ""},
		{"the f5 itself sends what is old", tale{handshakes: 890_000_000, answers: 7, stamp: 890_000_000 - day}, "", Inconclusive,
			"what f5 takes its time stamps from: it sends one that is older than that of its own handshake, and no capture tells why"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.skip = row.skip
			if row.clock != nil {
				s.clock = row.clock
			}
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.tell(when, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, stamp: row.handshakes})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1, stamp: row.answers})
			s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, stamp: row.handshakes})
			when += 12 * hopDelay
			for i, r := range rto {
				p := told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), stamp: row.stamp + uint32(r/time.Millisecond)}
				if i >= row.unless {
					p.turns, p.backdate = row.turns, row.backdate
				}
				s.tell(when+r, p)
				s.tell(when+r+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1, stamp: row.answers})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
			s.background(0, 300)
			s.background(at+5*time.Second, 100)
			r := s.analyze()
			if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != row.hop || r.Verdicts[0].Cause != row.Cause {
				t.Fatalf("got %s", show(r))
			}
			if v := r.Verdicts[0]; row.settle != "" && v.WouldSettle != row.settle || row.hop == "" && v.WouldSettle == "" {
				t.Errorf("would settle: %q, want %q", v.WouldSettle, row.settle)
			}
		})
	}
}
