package f5trailer

import "encoding/binary"

// Brief is the part of a trailer that tells flows apart. It is comparable, holds
// no pointers and costs no allocation. The zero value is a trailer of which
// nothing is known.
type Brief struct {
	Ingress     bool   // the box received the packet; needs HasLow
	Slot, TMM   uint8  // 0-based, as in [Low]; need HasLow
	HasLow      bool   // there is a low block
	FlowID      uint64 // as in [Medium]; needs HasMedium
	PeerID      uint64 // as in [Medium]; needs HasMedium
	HasRSTCause bool   // the packet is a RST that this box made; decode the trailer to learn why
	HasMedium   bool   // there is a medium block, or a low block with flow ids (TMOS 9.4)
}

// PeekFrame finds the trailer of an Ethernet frame, as [Find] does, and reads its
// [Brief]. ok is false if there is no trailer, or one with neither a readable low
// nor a readable medium block.
func PeekFrame(frame []byte, wireLength int) (b Brief, ok bool) {
	offset, format, ok := Find(frame, wireLength)
	if !ok {
		return Brief{}, false
	}
	return Peek(frame[offset:], format)
}

// PeekIDs reads only the flow ids of a trailer that starts with its first byte. ok
// is false if the trailer has no readable medium block.
func PeekIDs(trailer []byte, format Format) (flowID, peerID uint64, ok bool) {
	b, _ := Peek(trailer, format)
	return b.FlowID, b.PeerID, b.HasMedium
}

// Peek reads the [Brief] of a trailer that starts with its first byte. It looks no
// further than the low and medium block, and gives no reasons: ok is false if
// neither could be read. Of a sound trailer it reads what [Decode] does.
func Peek(trailer []byte, format Format) (b Brief, ok bool) {
	switch format {
	case DPT:
		b.peekDPT(trailer)
	case Legacy:
		b.peekLegacy(trailer)
	}
	return b, b.HasLow || b.HasMedium
}

func (b *Brief) peekDPT(trailer []byte) {
	if !hasMagic(trailer) {
		return
	}
	rest, _ := dptTLVs(trailer)
	for len(rest) > 0 && !(b.HasLow && b.HasMedium) {
		v, next, why := nextTLV(rest)
		if why != "" {
			return
		}
		rest = next
		switch {
		case !v.noise():
		case v.typ == typeLow && !b.HasLow && len(v.body) >= 4:
			b.HasLow = true
			b.Ingress = v.body[0]&1 != 0 || v.version == 2 && v.body[0] != 0
			b.Slot, b.TMM = v.body[1], v.body[2]
		case v.typ == typeMedium && !b.HasMedium && len(v.body) >= mediumLen:
			b.HasMedium = true
			b.FlowID, b.PeerID = binary.BigEndian.Uint64(v.body), binary.BigEndian.Uint64(v.body[8:])
			b.HasRSTCause = v.body[31] != 0
		}
	}
}

func (b *Brief) peekLegacy(rest []byte) {
	var low, medium, ids bool
	for len(rest) >= minLegacyBlock && !(low && medium) {
		kind, total := layoutOf(rest), int(rest[1])+2
		if kind == layoutBad || total < legacyHeaderLen {
			return
		}
		block := rest[:total]
		rest = rest[total:]
		switch {
		case kind >= layoutLow94 && kind <= layoutLow1 && !low:
			low, b.HasLow = true, true
			b.Ingress, b.Slot, b.TMM = block[3] != 0, block[4], block[5]
			if kind == layoutLow94 && !ids {
				ids, b.HasMedium = true, true
				b.peekIDs32(block[6:])
			}
		case kind >= layoutMedium94 && kind <= layoutMedium3 && !medium:
			medium, b.HasMedium = true, true
			b.peekMedium(kind, block)
			ids = ids || kind != layoutMedium94
		}
	}
}

func (b *Brief) peekMedium(kind layout, block []byte) {
	switch kind {
	case layoutMedium94:
		return
	case layoutMedium10:
		b.peekIDs32(block[3:])
		return
	case layoutMedium1:
		b.HasRSTCause = block[29] != 0
	case layoutMedium2:
		b.HasRSTCause = block[30] != 0
	case layoutMedium3:
		b.HasRSTCause = block[34] != 0
	}
	b.FlowID, b.PeerID = binary.BigEndian.Uint64(block[3:]), binary.BigEndian.Uint64(block[11:])
}

func (b *Brief) peekIDs32(ids []byte) {
	b.FlowID, b.PeerID = uint64(binary.BigEndian.Uint32(ids)), uint64(binary.BigEndian.Uint32(ids[4:]))
}
