package analyzer

import (
	"slices"
	"testing"
	"time"
)

// hasty is a request for which the f5 sends one SYN, that dies after a point, and gives up
// a tenth of a second later.
func (s *story) hasty(at time.Duration, id, port int, dies string) {
	c, b, when := s.opened(at, id, port, 2, post(id))
	s.tell(when, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: dies})
	s.resets(when+100*time.Millisecond, c, len(post(id)), retransmitTimeout, true)
}

// TestATupleThatComesRoundWhereTheF5sCaptureMissesSYNs: a SYN is the border between two
// connections of a tuple. Where one capture lacks it, what comes after is not the earlier
// one's for that.
func TestATupleThatComesRoundWhereTheF5sCaptureMissesSYNs(t *testing.T) {
	const earlier, later = at - 200*time.Millisecond, at + 200*time.Millisecond
	for _, row := range []struct {
		name   string
		tell   func(s *story)
		missed func(at time.Duration, p told) bool // of the tuple's SYNs and SYN-ACKs in the f5's capture
		want   []string                            // hops, in order of time
	}{
		{"the firewall swallows a SYN, the next connection is served, and of neither the handshake is there", func(s *story) {
			s.hasty(at, 17, 54373, "firewall/feth11")
			s.good(later, 18, 54374, 2)
		}, func(time.Duration, told) bool { return true }, []string{"firewall"}},
		{"the same, and the SYN-ACK is there: one connection of the tuple, and not the one that the RST means", func(s *story) {
			s.hasty(at, 17, 54373, "firewall/feth11")
			s.good(later, 18, 54374, 2)
		}, func(_ time.Duration, p told) bool { return p.toServer }, []string{""}},
		{"the same, and the first one's SYN is there", func(s *story) {
			s.hasty(at, 17, 54373, "firewall/feth11")
			s.good(later, 18, 54374, 2)
		}, func(when time.Duration, p told) bool { return when > later && p.toServer }, []string{"firewall"}},
		{"the server ignores the one before, whose SYN is the only one there", func(s *story) {
			s.hasty(earlier, 16, 54372, "server2/eth0")
			s.hasty(at, 17, 54373, "firewall/feth11")
			s.good(later, 18, 54374, 2)
		}, func(when time.Duration, p told) bool { return when > at && p.toServer }, []string{"server2", ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.snat = func(port int) int {
				if port == 54372 || port == 54374 {
					port = 54373
				}
				return port + 10000
			}
			s.blind = func(point string, when time.Duration, p told) bool {
				return point == "f5/0.0" && p.flags&flagSYN != 0 && p.flow.client.Port() == 64373 && row.missed(when, p)
			}
			row.tell(s)
			s.background(0, 300)
			s.background(at+8*time.Second, 200)
			r := s.analyze()
			var got []string
			for _, v := range r.Verdicts {
				got = append(got, v.Hop)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q\n%s", got, row.want, show(r))
			}
		})
	}
}
