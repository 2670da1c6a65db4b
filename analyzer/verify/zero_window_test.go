package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

func TestAServersWindowIsShutIfItSaysSoTwiceOfOneNumber(t *testing.T) {
	shut := segment{src: down[0], dst: down[1], flags: flagACK, seq: 701, ack: 105, shut: true}
	open, further := shut, shut
	open.shut, further.ack = false, 205
	for _, row := range []struct {
		name  string
		says  []segment
		point string
		holds bool
	}{
		{"it says so twice", []segment{shut, shut}, "server1/eth0", true},
		{"it says so once", []segment{shut}, "server1/eth0", false},
		{"it never says so", []segment{open, open}, "server1/eth0", false},
		{"it was open in between, and took more", []segment{shut, further}, "server1/eth0", false},
		{"it says so elsewhere only", []segment{shut, shut}, "firewall/feth10", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t)
			s.begin()
			s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST"})
			for i, p := range row.says {
				s.see(row.point, time.Duration(20+i)*100*time.Millisecond+time.Millisecond, p)
			}
			s.reset("TCP zero window timeout", true)
			s.verdict("server1", analyzer.ZeroWindow, analyzer.ToClient, "server1/eth0")
			dir, report := s.write()
			got := why(t, dir, report)
			if row.holds != (got == "") || !row.holds && !strings.Contains(got, "the cause lies on the other side") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}
