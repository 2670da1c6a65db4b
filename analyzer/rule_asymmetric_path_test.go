package analyzer

import (
	"strings"
	"testing"
	"time"
)

// failed is the source port on the f5 of the request that fails.
const failed = 54373 + 10000

// detoured tells of a request whose SYNs go past the firewall, which drops the answers.
func (s *story) detoured() {
	s.past = func(port uint16) bool { return port == failed }
	s.failing(at, 17, 54373, 2, "", "firewall/feth10")
}

func TestAnAnswerThatTheFirewallDropsForItNeverSawTheSYN(t *testing.T) {
	const up = "firewall/feth11"
	type row struct {
		name string
		tell func(s *story)
		hop  string
		Cause
		settle string
	}
	without := func(points ...string) func(s *story) {
		return func(s *story) { s.detoured(); s.skip = points }
	}
	for _, c := range []row{
		{"all points captured", (*story).detoured, "firewall", AsymmetricPath, ""},
		{"IPv6", func(s *story) { s.v6 = true; s.detoured() }, "firewall", AsymmetricPath, ""},
		{"no trailers", func(s *story) { s.trailers = false; s.detoured() }, "firewall", AsymmetricPath, ""},
		{"a firewall that bridges, and takes nothing off a TTL", func(s *story) { s.bridge = true; s.detoured() }, "firewall", SYNAckDropped, ""},
		{"a firewall that sends with a TTL of its own", func(s *story) { s.scrubs = true; s.detoured() }, "firewall", SYNAckDropped, ""},
		{"a firewall that drops the answer to a SYN that it has forwarded", func(s *story) { s.failing(at, 17, 54373, 2, "", "firewall/feth10") }, "firewall", SYNAckDropped, ""},
		{"the same, and its captures miss these SYNs", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return strings.HasPrefix(point, "firewall/") && p.flow.client.Port() == failed && p.toServer
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
			s.detoured()
		}, "firewall", SYNAckDropped, ""},
		{"no capture at the servers", without("server1/eth0", "server2/eth0"), "firewall", SYNAckDropped, ""},
		{"no capture at the f5", without("f5/0.0"), "firewall", SYNAckDropped, ""},
		{"no capture in front of the firewall", without(up), "", Inconclusive, ""},
		{"no capture behind the firewall", without("firewall/feth10"), "", Inconclusive, ""},
		{"no capture behind the firewall at all", without("firewall/feth10", "server1/eth0", "server2/eth0"), "", Inconclusive, "in VLAN 4092"},
		{"SYNs that are lost on the way past it", func(s *story) {
			s.detoured()
			s.events = map[string][]shown{}
			s.failing(at, 17, 54373, 2, "f5/0.0", "")
		}, "", Inconclusive, "in VLAN 4092"},
		{"a firewall that lets other answers to SYNs through that it has not seen", func(s *story) {
			s.past = func(port uint16) bool { return port == failed || port%100 == 0 }
			s.failing(at, 17, 54373, 2, "", "firewall/feth10")
		}, "firewall", SYNAckDropped, ""},
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
