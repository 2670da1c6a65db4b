package analyzer

// bytesSeen is how much of one direction of a connection a capture has. What
// the receiver acknowledges was delivered, so what is acknowledged and not in
// the capture is the capture's loss, not the network's.
type bytesSeen struct {
	end   uint32 // sequence number behind the last byte seen
	hole  uint32 // first byte missing before end, if holes > 0
	fresh uint16 // packets seen that are not acknowledged yet
	holes uint8  // packets missing there, roughly
	known bool
}

// Directions as indices.
const (
	down = 0 // to the client
	up   = 1 // to the server
)

func wayOf(toServer bool) int {
	if toServer {
		return up
	}
	return down
}

// mss is what a missing stretch of sequence numbers is divided by to count its packets.
const mss = 1448

// packetsIn is in how many packets so many sequence numbers came, roughly.
func packetsIn(numbers uint32) uint32 { return (numbers + mss - 1) / mss }

// plausibleJump is how far an ACK may run ahead of what was seen and still be
// believed; more is garbage, or a stretch in which nothing was captured.
const plausibleJump = 1 << 20

// account keeps books of the capture's own loss: packets that take up
// sequence space (data, SYN, FIN) and that were acknowledged, seen or not.
//
//	1..500 ──▶          seen
//	                    501..900 not seen
//	◀── ACK 901         so one packet is missing in this capture, of two
//
// What nobody acknowledges does not count, nor does what is sent again: had the
// capture missed it, nothing would tell. Twenty retries of SYNs in a file say
// nothing of how many more there were.
func (s *survey) account(c *conn, p *packet, fromClient bool) {
	if p.flags&flagRST != 0 {
		return
	}
	mine, theirs, way := &c.up, &c.down, up
	if !fromClient {
		mine, theirs, way = theirs, mine, down
	}
	k := &s.chunks[len(s.chunks)-1]
	n := uint32(p.length)
	if p.flags&(flagSYN|flagFIN) != 0 {
		n++
	}
	if p.flags&flagSYN != 0 && int32(p.seq-mine.end) > 0 {
		mine.known = false // an end that has begun anew, with other numbers: nothing is missing before them
	}
	if n > 0 {
		mine.add(p.seq, p.seq+n)
	}
	if p.flags&flagACK == 0 || !fromClient && c.heldByServer(p) {
		return
	}
	if !theirs.known {
		// The answer to a SYN that is here is acknowledged, but was not captured.
		if fromClient && c.flags&sawSYN != 0 && c.synAcks == 0 && p.flags&flagSYN == 0 {
			k.missed[down]++
		}
		// So is the SYN that is answered. It may lie before the capture's beginning.
		if !fromClient && p.flags&flagSYN != 0 && p.time-s.chunks[0].min > transit {
			k.missed[up]++
		}
		theirs.end, theirs.known = p.ack, true
		return
	}
	seen, missed := theirs.acked(p.ack)
	k.seen[1-way] += seen
	k.missed[1-way] += missed
}

// heldByServer tells whether a packet is the challenge ACK (RFC 9293 3.10.7.4, RFC 5961 4)
// of a server that holds the tuple's connection before: its numbers are that one's, and
// it answers a SYN where nothing else has come.
//
//	SYN 42576 ──▶
//	◀── ACK 85838    not 43262 bytes that this capture missed
func (c *conn) heldByServer(p *packet) bool {
	return p.flags&flagSYN == 0 && c.flags&sawSYN != 0 && c.synAcks == 0 && c.up.end == c.isn+1 && p.ack != c.up.end
}

// add notes a packet's stretch of sequence numbers.
func (b *bytesSeen) add(from, to uint32) {
	switch ahead := int32(from - b.end); {
	case !b.known || ahead > plausibleJump || ahead < -plausibleJump:
		b.end, b.holes, b.fresh, b.known = to, 0, 1, true
	case ahead > 0:
		if b.holes == 0 {
			b.hole = b.end
		}
		b.holes = uint8(min(255, uint32(b.holes)+packetsIn(uint32(ahead))))
		b.end = to
		b.fresh++
	case int32(to-b.end) > 0:
		b.end = to
		b.fresh++
	case b.holes > 0 && int32(to-b.hole) > 0: // late or sent again
		b.holes -= uint8(min(uint32(b.holes), packetsIn(to-from)))
		b.fresh++
	}
}

// acked tells how many packets before ack were seen, and how many never.
func (b *bytesSeen) acked(ack uint32) (seen, missed uint32) {
	if b.holes > 0 && int32(ack-b.hole) > 0 {
		missed, b.holes = uint32(b.holes), 0
	}
	d := int32(ack - b.end)
	if d >= 0 {
		seen, b.fresh = uint32(b.fresh), 0
	}
	if d > 0 && d < plausibleJump {
		missed += packetsIn(uint32(d))
		b.end = ack
	}
	return seen, missed
}
