package analyzer

import (
	"testing"
	"time"
)

// A handshake that another capture lacks speaks of that one's loss, if it is the one that
// completed: not where a pause of this capture has two connections of a tuple in it.
func TestAHandshakeIsProofOnlyOfItsOwnSYN(t *testing.T) {
	up, down := toServer, toClient
	syn, synAck, ack := up(flagSYN, 99, 0, 0), down(flagSYN|flagACK, 499, 0, 100), up(flagACK, 100, 0, 500)
	const later = 1 << 23 // an initial sequence number half a second on
	for _, row := range []struct {
		name    string
		packets []packet
		proof   bool
	}{
		{"SYN, SYN-ACK, ACK", []packet{syn, synAck, ack}, true},
		{"the answers were not captured, the ACK was", []packet{syn, ack}, true},
		{"the ACK was not captured, the SYN-ACK and data were", []packet{syn, synAck, up(flagACK, 150, 50, 500)}, true},
		{"nobody answered, and a pause later the tuple's next connection sends data", []packet{syn, up(flagACK, later, 50, 500)}, false},
		{"nobody answered, and a pause later the tuple's next connection is served", []packet{syn, down(flagACK, 500, 50, later)}, false},
		{"nobody answered", []packet{syn, syn}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := surveyOf(100*time.Millisecond, row.packets)
			s.end()
			if len(s.samples.all) != 1 || s.samples.all[0].completed != row.proof {
				t.Errorf("sampled %+v, want one that is proof: %v", s.samples.all, row.proof)
			}
		})
	}
}
