package f5trailer

import "encoding/binary"

// Find looks for a trailer at the end of an Ethernet frame and returns where it
// starts. wireLength is the frame's original length: a frame that the capture cut
// short has no trailer, as its end is missing.
//
// The trailer is searched behind the network layer — IPv4, IPv6, ARP or an 802.3
// length, under any number of VLAN tags — after zero padding. A DPT trailer may
// also follow the original FCS; a legacy one may not, nor may either follow padding
// that is not zero. Those are Wireshark's rules with default preferences; the test
// of a legacy block is stricter than Wireshark's, its size must fit its version.
//
// An IPv4 total length or IPv6 payload length of 0 (segmentation offload,
// jumbograms) hides where the packet ends: no trailer is found then.
func Find(frame []byte, wireLength int) (offset int, format Format, ok bool) {
	offset, format, _, ok = find(frame, wireLength)
	return offset, format, ok
}

// find also tells whether the four bytes before the trailer are the FCS.
func find(frame []byte, wireLength int) (offset int, format Format, fcs, ok bool) {
	if len(frame) != wireLength {
		return 0, 0, false, false
	}
	end, ok := networkEnd(frame)
	if !ok || end > len(frame) {
		return 0, 0, false, false
	}
	start := end
	for start < len(frame) && frame[start] == 0 { // padding; no trailer starts with a zero
		start++
	}
	if len(frame)-start < minLegacyBlock {
		return 0, 0, false, false
	}
	if isDPT(frame[start:]) {
		return start, DPT, false, true
	}
	// An FCS in front; leading zeros of it were taken for padding.
	for zeros := 0; zeros <= 3 && zeros <= start-end; zeros++ {
		if at := start + 4 - zeros; at < len(frame) && isDPT(frame[at:]) {
			return at, DPT, true, true
		}
	}
	if isLegacy(frame[start:]) {
		return start, Legacy, false, true
	}
	return 0, 0, false, false
}

// isDPT: the magic, and a total length that fits.
func isDPT(b []byte) bool {
	return hasMagic(b) && len(b) >= dptHeaderLen && int(binary.BigEndian.Uint16(b[4:])) <= len(b)
}

// EtherTypes (IEEE 802 numbers) that matter here. Below minEtherType the field is
// an 802.3 length.
const (
	etherIPv4    = 0x0800
	etherARP     = 0x0806
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherQinQ    = 0x88a8
	etherQinQOld = 0x9100
	minEtherType = 0x0600
)

// networkEnd returns the offset of the first byte behind the network layer, which
// may lie beyond the frame.
func networkEnd(frame []byte) (end int, ok bool) {
	at := 12
	for {
		if len(frame) < at+2 {
			return 0, false
		}
		typ := binary.BigEndian.Uint16(frame[at:])
		at += 2
		switch {
		case typ == etherVLAN || typ == etherQinQ || typ == etherQinQOld:
			at += 2
			continue
		case typ == etherIPv4:
			return ipv4End(frame, at)
		case typ == etherIPv6:
			return ipv6End(frame, at)
		case typ == etherARP:
			if len(frame) < at+8 {
				return 0, false
			}
			// RFC 826: 8 bytes, then hardware and protocol address of both ends; 28 in all.
			return at + 8 + 2*(int(frame[at+4])+int(frame[at+5])), true
		case typ < minEtherType:
			return at + int(typ), true
		}
		return 0, false
	}
}

// ipv4End: RFC 791 section 3.1.
func ipv4End(frame []byte, at int) (end int, ok bool) {
	if len(frame) < at+20 || frame[at]>>4 != 4 {
		return 0, false
	}
	header, total := int(frame[at]&15)*4, int(binary.BigEndian.Uint16(frame[at+2:]))
	return at + total, header >= 20 && total >= header
}

// ipv6End: RFC 8200 section 3. A payload length of 0 with something to follow is a
// jumbogram (RFC 2675) or segmentation offload; 59 means that nothing follows.
func ipv6End(frame []byte, at int) (end int, ok bool) {
	if len(frame) < at+40 || frame[at]>>4 != 6 {
		return 0, false
	}
	payload, next := int(binary.BigEndian.Uint16(frame[at+4:])), frame[at+6]
	return at + 40 + payload, payload != 0 || next == 59
}

// DecodeFrame finds the trailer of an Ethernet frame and decodes it into t, which
// it resets first. ok reports whether there is a trailer, offset where it starts;
// frame[:offset] is the packet, with padding and FCS if there were any. err is that
// of [Decode]. wireLength is the frame's original length, as for [Find].
func DecodeFrame(frame []byte, wireLength int, t *Trailer) (offset int, ok bool, err error) {
	offset, _, fcs, ok := find(frame, wireLength)
	if !ok {
		*t = Trailer{}
		return 0, false, nil
	}
	err = Decode(frame[offset:], t)
	if fcs {
		t.OrigFCS, t.HasOrigFCS = binary.BigEndian.Uint32(frame[offset-4:]), true
	}
	return offset, true, err
}
