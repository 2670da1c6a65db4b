package analyzer

import (
	"slices"
	"testing"
	"time"
)

// The proxy's capture misses the first SYN of two connections. The second SYN of the
// one goes out just when the other request asks for its own.
//
//	request A ├──────────────────────┤       SYN (missed) ········ SYN ········
//	request B            ├──────────────────────┤        SYN (missed) ········
func TestAMissedFirstSYNLeadsToNoOtherConnection(t *testing.T) {
	const a, b, whole = 41000, 42000, 43000
	for _, row := range []struct {
		name  string
		skip  []string
		named bool // else inconclusive is right as well
	}{
		{"the firewall's captures have it", nil, true},
		{"none has it", []string{"firewall/feth11", "firewall/feth10"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.trailers, s.skip = false, row.skip
			s.snat = func(port int) int { return 30000 + port*7919%20011 } // no habit to go by
			first := map[*telling]bool{}
			s.blind = func(point string, _ time.Duration, p told) bool {
				if point != "f5/0.0" || p.flags != flagSYN || p.flow.vlan != 4093 || first[p.flow] {
					return false
				}
				first[p.flow] = true
				c := p.flow.peer.client.Port()
				return c == a || c == b
			}
			s.background(0, 250)
			s.failing(1*time.Second, 1, a, 1, "firewall/feth11", "")
			s.failing(2*time.Second, 2, b, 2, "firewall/feth10", "")
			s.failing(7*time.Second, 3, whole, 1, "firewall/feth11", "")
			s.background(12*time.Second, 50)
			want := map[string]string{"1": "firewall", "2": "link:firewall-server2", "3": "firewall"}
			if !row.named { // beside the firewall's captures, which lie between them
				want = map[string]string{"1": "link:f5-server1", "2": "link:f5-server2", "3": "link:f5-server1"}
			}
			r := s.analyze()
			if len(r.Verdicts) != 3 {
				t.Fatalf("%d verdicts, want 3", len(r.Verdicts))
			}
			for _, v := range r.Verdicts {
				if v.Hop != want[v.Request.ID] && (row.named || v.Hop != "" && v.Cause != Inconclusive) {
					t.Errorf("request %s: %s %s, want %s", v.Request.ID, v.Hop, v.Cause, want[v.Request.ID])
				}
			}
		})
	}
}

// TestWhoHasNoConnectionGetsNoOthers: a request whose server is silent has no unanswered
// connection, and takes one that is another's if it fits no second one. Then none of those
// that compete may have one.
func TestWhoHasNoConnectionGetsNoOthers(t *testing.T) {
	fits := func(requests, connections int, of [][]int) map[int]bool {
		g := newPairGraph(requests, connections)
		for i, cs := range of {
			for _, j := range cs {
				g.of[i] = append(g.of[i], j)
			}
		}
		return g.shortage()
	}
	for _, row := range []struct {
		says        string
		connections int
		of          [][]int // the connections that fit, by request
		short       []int
	}{
		{"one for each, in a chain", 2, [][]int{{0, 1}, {1}}, nil},
		{"the silent one has the only one that it fits, and its owner is left with another's", 2, [][]int{{0}, {0, 1}, {1}}, []int{0, 1, 2}},
		{"the same, and one of nobody's that seems to make up for it", 3, [][]int{{0}, {0}, {0, 1, 2}}, []int{0, 1, 2}},
		{"who competes with none of them is not concerned", 3, [][]int{{0}, {0, 1}, {1}, {2}}, []int{0, 1, 2}},
	} {
		t.Run(row.says, func(t *testing.T) {
			short := fits(len(row.of), row.connections, row.of)
			for i := range row.of {
				if short[i] != slices.Contains(row.short, i) {
					t.Errorf("request %d is short: %t", i, short[i])
				}
			}
		})
	}
}
