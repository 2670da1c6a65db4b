package analyzer

import (
	"slices"
	"testing"
	"time"
)

// A RST in the server's name ends the connection at the f5, which answers the server's ACK
// with a RST without ACK. The server is not silent because of it, wherever captures end.
func TestAForgedRSTDoesNotMakeTheServerSilent(t *testing.T) {
	for _, row := range []struct {
		name  string
		blind []string // points that have nothing of the serverside connection
		early []string // points that have its handshake only
		skip  []string
		hop   string
		Cause
	}{
		{"all captures are whole", nil, nil, nil, "link:f5-firewall", ResetInjected},
		{"the firewall's near face has nothing of the connection", []string{"firewall/feth11"}, nil, nil, "", Inconclusive},
		{"the f5 has nothing of the connection", []string{"f5/0.0"}, nil, nil, "", Inconclusive},
		{"the f5 has nothing of how it ended", nil, []string{"f5/0.0"}, []string{"firewall/feth10"}, "", Inconclusive},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.skip = row.skip
			c, b := s.clientFlow(54373), s.serverFlow(s.snat(54373), 2)
			c.peer, b.peer = b, c
			s.blind = func(point string, _ time.Duration, p told) bool {
				if p.flow.isn != b.isn {
					return false
				}
				return slices.Contains(row.blind, point) || slices.Contains(row.early, point) && (p.payload != "" || p.flags&flagRST != 0)
			}
			req := s.post(17)
			n := uint32(len(req))
			when := s.handshake(at, c)
			s.tell(when, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: req})
			s.tell(when+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n})
			when = s.handshake(when+4*hopDelay, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: req})
			forged := *b
			forged.points = b.points[:1]
			s.tell(when+hopDelay, told{flow: &forged, flags: flagRST | flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagRST, seq: b.isn + 1 + n})
			s.resets(when+9*hopDelay, c, len(req), "TCP RST from remote system", true)
			s.background(0, 300)
			report := s.analyze()
			for _, v := range report.Verdicts {
				if v.Request.Client == c.client.String() {
					if v.Hop != row.hop || v.Cause != row.Cause {
						t.Errorf("got %s %s, want %q %s\n%s", v.Hop, v.Cause, row.hop, row.Cause, show(report))
					}
					return
				}
			}
			t.Errorf("no verdict\n%s", show(report))
		})
	}
}
