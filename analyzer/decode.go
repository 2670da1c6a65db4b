package analyzer

import "encoding/binary"

// packet is the part of a frame the analyzer looks at. Slices alias the frame.
type packet struct {
	frame        uint64
	time         int64
	src, dst     []byte // addresses, 4 or 16 bytes
	sport, dport uint16
	seq, ack     uint32
	flags        byte
	ttl          byte
	icmp         bool   // an ICMP error; the above is the packet it quotes, src its sender
	icmpFrom     []byte // who sent the ICMP error
	icmpWhat     uint16 // type<<8 | code
	vlan         uint16 // innermost tag's id
	length       int    // TCP payload on the wire, by IP length
	size         int    // of the IP packet on the wire
	payload      []byte // its captured part
}

// TCP flags, RFC 9293 §3.1.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

func (p *packet) is(set, clear byte) bool { return p.flags&set == set && p.flags&clear == 0 }

// Link types of the pcap registry that can be read.
const (
	linkEthernet = 1
	linkRawBSD   = 12
	linkRaw      = 101
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86DD
)

// decode finds TCP, or an ICMP error about TCP, in a frame. What it does not
// understand — other protocols, later fragments, cut headers — is false.
func decode(link uint16, f []byte, p *packet) bool {
	p.vlan, p.icmp = 0, false
	var ether uint16
	switch link {
	case linkEthernet:
		if len(f) < 14 {
			return false
		}
		ether, f = binary.BigEndian.Uint16(f[12:]), f[14:]
	case linkSLL:
		if len(f) < 16 {
			return false
		}
		ether, f = binary.BigEndian.Uint16(f[14:]), f[16:]
	case linkSLL2:
		if len(f) < 20 {
			return false
		}
		ether, f = binary.BigEndian.Uint16(f), f[20:]
	case linkRaw, linkRawBSD, linkIPv4, linkIPv6:
		if len(f) < 1 {
			return false
		}
		if ether = etherIPv4; f[0]>>4 == 6 {
			ether = etherIPv6
		}
	default:
		return false
	}
	for ether == 0x8100 || ether == 0x88A8 || ether == 0x9100 { // 802.1Q, 802.1ad, old QinQ
		if len(f) < 4 {
			return false
		}
		p.vlan = binary.BigEndian.Uint16(f) & 0xfff
		ether, f = binary.BigEndian.Uint16(f[2:]), f[4:]
	}
	switch ether {
	case etherIPv4:
		return decodeIPv4(f, p, false)
	case etherIPv6:
		return decodeIPv6(f, p, false)
	}
	return false
}

// decodeIPv4 reads RFC 791. quoted means: inside an ICMP error, where the
// packet is cut short by design.
func decodeIPv4(f []byte, p *packet, quoted bool) bool {
	if len(f) < 20 || f[0]>>4 != 4 {
		return false
	}
	head := int(f[0]&15) * 4
	total := int(binary.BigEndian.Uint16(f[2:]))
	if total == 0 { // segmentation offload leaves the length to the card
		total = len(f)
	}
	if head < 20 || head > len(f) || total < head || binary.BigEndian.Uint16(f[6:])&0x1fff != 0 {
		return false
	}
	p.ttl, p.size = f[8], total
	src, dst, proto := f[12:16], f[16:20], f[9]
	body := f[head:min(len(f), total)]
	switch {
	case proto == 6:
		p.src, p.dst = src, dst
		return decodeTCP(body, total-head, p, quoted)
	case proto == 1 && !quoted && len(body) >= 8:
		switch body[0] {
		case 3, 11, 12: // unreachable, time exceeded, parameter problem: RFC 792
			p.icmp, p.icmpFrom, p.icmpWhat = true, src, binary.BigEndian.Uint16(body)
			return decodeIPv4(body[8:], p, true)
		}
	}
	return false
}

// decodeIPv6 reads RFC 8200 with its extension headers.
func decodeIPv6(f []byte, p *packet, quoted bool) bool {
	if len(f) < 40 || f[0]>>4 != 6 {
		return false
	}
	length := int(binary.BigEndian.Uint16(f[4:]))
	if length == 0 {
		length = len(f) - 40
	}
	p.ttl, p.size = f[7], 40+length
	src, dst, next := f[8:24], f[24:40], f[6]
	body := f[40:min(len(f), 40+length)]
	for {
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(body) < 8 {
				return false
			}
			n := 8 + int(body[1])*8
			if n > len(body) {
				return false
			}
			next, body, length = body[0], body[n:], length-n
			continue
		case 44: // fragment
			if len(body) < 8 || binary.BigEndian.Uint16(body[2:])&0xfff8 != 0 {
				return false
			}
			next, body, length = body[0], body[8:], length-8
			continue
		case 6:
			p.src, p.dst = src, dst
			return decodeTCP(body, length, p, quoted)
		case 58: // ICMPv6 errors: RFC 4443
			if quoted || len(body) < 8 || body[0] < 1 || body[0] > 4 {
				return false
			}
			p.icmp, p.icmpFrom, p.icmpWhat = true, src, binary.BigEndian.Uint16(body)
			return decodeIPv6(body[8:], p, true)
		}
		return false
	}
}

// decodeTCP reads RFC 9293 §3.1; length is the segment's by the IP header.
func decodeTCP(b []byte, length int, p *packet, quoted bool) bool {
	if quoted {
		if len(b) < 8 {
			return false
		}
		p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.seq, p.ack, p.flags, p.length, p.payload = binary.BigEndian.Uint32(b[4:]), 0, 0, 0, nil
		return true
	}
	if len(b) < 20 {
		return false
	}
	p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.seq, p.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.flags = b[13] & 0x3f
	head := int(b[12]>>4) * 4
	if head < 20 || length < head {
		return false
	}
	p.length = length - head
	p.payload = b[min(head, len(b)):]
	return true
}
