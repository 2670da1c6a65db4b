package ablation

import (
	"encoding/binary"
	"net/netip"
)

// layout is where in an Ethernet frame things are. Offsets may lie beyond a frame
// that was cut short.
type layout struct {
	ip   int // network header
	next int // what it carries
	end  int // behind the network packet
	v6   bool
	kind uint8 // IP protocol
}

// EtherTypes (IEEE 802 numbers) and IP protocols.
const (
	etherIPv4, etherIPv6, etherARP = 0x0800, 0x86dd, 0x0806
	etherVLAN, etherQinQ           = 0x8100, 0x88a8
	protoICMP, protoTCP            = 1, 6
)

// network returns the EtherType behind VLAN tags and where its packet starts.
func network(frame []byte) (ether uint16, at int, ok bool) {
	for at = 12; len(frame) >= at+2; at += 4 {
		ether = binary.BigEndian.Uint16(frame[at:])
		if ether != etherVLAN && ether != etherQinQ {
			return ether, at + 2, true
		}
	}
	return 0, 0, false
}

// locate finds an IP packet in a frame. The lab's kernels send no IPv6 extension
// headers.
func locate(frame []byte) (l layout, ok bool) {
	ether, at, ok := network(frame)
	switch {
	case ok && ether == etherIPv4 && len(frame) >= at+20:
		l = layout{ip: at, next: at + int(frame[at]&15)*4, end: at + int(binary.BigEndian.Uint16(frame[at+2:])), kind: frame[at+9]}
	case ok && ether == etherIPv6 && len(frame) >= at+40:
		l = layout{ip: at, next: at + 40, end: at + 40 + int(binary.BigEndian.Uint16(frame[at+4:])), v6: true, kind: frame[at+6]}
	default:
		return l, false
	}
	return l, l.next <= l.end
}

// segment is a TCP segment in a frame.
type segment struct {
	layout
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	payload  int // offset
}

// TCP flags (RFC 9293 §3.1).
const flagFIN, flagSYN, flagRST, flagPSH, flagACK = 1, 2, 4, 8, 16

// tcp reads a frame's TCP header.
func tcp(frame []byte) (s segment, ok bool) {
	if s.layout, ok = locate(frame); !ok || s.kind != protoTCP || len(frame) < s.next+20 {
		return s, false
	}
	var src, dst netip.Addr
	if s.v6 {
		src, dst = netip.AddrFrom16([16]byte(frame[s.ip+8:])), netip.AddrFrom16([16]byte(frame[s.ip+24:]))
	} else {
		src, dst = netip.AddrFrom4([4]byte(frame[s.ip+12:])), netip.AddrFrom4([4]byte(frame[s.ip+16:]))
	}
	b := frame[s.next:]
	s.src, s.dst = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	s.seq, s.ack, s.flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
	s.payload = s.next + int(b[12]>>4)*4
	return s, s.payload <= s.end
}

// change overwrites bytes at an even offset of what the Internet checksums at
// sums cover, and keeps these right or wrong as they were (RFC 1624 equation 3).
func change(b []byte, at int, to []byte, sums ...int) {
	for i := 0; i < len(to); i += 2 {
		old, now := binary.BigEndian.Uint16(b[at+i:]), binary.BigEndian.Uint16(to[i:])
		for _, s := range sums {
			if s+2 > len(b) {
				continue // cut off
			}
			sum := uint32(^binary.BigEndian.Uint16(b[s:])) + uint32(^old) + uint32(now)
			for sum>>16 != 0 {
				sum = sum&0xffff + sum>>16
			}
			binary.BigEndian.PutUint16(b[s:], ^uint16(sum))
		}
	}
	copy(b[at:], to)
}
