package analyzer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUnlabelledAblationsNeverFlip takes something away from shuffled captures
// that nobody named: what is still said must be true.
func TestUnlabelledAblationsNeverFlip(t *testing.T) {
	fates := []struct {
		syn, synAck string // the last point that sees it; "" for it arrives
		cause       Cause
	}{
		{"f5/0.0", "", SYNDropped},
		{"firewall/feth11", "", SYNDropped},
		{"firewall/feth10", "", SYNDropped},
		{"server/eth0", "", NoAnswer},
		{"", "server/eth0", SYNAckDropped},
		{"", "firewall/feth10", SYNAckDropped},
		{"", "firewall/feth11", SYNAckDropped},
	}
	ablate := []struct {
		name string
		do   func(s *story, r *rand.Rand)
	}{
		{"nothing", func(*story, *rand.Rand) {}},
		{"5 % of packets at one point", lose(0.05)},
		{"a point", func(s *story, r *rand.Rand) { s.skip = []string{anyPoint(r)} }},
		{"two points", func(s *story, r *rand.Rand) { s.skip = []string{anyPoint(r), anyPoint(r)} }},
		{"three points", func(s *story, r *rand.Rand) { s.skip = []string{anyPoint(r), anyPoint(r), anyPoint(r)} }},
		{"common time", func(s *story, r *rand.Rand) {
			for _, p := range standardPoints {
				s.clock[p.name] = time.Duration(r.IntN(7200)-3600) * time.Second
			}
		}},
		{"TTLs, addresses and two points", func(s *story, r *rand.Rand) {
			s.bridge, s.noAddrs, s.skip = true, true, []string{anyPoint(r), anyPoint(r)}
		}},
		{"times in the firewall, trailers and a point", func(s *story, r *rand.Rand) {
			s.glued, s.trailers, s.skip = true, false, []string{anyPoint(r)}
		}},
		{"TTLs and times in the firewall", func(s *story, r *rand.Rand) {
			s.glued, s.bridge = true, true
			lose(0.01)(s, r)
		}},
		{"addresses, trailers, ids and a point", func(s *story, r *rand.Rand) {
			s.noAddrs, s.trailers, s.anonymous, s.skip = true, false, true, []string{anyPoint(r)}
		}},
		{"servers but one, addresses and two points", func(s *story, r *rand.Rand) {
			s.noAddrs, s.single, s.skip = true, true, []string{"server1/eth0", anyPoint(r)}
		}},
		{"the end of one file", func(s *story, r *rand.Rand) {
			s.cut[anyPoint(r)] = time.Duration(r.IntN(8000)) * time.Millisecond
		}},
	}
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for k, ab := range ablate {
		right, open := 0, 0
		for seed := range seeds {
			r := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
			s := newStory(t)
			ab.do(s, r)
			type truth struct {
				last, next string // points: the last that saw the packet, and the next
				cause      Cause
			}
			want := map[int]truth{}
			for i := range 12 {
				f := fates[r.IntN(len(fates))]
				if !s.trailers {
					f = fates[seed%len(fates)]
				}
				n := 1 + r.IntN(2)
				if s.single {
					n = 1
				}
				path := []string{"f5/0.0", "firewall/feth11", "firewall/feth10", "server" + string(rune('0'+n)) + "/eth0"}
				on := func(p string) string {
					if p == "server/eth0" {
						return path[3]
					}
					return p
				}
				w := truth{on(f.syn), "", f.cause}
				if j := slices.Index(path, on(f.syn)); j >= 0 && j < 3 {
					w.next = path[j+1]
				} else if j := slices.Index(path, on(f.synAck)); j > 0 {
					w.last, w.next = path[j-1], path[j]
				}
				want[40000+i] = w
				s.failing(time.Duration(1000+r.IntN(3000))*time.Millisecond, i, 40000+i, n, on(f.syn), on(f.synAck))
			}
			s.background(0, 300)
			points, was := unlabelled(t, s.write(), r)
			report, err := Analyze(t.Context(), points, Options{})
			s.check(err)
			real := map[string]string{}
			for _, p := range report.Points {
				real[p.Name] = was[p.File]
			}
			for _, v := range report.Verdicts {
				if v.Cause == Inconclusive {
					open++
					continue
				}
				_, port, _ := strings.Cut(v.Request.Client, ":")
				n := 0
				for _, c := range port {
					n = 10*n + int(c-'0')
				}
				w, failed := want[40000+(n-40000)%10000]
				if !failed || v.Cause != w.cause || !covers(real, v.Hop, w.last, w.next) {
					t.Errorf("without %s, seed %d: %s: got %s %s in %v, want %+v", ab.name, seed, v.Request.Client, v.Hop, v.Cause, real, w)
				}
				right++
			}
		}
		t.Logf("%-50s right %4d  inconclusive %3d", "without "+ab.name, right, open)
	}
}

// covers tells whether a hop named by unlabelled points is where a packet was
// lost between two points, or the host of the last if there is no next.
func covers(real map[string]string, hop, last, next string) bool {
	if next == "" {
		return real[hop] == last
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(hop, "link:"), "-")
	rank := func(point string) int {
		return slices.IndexFunc(standardPoints, func(p struct{ name, hop, face, side, addr string }) bool { return p.name == point })
	}
	if strings.HasPrefix(next, "server") && real[to] != next {
		return false
	}
	return ok && rank(real[from]) <= rank(last) && rank(real[to]) >= rank(next) && real[from] != "" && real[to] != ""
}
