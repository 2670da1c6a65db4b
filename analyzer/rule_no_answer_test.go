package analyzer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A proxy that passes connections on says one RST when it gives up, and nothing before.
// Where that one may have been missed, its silence proves nothing.
func TestAProxyThatWaitedForAnotherIsNotSilent(t *testing.T) {
	for _, row := range []struct {
		name string
		loss float64 // at the two captures that would have the RST
		hop  string
	}{
		{"captures that miss nothing", 0, "f5"},
		{"captures that miss one packet in twenty", 0.05, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			r := rand.New(rand.NewPCG(1, 1))
			c := s.clientFlow(54373)
			s.blind = func(point string, _ time.Duration, p told) bool {
				return p.flow != c && slices.Contains([]string{"client/eth0", "f5/0.0"}, point) && r.Float64() < row.loss
			}
			for i := range 5 {
				s.tell(at+time.Duration(i)*time.Second, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn})
			}
			s.background(0, 300)
			s.background(at+8*time.Second, 200)
			report := s.analyze()
			found := false
			for _, v := range report.Verdicts {
				if v.Request.Client != c.client.String() {
					continue
				}
				if found = true; v.Hop != row.hop {
					t.Errorf("got %s %s, want %q", v.Hop, v.Cause, row.hop)
				}
			}
			if !found {
				t.Errorf("no verdict\n%s", show(report))
			}
		})
	}
}

// A server that holds an earlier connection of a tuple answers four SYNs in a row by one
// packet. Where that may have been missed, its silence proves nothing.
func TestAServerThatHoldsTheTupleMayHaveSaidSoOnce(t *testing.T) {
	for _, row := range []struct {
		name string
		used bool    // the tuple, before
		loss float64 // of other connections' packets, at the server's capture
		hop  string
	}{
		{"a used tuple, and a capture that misses nothing", true, 0, "server2"},
		{"a used tuple, and a capture that misses one packet in twenty", true, 0.05, ""},
		{"a tuple that is new, and a capture that misses one packet in twenty", false, 0.05, "server2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			r := rand.New(rand.NewPCG(1, 1))
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "server2/eth0" && p.flow.client.Port() != 64373 && r.Float64() < row.loss
			}
			if row.used {
				s.good(at-2*time.Second, 5, 54373, 2)
			}
			s.failing(at, 17, 54373, 2, "server2/eth0", "")
			s.background(0, 300)
			s.background(at+8*time.Second, 200)
			report := s.analyze()
			if len(report.Verdicts) != 1 || report.Verdicts[0].Hop != row.hop {
				t.Errorf("got %s", show(report))
			}
		})
	}
}
