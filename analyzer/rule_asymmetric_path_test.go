package analyzer

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// past is the serverside connection as it goes when the f5 leads it past the firewall.
func past(b *telling) *telling {
	way := *b
	way.points = slices.DeleteFunc(slices.Clone(b.points), func(p string) bool { return strings.HasPrefix(p, "firewall/") })
	way.vlan = 4092
	return &way
}

// detoured tells of a request whose SYNs go past the firewall, which drops the answers.
func (s *story) detoured(at time.Duration, id, port, server int) {
	s.failingWith(at, id, port, server, func(at time.Duration, b *telling) {
		s.tell(at, told{flow: past(b), toServer: true, flags: flagSYN, seq: b.isn})
		s.tell(at+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1, dies: "firewall/feth10"})
	})
}

func TestAnAnswerThatTheFirewallDropsForItNeverSawTheSYN(t *testing.T) {
	const up = "firewall/feth11"
	// ofTheFailed tells whether a packet is one of the request that fails.
	ofTheFailed := func(p told) bool { return p.flow.client.Port() == 64373 }
	type row struct {
		name string
		tell func(s *story)
		hop  string
		Cause
		settle string
	}
	detoured := func(s *story) { s.detoured(at, 17, 54373, 2) }
	without := func(points ...string) func(s *story) {
		return func(s *story) { detoured(s); s.skip = points }
	}
	for _, c := range []row{
		{"all points captured", detoured, "firewall", AsymmetricPath, ""},
		{"IPv6", func(s *story) { s.v6 = true; detoured(s) }, "firewall", AsymmetricPath, ""},
		{"no trailers", func(s *story) { s.trailers = false; detoured(s) }, "firewall", AsymmetricPath, ""},
		{"a firewall that bridges, and takes nothing off a TTL", func(s *story) { s.bridge = true; detoured(s) }, "firewall", SYNAckDropped, ""},
		{"a firewall that sends with a TTL of its own", func(s *story) { s.scrubs = true; detoured(s) }, "firewall", SYNAckDropped, ""},
		{"a firewall that drops the answer to a SYN that it has forwarded", func(s *story) { s.failing(at, 17, 54373, 2, "", "firewall/feth10") }, "firewall", SYNAckDropped, ""},
		{"the same, and its captures miss these SYNs", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return strings.HasPrefix(point, "firewall/") && ofTheFailed(p) && p.toServer
			}
			s.failing(at, 17, 54373, 2, "", "firewall/feth10")
		}, "firewall", SYNAckDropped, ""},
		{"the same, and they have one direction only", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return strings.HasPrefix(point, "firewall/") && p.toServer
			}
			s.failing(at, 17, 54373, 2, "", "firewall/feth10")
		}, "firewall", SYNAckDropped, ""},
		{"captures at the firewall of one direction only", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return strings.HasPrefix(point, "firewall/") && p.toServer
			}
			detoured(s)
		}, "firewall", SYNAckDropped, ""},
		{"no capture at the servers", without("server1/eth0", "server2/eth0"), "firewall", SYNAckDropped, ""},
		{"no capture at the f5", without("f5/0.0"), "firewall", SYNAckDropped, ""},
		{"no capture in front of the firewall", without(up), "", Inconclusive, ""},
		{"no capture behind the firewall", without("firewall/feth10"), "", Inconclusive, ""},
		{"no capture behind the firewall at all", without("firewall/feth10", "server1/eth0", "server2/eth0"), "", Inconclusive, "in VLAN 4092"},
		{"SYNs that are lost on the way past it", func(s *story) {
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				s.tell(at, told{flow: past(b), toServer: true, flags: flagSYN, seq: b.isn, dies: "f5/0.0"})
			})
		}, "", Inconclusive, "in VLAN 4092"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			c.tell(s)
			s.background(0, 300)
			s.background(at+5*time.Second, 100)
			r := s.analyze()
			if len(r.Verdicts) != 1 {
				t.Fatalf("got %s", show(r))
			}
			if v := r.Verdicts[0]; v.Hop != c.hop || v.Cause != c.Cause || !strings.Contains(v.WouldSettle, c.settle) {
				t.Errorf("got %s %s, settle %q; want %s %s\n%s", v.Hop, v.Cause, v.WouldSettle, c.hop, c.Cause, show(r))
			}
		})
	}
}
