package analyzer

import (
	"encoding/binary"

	"github.com/hopblame/hopblame/internal/inetsum"
)

// damaged tells whether a segment was changed on its way: its checksum is wrong, and not in
// the way of a sender that leaves the sum to its network card.
//
// Such a card is given the sum over the pseudo header alone (CHECKSUM_PARTIAL of
// linux/skbuff.h), or nothing; a capture on that machine has the packet as it was before
// the card. What was not captured whole, or came in pieces, is taken for sound.
func (p *packet) damaged() bool {
	if p.icmp || p.cut || p.unsummed || len(p.segment) < 20 {
		return false
	}
	field := binary.BigEndian.Uint16(p.segment[16:])
	pseudo := inetsum.Add(inetsum.Add(protoTCP, p.src), p.dst)
	withLength := pseudo + uint32(len(p.segment))
	if field == 0 || field == inetsum.Fold(withLength) || field == inetsum.Fold(pseudo) {
		return false
	}
	return inetsum.Fold(inetsum.Add(withLength, p.segment)) != 0xffff
}

// sum is a segment's checksum as it was sent; 0 if it was not captured.
func (p *packet) sum() uint16 {
	if p.icmp || len(p.segment) < 20 {
		return 0
	}
	return binary.BigEndian.Uint16(p.segment[16:])
}

// sums counts the checksums of a direction's SYNs or SYN-ACKs at a point.
type sums struct{ seen, damaged int }

// telling says whether the point's checksums tell what was damaged on the way: where most
// are wrong, something else is the matter, such as a card or addresses that somebody has
// blotted out.
func (s sums) telling() bool { return 2*s.damaged < s.seen }

// checkSum notes the checksum of a SYN or SYN-ACK.
func (s *survey) checkSum(p *packet) {
	n := &s.sums[wayOf(p.flags&flagACK == 0)]
	n.seen++
	if p.damaged() {
		n.damaged++
	}
}
