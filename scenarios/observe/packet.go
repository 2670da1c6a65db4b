package observe

import (
	"encoding/binary"
	"net/netip"

	"github.com/hopblame/hopblame/internal/inetsum"
)

// Layout is where in an Ethernet frame things are. Offsets may lie beyond a frame
// that was cut short.
type Layout struct {
	IP       int // network header
	Next     int // what it carries
	End      int // behind the network packet
	V6       bool
	Protocol uint8 // IP protocol
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

// Locate finds an IP packet in a frame. The lab's kernels send no IPv6 extension
// headers.
func Locate(frame []byte) (l Layout, ok bool) {
	ether, at, ok := network(frame)
	switch {
	case ok && ether == etherIPv4 && len(frame) >= at+20:
		l = Layout{IP: at, Next: at + int(frame[at]&15)*4, End: at + int(binary.BigEndian.Uint16(frame[at+2:])), Protocol: frame[at+9]}
	case ok && ether == etherIPv6 && len(frame) >= at+40:
		l = Layout{IP: at, Next: at + 40, End: at + 40 + int(binary.BigEndian.Uint16(frame[at+4:])), V6: true, Protocol: frame[at+6]}
	default:
		return l, false
	}
	return l, l.Next <= l.End
}

// addresses returns those of the network header.
func (l *Layout) addresses(frame []byte) (src, dst netip.Addr) {
	if l.V6 {
		return netip.AddrFrom16([16]byte(frame[l.IP+8:])), netip.AddrFrom16([16]byte(frame[l.IP+24:]))
	}
	return netip.AddrFrom4([4]byte(frame[l.IP+12:])), netip.AddrFrom4([4]byte(frame[l.IP+16:]))
}

// Segment is a TCP segment in a frame.
type Segment struct {
	Layout
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    byte
	Payload  int // offset
}

// The TCP flags (RFC 9293 §3.1).
const FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

// TCP reads a frame's TCP header.
func TCP(frame []byte) (s Segment, ok bool) {
	if s.Layout, ok = Locate(frame); !ok || s.Protocol != protoTCP || len(frame) < s.Next+20 {
		return s, false
	}
	src, dst := s.addresses(frame)
	b := frame[s.Next:]
	s.Src, s.Dst = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	s.Seq, s.Ack, s.Flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
	s.Payload = s.Next + int(b[12]>>4)*4
	return s, s.Payload <= s.End
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
			binary.BigEndian.PutUint16(b[s:], ^inetsum.Fold(sum))
		}
	}
	copy(b[at:], to)
}
