package nflog

import (
	"encoding/binary"
	"net/netip"
)

// From RFC 791, 792, 8200 and 4443.
const (
	protocolICMP, protocolICMPv6 = 1, 58
	icmpHeader                   = 8
	ipv4Header, ipv6Header       = 20, 40
)

// icmpError reads what an ICMP error is about, the way it goes itself: from where the
// packet that it quotes should have got, to who sent that. Of TCP it may quote no more than
// eight bytes: the ports and the sequence number (RFC 792).
func icmpError(b []byte) (p Packet, ok bool) {
	head, protocol := ipv6Header, protocolICMPv6
	if b[0]>>4 == 4 {
		head, protocol = int(b[0]&15)*4, protocolICMP
	}
	switch {
	case protocol == protocolICMP && (head < ipv4Header || len(b) < head+icmpHeader+ipv4Header || int(b[9]) != protocol),
		protocol == protocolICMPv6 && (len(b) < head+icmpHeader+ipv6Header || int(b[6]) != protocol):
		return p, false
	}
	quote := b[head+icmpHeader:]
	var source, destination, tcp []byte
	if protocol == protocolICMP {
		source, destination, tcp = quote[12:16], quote[16:20], quote[min(int(quote[0]&15)*4, len(quote)):]
		p.IPID = binary.BigEndian.Uint16(b[4:])
	} else {
		source, destination, tcp = quote[8:24], quote[24:40], quote[ipv6Header:]
	}
	if len(tcp) < 8 || quote[0]>>4 != b[0]>>4 {
		return Packet{}, false
	}
	from, _ := netip.AddrFromSlice(source)
	to, _ := netip.AddrFromSlice(destination)
	p.Destination = netip.AddrPortFrom(from, binary.BigEndian.Uint16(tcp))
	p.Source = netip.AddrPortFrom(to, binary.BigEndian.Uint16(tcp[2:]))
	p.Seq = binary.BigEndian.Uint32(tcp[4:])
	return p, true
}
