package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// countResolution counts who asks for the hardware addresses of [Tap.Resolved], and who
// tells them: ARP requests and replies (RFC 826), neighbour solicitations and advertisements
// (RFC 4861).
func (t *tapState) countResolution(p packet) {
	asks, target, ok := resolution(p.data)
	if !ok || !slices.Contains(t.Resolved, target) {
		return
	}
	switch n := &t.counts; {
	case asks && p.outgoing:
		n.OutWhoHas++
	case asks:
		n.InWhoHas++
	case p.outgoing:
		n.OutIsAt++
	default:
		n.InIsAt++
	}
}

// resolution reads a question, or an answer, and whose address it is about.
func resolution(frame []byte) (asks bool, target netip.Addr, ok bool) {
	const ether, arp, ip6, icmp6 = 14, 28, 40, 24
	if len(frame) < ether+arp {
		return false, target, false
	}
	b := frame[ether:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_ARP:
		if asks = binary.BigEndian.Uint16(b[6:]) == 1; asks {
			target, ok = netip.AddrFromSlice(b[24:28])
		} else {
			target, ok = netip.AddrFromSlice(b[14:18])
		}
	case unix.ETH_P_IPV6:
		if len(b) >= ip6+icmp6 && b[6] == unix.IPPROTO_ICMPV6 && (b[ip6] == 135 || b[ip6] == 136) {
			asks = b[ip6] == 135
			target, ok = netip.AddrFromSlice(b[ip6+8 : ip6+24])
		}
	}
	return asks, target, ok
}
