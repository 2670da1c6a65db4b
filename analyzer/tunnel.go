package analyzer

import "encoding/binary"

// IP protocol numbers of the IANA registry.
const (
	protoICMP   = 1
	protoIPv4   = 4 // IP in IP, RFC 2003
	protoTCP    = 6
	protoUDP    = 17
	protoIPv6   = 41 // 6in4, RFC 4213
	protoGRE    = 47
	protoAH     = 51
	protoICMPv6 = 58
)

// UDP ports of tunnels in the IANA registry.
const (
	portVXLAN  = 4789
	portGENEVE = 6081
)

// maxLayers is more headers than anyone nests, and keeps hostile frames short.
const maxLayers = 16

// deeper counts one more IP header or tunnel.
func (p *packet) deeper() bool {
	p.layers++
	return p.layers <= maxLayers
}

// decodeTunnel looks for TCP inside what an IP header carries. ESP, WireGuard and
// the like stay closed.
func decodeTunnel(proto byte, b []byte, p *packet) bool {
	switch proto {
	case protoIPv4:
		return decodeIPv4(b, p, false)
	case protoIPv6:
		return decodeIPv6(b, p, false)
	case protoGRE:
		return decodeGRE(b, p)
	case protoUDP:
		if len(b) < 8+8 || !p.deeper() {
			return false
		}
		switch inner := b[8:]; binary.BigEndian.Uint16(b[2:]) {
		case portVXLAN: // RFC 7348 §5: the I flag says that there is a network identifier
			return inner[0]&0x08 != 0 && decodeEthernet(inner[8:], p)
		case portGENEVE: // RFC 8926 §3.4
			n := 8 + int(inner[0]&0x3f)*4
			return inner[0]>>6 == 0 && n <= len(inner) && decodeEther(binary.BigEndian.Uint16(inner[2:]), inner[n:], p)
		}
	}
	return false
}

// skipAH steps over an authentication header, RFC 4302 §2: what follows it is
// not encrypted.
func skipAH(b []byte) (next byte, rest []byte, ok bool) {
	if len(b) < 12 {
		return 0, nil, false
	}
	n := (int(b[1]) + 2) * 4
	if n < 12 || n > len(b) {
		return 0, nil, false
	}
	return b[0], b[n:], true
}

// GRE's flags, RFC 2784 §2, RFC 2890 §2 and, for version 1, RFC 2637 §4.1.
const (
	greChecksum = 0x8000
	greRouting  = 0x4000
	greKey      = 0x2000
	greSequence = 0x1000
	greAck      = 0x0080
	greVersion  = 0x0007
)

// Protocol types in GRE that are no EtherTypes of frames.
const (
	grePPP     = 0x880B
	greERSPAN2 = 0x88BE // type I as well, which has no sequence number
	greERSPAN3 = 0x22EB
)

func decodeGRE(b []byte, p *packet) bool {
	if len(b) < 4 || !p.deeper() {
		return false
	}
	flags, proto := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	n := 4
	for _, f := range [...]uint16{greChecksum, greKey, greSequence} {
		if flags&f != 0 {
			n += 4
		}
	}
	if flags&greVersion == 1 && flags&greAck != 0 {
		n += 4
	}
	if flags&greRouting != 0 || flags&greVersion > 1 || n > len(b) {
		return false
	}
	b = b[n:]
	switch proto {
	case grePPP:
		return decodePPP(b, p)
	case greERSPAN2:
		if flags&greSequence == 0 {
			return decodeEthernet(b, p)
		}
		return len(b) >= 8 && decodeEthernet(b[8:], p)
	case greERSPAN3:
		return decodeERSPAN3(b, p)
	}
	return decodeEther(proto, b, p)
}

// decodeERSPAN3 reads draft-foschiano-erspan-03 §4.3: a header of 12 bytes, which
// tells whether there are 8 more and whether a frame or a bare IP packet follows.
func decodeERSPAN3(b []byte, p *packet) bool {
	if len(b) < 12 {
		return false
	}
	about, n := binary.BigEndian.Uint16(b[10:]), 12
	if about&1 != 0 {
		n += 8
	}
	if n > len(b) {
		return false
	}
	if about>>10&0x1f == 2 {
		return decodeIP(b[n:], p)
	}
	return decodeEthernet(b[n:], p)
}

// decodeMPLS reads RFC 3032 §2.1. Labels do not tell what they carry: it is IP if
// it looks like IP, else a pseudowire's Ethernet, with a control word or without.
func decodeMPLS(b []byte, p *packet) bool {
	for bottom := false; !bottom; b = b[4:] {
		if len(b) < 4 {
			return false
		}
		bottom = b[2]&1 != 0
	}
	if len(b) < 1 || !p.deeper() {
		return false
	}
	switch b[0] >> 4 {
	case 4, 6:
		return decodeIP(b, p)
	case 0: // a control word, RFC 4385 §3, or a MAC address that begins like it
		vlan, layers := p.vlan, p.layers
		if len(b) > 4 && decodeEthernet(b[4:], p) {
			return true
		}
		p.vlan, p.layers, p.icmp, p.unmatched = vlan, layers, false, false
	}
	return decodeEthernet(b, p)
}

// decodePPP reads what PPP carries: RFC 1661 §2 and its numbers for IP, with the
// address and control bytes or without.
func decodePPP(b []byte, p *packet) bool {
	if len(b) > 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		return false
	}
	proto := uint16(b[0])
	if b = b[1:]; proto&1 == 0 { // else the first byte is left out, RFC 1661 §6.5
		proto, b = proto<<8|uint16(b[0]), b[1:]
	}
	switch proto {
	case 0x0021:
		return decodeIPv4(b, p, false)
	case 0x0057:
		return decodeIPv6(b, p, false)
	case 0x0281:
		return decodeMPLS(b, p)
	}
	return false
}
