package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

func TestATimeStampIsTooOldIfTheHandshakesIsYounger(t *testing.T) {
	const old, young = 800_000_000, 890_000_000
	for _, row := range []struct {
		name                string
		opened, sent, comes uint32
		late                time.Duration
		holds               bool
	}{
		{"it is older than the handshake's where it comes", young, young + 4, old, time.Millisecond, true},
		{"by a tick, which Linux lets pass", young, young + 4, young - 1, time.Millisecond, false},
		{"it is another one, and young enough", young, young + 4, young + 3, time.Millisecond, false},
		{"it was too old before", young, old + 1, old, time.Millisecond, false},
		{"it came before it was sent", young, young + 4, old, -time.Second, false},
		{"the handshake had none", 0, young + 4, old, time.Millisecond, false},
		{"it comes without one", young, young + 4, 0, time.Millisecond, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t)
			s.begin()
			data := segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST", stamp: row.sent}
			s.see("firewall/feth10", 1900*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100, stamp: row.opened})
			s.see("firewall/feth11", 3*time.Second, data)
			data.stamp = row.comes
			s.see("firewall/feth10", 3*time.Second+row.late, data)
			s.reset("TCP retransmit timeout", true)
			s.verdict("firewall", analyzer.Rewritten, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
			dir, report := s.write()
			if got := why(t, dir, report); row.holds != (got == "") || !row.holds && !strings.Contains(got, "or the time stamp too old") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}
