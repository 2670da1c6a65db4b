package analyzer

import (
	"slices"
	"testing"
	"time"
)

// toServer is a packet of one connection of a test, from its client.
func toServer(flags byte, seq, length, ack uint32) packet {
	return packet{src: []byte{198, 18, 0, 1}, dst: []byte{198, 18, 0, 2}, sport: 40000, dport: 80, flags: flags, seq: seq, length: int(length), ack: ack}
}

// toClient is one from its server.
func toClient(flags byte, seq, length, ack uint32) packet {
	return packet{src: []byte{198, 18, 0, 2}, dst: []byte{198, 18, 0, 1}, sport: 80, dport: 40000, flags: flags, seq: seq, length: int(length), ack: ack}
}

// surveyOf is the survey of packets that come one after the other, so far apart.
func surveyOf(apart time.Duration, packets []packet) *survey {
	s := newSurvey(Point{}, 0, false)
	for i, p := range packets {
		p.frame, p.time = uint64(i+1), int64(1e18)+int64(i)*int64(apart)
		s.note(p.frame, p.time)
		s.digest(&p, nil, 0)
	}
	return s
}

// Only a packet whose absence would be noticed tells anything of the capture's loss.
func TestWhatIsAcknowledgedMeasuresTheLoss(t *testing.T) {
	other := packet{src: []byte{198, 18, 0, 9}, dst: []byte{198, 18, 0, 2}, sport: 1, dport: 80, flags: flagSYN}
	up, down := toServer, toClient
	syn, synAck, ack := up(flagSYN, 99, 0, 0), down(flagSYN|flagACK, 499, 0, 100), up(flagACK, 100, 0, 500)
	before := []packet{syn, synAck, ack, up(flagACK|flagFIN, 100, 50, 500), down(flagACK|flagFIN, 500, 0, 151), up(flagACK, 151, 0, 501)}
	for _, row := range []struct {
		name                                   string
		packets                                []packet
		seenUp, missedUp, seenDown, missedDown uint32
	}{
		{"a SYN that nobody answers is no trial, however often it is sent", []packet{syn, syn, syn, syn}, 0, 0, 0, 0},
		{"a SYN that is answered is one", []packet{syn, synAck}, 1, 0, 0, 0},
		{"so is a SYN-ACK that is acknowledged", []packet{syn, synAck, ack}, 1, 0, 1, 0},
		{"one sent four times, of which one counts", []packet{syn, synAck, synAck, synAck, synAck, ack}, 1, 0, 1, 0},
		{"a SYN-ACK without the SYN: that was missed", []packet{other, synAck, ack}, 0, 1, 1, 0},
		{"the same as the file begins: the SYN may lie before it", []packet{synAck, ack}, 0, 0, 1, 0},
		{"an ACK of a SYN-ACK that is not there", []packet{syn, ack}, 0, 0, 0, 1},
		{"data that nobody acknowledges", []packet{syn, synAck, ack, up(flagACK, 100, 50, 500)}, 1, 0, 1, 0},
		{"data sent again counts once", []packet{syn, synAck, ack, up(flagACK, 100, 50, 500), up(flagACK, 100, 50, 500), down(flagACK, 500, 0, 150)}, 2, 0, 1, 0},
		{"data that is acknowledged and not there", []packet{syn, synAck, ack, down(flagACK, 500, 0, 150)}, 1, 1, 1, 0},
		{"a hole in data, acknowledged", []packet{syn, synAck, ack, up(flagACK, 100, 50, 500), up(flagACK, 200, 50, 500), down(flagACK, 500, 0, 250)}, 3, 1, 1, 0},
		{"a hole that is filled late", []packet{syn, synAck, ack, up(flagACK, 200, 50, 500), up(flagACK, 100, 100, 500), down(flagACK, 500, 0, 250)}, 3, 0, 1, 0},
		{"a whole segment that comes late", []packet{syn, synAck, ack, up(flagACK, 1548, 50, 500), up(flagACK, 100, 1448, 500), down(flagACK, 500, 0, 1598)}, 3, 0, 1, 0},
		{"two of them that were captured as one", []packet{syn, synAck, ack, up(flagACK, 2996, 50, 500), up(flagACK, 100, 2896, 500), down(flagACK, 500, 0, 3046)}, 3, 0, 1, 0},
		{"a whole segment that is not there", []packet{syn, synAck, ack, up(flagACK, 1548, 50, 500), down(flagACK, 500, 0, 1598)}, 2, 1, 1, 0},
		{"one that is not there, while what came before it is sent again", []packet{syn, synAck, ack, up(flagACK, 100, 50, 500), up(flagACK, 200, 50, 500), up(flagACK, 100, 50, 500), down(flagACK, 500, 0, 250)}, 3, 1, 1, 0},
		{"a challenge ACK, by a server that still holds the tuple's connection before", slices.Concat(before, []packet{up(flagSYN, 79, 0, 0), down(flagACK, 501, 0, 151)}), 2, 0, 2, 0},
		{"and the SYN that is answered then", slices.Concat(before, []packet{up(flagSYN, 79, 0, 0), down(flagACK, 501, 0, 151), up(flagSYN, 79, 0, 0), down(flagSYN|flagACK, 899, 0, 80), up(flagACK, 80, 0, 900)}), 3, 0, 3, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := surveyOf(time.Second, row.packets)
			k := s.chunks[0]
			got := [4]uint32{k.seen[wayOf(true)], k.missed[wayOf(true)], k.seen[wayOf(false)], k.missed[wayOf(false)]}
			if want := [4]uint32{row.seenUp, row.missedUp, row.seenDown, row.missedDown}; got != want {
				t.Errorf("seen and missed up, seen and missed down: %d, want %d", got, want)
			}
		})
	}
}
