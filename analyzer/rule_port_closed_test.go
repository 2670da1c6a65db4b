package analyzer

import (
	"testing"
	"time"
)

// A host refuses the first SYN to a port that is closed, and at once. A proxy that passes
// connections on refuses when its patience ends, which may be right behind a SYN.
func TestAPortIsClosedAtOnceOrNotAtAll(t *testing.T) {
	const rtt = 4 * hopDelay
	for _, row := range []struct {
		name  string
		tries []time.Duration // of the SYN
		lost  int             // so many of them the capture at the f5 has not
		rst   time.Duration
		hop   string
	}{
		{"right behind the SYN", []time.Duration{0}, 0, rtt, "f5"},
		{"five seconds behind the only SYN", []time.Duration{0}, 0, 5 * time.Second, ""},
		{"a second behind the last of five SYNs", []time.Duration{0, 1e9, 2e9, 3e9, 4e9}, 0, 5 * time.Second, ""},
		{"right behind the last of five SYNs", []time.Duration{0, 1e9, 2e9, 3e9, 4e9}, 0, 4*time.Second + rtt, ""},
		{"right behind the only SYN that its capture has of five", []time.Duration{0, 1e9, 2e9, 3e9, 4e9}, 4, 4*time.Second + rtt, ""},
		{"right behind a SYN, and before another", []time.Duration{0, 1e9}, 0, rtt, "f5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			c := s.clientFlow(54373)
			n := 0
			s.blind = func(point string, _ time.Duration, p told) bool {
				if p.flow != c || !p.toServer || point != "f5/0.0" {
					return false
				}
				n++
				return n <= row.lost
			}
			for _, try := range row.tries {
				s.tell(at+try, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn})
			}
			s.trailers = false
			s.tell(at+row.rst, told{flow: c, flags: flagRST | flagACK, ack: c.isn + 1})
			s.background(0, 100)
			s.background(at+8*time.Second, 200)
			report := s.analyze()
			for _, v := range report.Verdicts {
				if v.Request.Client == c.client.String() {
					if v.Hop != row.hop {
						t.Errorf("got %s %s, want %q\n%s", v.Hop, v.Cause, row.hop, show(report))
					}
					return
				}
			}
			t.Errorf("no verdict\n%s", show(report))
		})
	}
}
