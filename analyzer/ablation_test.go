package analyzer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestAblationsNeverFlip takes something away from captures whose answer is
// known: the verdicts may become inconclusive, but never wrong.
func TestAblationsNeverFlip(t *testing.T) {
	type truth struct {
		hop   string
		cause Cause
	}
	// Captured at fewer points, a segment gets wider; these name the same place.
	fates := []struct {
		synDies, synAckDies string
		truth
	}{
		{"firewall/feth11", "", truth{"firewall", SYNDropped}},
		{"f5/0.0", "", truth{"link:f5-firewall", SYNDropped}},
		{"firewall/feth10", "", truth{"link:firewall-server", SYNDropped}},
		{"server/eth0", "", truth{"server", NoAnswer}},
		{"", "firewall/feth10", truth{"firewall", SYNAckDropped}},
		{"", "firewall/feth11", truth{"link:f5-firewall", SYNAckDropped}},
		{"", "server/eth0", truth{"link:firewall-server", SYNAckDropped}},
	}
	// wider lists what a verdict may say instead, when points are missing.
	wider := func(v Verdict, w truth, server int) bool {
		return v.Cause == w.cause && v.Hop == fmt.Sprintf("link:f5-server%d", server) && w.hop != "server"
	}
	ablate := []struct {
		name string
		do   func(s *story, r *rand.Rand)
	}{
		{"nothing", func(*story, *rand.Rand) {}},
		{"1 % of packets at one point", lose(0.01)},
		{"5 % of packets at one point", lose(0.05)},
		{"20 % of packets at one point", lose(0.20)},
		{"a burst at one point", func(s *story, r *rand.Rand) {
			p, from := anyPoint(r), time.Duration(r.IntN(6000))*time.Millisecond
			n := time.Duration(r.IntN(5000)) * time.Millisecond
			s.blind = func(point string, at time.Duration, _ told) bool { return point == p && at > from && at < from+n }
		}},
		{"one point", func(s *story, r *rand.Rand) { s.skip = []string{anyPoint(r)} }},
		{"two points", func(s *story, r *rand.Rand) { s.skip = []string{anyPoint(r), anyPoint(r)} }},
		{"the end of one file", func(s *story, r *rand.Rand) {
			s.cut[anyPoint(r)] = time.Duration(r.IntN(8000)) * time.Millisecond
		}},
		{"the end of one file, and statistics", func(s *story, r *rand.Rand) {
			s.isb = false
			s.cut[anyPoint(r)] = time.Duration(r.IntN(8000)) * time.Millisecond
		}},
		{"common time", func(s *story, r *rand.Rand) {
			for _, p := range standardPoints {
				s.clock[p.name] = time.Duration(r.IntN(7200)-3600) * time.Second
			}
		}},
		{"trailers", func(s *story, r *rand.Rand) { s.trailers = false }},
		{"interface addresses", func(s *story, r *rand.Rand) { s.noAddrs = true }},
		{"addresses, trailers, 5 % of packets and a point", func(s *story, r *rand.Rand) {
			lose(0.05)(s, r)
			s.noAddrs, s.trailers, s.skip = true, false, []string{anyPoint(r)}
		}},
	}
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for k, a := range ablate {
		right, wide, open := 0, 0, 0
		for seed := range seeds {
			r := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
			s := newStory(t)
			a.do(s, r)
			want := map[string]truth{}
			servers := map[string]int{}
			for i := range 12 {
				f := fates[r.IntN(len(fates))]
				if a.name == "trailers" || s.noAddrs && !s.trailers {
					f = fates[seed%len(fates)] // else timing has candidates of all fates
				}
				n := 1 + r.IntN(2)
				id := fmt.Sprint(i)
				on := func(hop string) string {
					switch hop {
					case "server/eth0":
						return fmt.Sprintf("server%d/eth0", n)
					case "server", "link:firewall-server":
						return fmt.Sprintf("%s%d", hop, n)
					}
					return hop
				}
				servers[id], want[id] = n, truth{on(f.hop), f.cause}
				s.failing(time.Duration(1000+r.IntN(3000))*time.Millisecond, i, 40000+i, n, on(f.synDies), on(f.synAckDies))
			}
			s.background(0, 300)
			for _, v := range s.analyze().Verdicts {
				id := v.Request.ID
				if id == "" { // the head was not captured; ports tell, the SNAT's too
					port := netip.MustParseAddrPort(v.Request.Client).Port()
					id = fmt.Sprint((port - 40000) % 10000)
				}
				w, failed := want[id]
				switch {
				case v.Cause == Inconclusive:
					open++
				case failed && v.Hop == w.hop && v.Cause == w.cause:
					right++
				case failed && len(s.skip) > 0 && wider(v, w, servers[id]):
					wide++
				default:
					t.Errorf("without %s, seed %d: request %s: got %s %s (%.4f), want %+v", a.name, seed, id, v.Hop, v.Cause, v.Confidence, w)
				}
			}
		}
		t.Logf("%-50s right %4d  wider %3d  inconclusive %3d", "without "+a.name, right, wide, open)
	}
}

func anyPoint(r *rand.Rand) string { return standardPoints[r.IntN(len(standardPoints))].name }

func lose(share float64) func(*story, *rand.Rand) {
	return func(s *story, r *rand.Rand) {
		p := anyPoint(r)
		s.blind = func(point string, _ time.Duration, _ told) bool { return point == p && r.Float64() < share }
	}
}
