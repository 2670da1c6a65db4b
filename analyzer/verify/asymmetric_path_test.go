package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

func TestASYNIsShownToHaveComePastTheHop(t *testing.T) {
	without := func(s *stage, point, filter string) {
		s.v.Evidence = slices.DeleteFunc(s.v.Evidence, func(e analyzer.Evidence) bool {
			return e.Point == point && (filter == "" || e.Kind == analyzer.KindAbsence && strings.Contains(e.Filter, filter))
		})
	}
	for _, row := range []struct {
		name string
		spin func(s *stage)
	}{
		{"its TTL is one less, as behind a router", func(s *stage) {
			without(s, "server1/eth0", "")
			s.see("server1/eth0", 2001*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100, ttl: 62})
		}},
		{"it is another SYN that came to the server", func(s *stage) {
			without(s, "server1/eth0", "")
			s.see("server1/eth0", 2001*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 777})
		}},
		{"nobody says that it came to the server", func(s *stage) { without(s, "server1/eth0", "") }},
		{"nobody says that it was not before the hop", func(s *stage) { without(s, "firewall/feth11", "ack==0") }},
		{"nobody says that it was not behind the hop", func(s *stage) { without(s, "firewall/feth10", "ack==0") }},
		{"it was behind the hop", func(s *stage) {
			s.put("firewall/feth10", 2001*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		}},
		{"its answer left the hop", func(s *stage) {
			s.put("firewall/feth11", 2101*time.Millisecond, segment{src: down[0], dst: down[1], flags: flagSYN | flagACK, seq: 700, ack: 101})
		}},
	} {
		refuted(t, analyzer.AsymmetricPath, row.name, row.spin)
	}
}
