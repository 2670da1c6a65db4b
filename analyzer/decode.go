package analyzer

import "encoding/binary"

// packet is the part of a frame the analyzer looks at. Slices alias the frame.
// One is used for all frames of a pass, since it remembers fragments; frame and
// time are set before decode.
type packet struct {
	frame        uint64
	time         int64
	src, dst     []byte // addresses, 4 or 16 bytes
	sport, dport uint16
	seq, ack     uint32
	window       uint16 // as in the header, not scaled
	ipid         uint16 // IPv4 identification
	hasIPID      bool   // false: IPv6, which has none
	df           bool   // don't fragment; always true of IPv6
	cut          bool   // fewer bytes were captured than the IP header tells of
	unsummed     bool   // its checksum tells nothing: it came in pieces, without a length, or by a route
	flags        byte
	ttl          byte
	icmp         bool   // an ICMP error; the above is the packet it quotes, src its sender
	icmpFrom     []byte // who sent the ICMP error
	icmpWhat     uint16 // type<<8 | code
	vlan         uint16 // innermost tag's id
	link         uint16 // type of its capture's link
	ifindex      uint32 // of Linux cooked v2; 0: not told
	way          way    // of Linux cooked captures
	fragment     bool   // a later IP fragment: further payload of a segment seen before
	unmatched    bool   // a later fragment of TCP whose first was not seen; decode is false then
	length       int    // TCP payload on the wire, by IP length
	size         int    // of the IP packet on the wire
	payload      []byte // its captured part
	segment      []byte // what was captured of header and payload
	tcpOptions          // of packets with SYN or RST only

	layers    int // IP headers and tunnels so far
	fragments *fragments
}

// tcpOptions are read where they are needed, not on the hot path.
type tcpOptions struct {
	mss          uint16 // 0: none
	wscale       byte   // noScale: none
	hasTS        bool
	tsval, tsecr uint32
}

const noScale = 0xff

// way is which way the capturing machine saw a frame go.
type way uint8

const (
	wayUnknown way = iota
	wayIn
	wayOut
)

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
	linkNull     = 0
	linkEthernet = 1
	linkRawBSD   = 12
	linkRawOpen  = 14 // OpenBSD's number for the same
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// EtherTypes of the IEEE registry.
const (
	etherIPv4   = 0x0800
	etherVLAN   = 0x8100 // 802.1Q
	etherIPv6   = 0x86DD
	etherMPLS   = 0x8847
	etherMPLSM  = 0x8848 // multicast, or an upstream label
	etherPPPoE  = 0x8864 // session stage
	etherQinQ   = 0x88A8 // 802.1ad
	etherQinQ1  = 0x9100 // as was used before it
	etherQinQ2  = 0x9200
	etherBridge = 0x6558 // transparent Ethernet bridging, in GRE and GENEVE
	maxLength   = 1500   // up to this the field is an 802.3 length
)

// decode finds TCP, or an ICMP error about TCP, in a frame, in the innermost of
// all tunnels. What it does not understand — other protocols, encrypted tunnels,
// cut headers — is false.
func decode(link uint16, f []byte, p *packet) bool {
	p.vlan, p.link, p.ifindex, p.layers, p.way = 0, link, 0, 0, wayUnknown
	p.icmp, p.fragment, p.unmatched, p.unsummed = false, false, false, false
	if link == linkEthernet && len(f) >= 18 { // what nearly all frames are, without detours
		ether, rest := binary.BigEndian.Uint16(f[12:]), f[14:]
		if ether == etherVLAN {
			p.vlan = binary.BigEndian.Uint16(rest) & 0xfff
			ether, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
		}
		if ether == etherIPv4 {
			return decodeIPv4(rest, p, false)
		}
		return decodeEther(ether, rest, p)
	}
	switch link {
	case linkSLL:
		if len(f) < 16 {
			return false
		}
		p.way = cookedWay(f[1])
		return decodeEther(binary.BigEndian.Uint16(f[14:]), f[16:], p)
	case linkSLL2:
		if len(f) < 20 {
			return false
		}
		p.ifindex, p.way = cookedIndex(f), cookedWay(f[10])
		return decodeEther(binary.BigEndian.Uint16(f), f[20:], p)
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return decodeIP(f, p)
	case linkNull, linkLoop:
		// The address family is in the byte order of the capturing machine, and
		// IPv6 has another number on every system. The IP version tells as well.
		if len(f) < 4 || f[0]|f[3] == 0 || f[1]|f[2] != 0 {
			return false
		}
		return decodeIP(f[4:], p)
	}
	return false
}

// cookedWay reads the packet type of Linux cooked captures: 4 is sent by us.
func cookedWay(b byte) way {
	if b == 4 {
		return wayOut
	}
	return wayIn
}

// cookedIndex reads the interface of a Linux cooked v2 frame, which is at least
// 8 bytes long.
func cookedIndex(f []byte) uint32 { return binary.BigEndian.Uint32(f[4:]) }

func decodeEthernet(f []byte, p *packet) bool {
	if len(f) < 14 {
		return false
	}
	return decodeEther(binary.BigEndian.Uint16(f[12:]), f[14:], p)
}

// decodeEther reads what follows an EtherType.
func decodeEther(ether uint16, f []byte, p *packet) bool {
	for {
		switch ether {
		case etherIPv4:
			return decodeIPv4(f, p, false)
		case etherIPv6:
			return decodeIPv6(f, p, false)
		case etherVLAN, etherQinQ, etherQinQ1, etherQinQ2:
			if len(f) < 4 {
				return false
			}
			p.vlan = binary.BigEndian.Uint16(f) & 0xfff
			ether, f = binary.BigEndian.Uint16(f[2:]), f[4:]
		case etherMPLS, etherMPLSM:
			return decodeMPLS(f, p)
		case etherPPPoE:
			if len(f) < 6 || f[0] != 0x11 || f[1] != 0 { // RFC 2516 §4: version 1, type 1, code 0
				return false
			}
			return decodePPP(f[6:], p)
		case etherBridge:
			return p.deeper() && decodeEthernet(f, p)
		default:
			// 802.3 with LLC and SNAP, which holds an EtherType again.
			if ether > maxLength || len(f) < 8 || string(f[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
				return false
			}
			if ether = binary.BigEndian.Uint16(f[6:]); ether <= maxLength {
				return false
			}
			f = f[8:]
		}
	}
}

// decodeIP reads what has nothing but the version to tell what it is.
func decodeIP(f []byte, p *packet) bool {
	if len(f) < 1 {
		return false
	}
	if f[0]>>4 == 6 {
		return decodeIPv6(f, p, false)
	}
	return decodeIPv4(f, p, false)
}

// decodeIPv4 reads RFC 791. quoted means: inside an ICMP error, where the
// packet is cut short by design.
func decodeIPv4(f []byte, p *packet, quoted bool) bool {
	if len(f) < 20 || f[0]>>4 != 4 || !p.deeper() {
		return false
	}
	head := int(f[0]&15) * 4
	total := int(binary.BigEndian.Uint16(f[2:]))
	if total == 0 { // segmentation offload leaves the length to the card
		total, p.unsummed = len(f), true
	}
	proto, fragment := f[9], binary.BigEndian.Uint16(f[6:])
	if head < 20 || head > len(f) || total < head || quoted && fragment&0x1fff != 0 {
		return false
	}
	p.ttl, p.size, p.ipid, p.hasIPID, p.df, p.cut = f[8], total, binary.BigEndian.Uint16(f[4:]), true, fragment&0x4000 != 0, len(f) < total
	src, dst := f[12:16], f[16:20]
	body := f[head:min(len(f), total)]
	if proto == protoTCP && fragment&0x3fff == 0 {
		p.src, p.dst = src, dst
		return decodeTCP(body, total-head, p, quoted)
	}
	if fragment&0x3fff != 0 && !quoted && proto == protoTCP {
		p.src, p.dst = src, dst
		return p.piece(body, total-head, uint32(p.ipid), int(fragment&0x1fff)*8, fragment&0x2000 != 0)
	}
	if fragment&0x1fff != 0 {
		return false
	}
	switch proto {
	case protoTCP:
		p.src, p.dst = src, dst
		return decodeTCP(body, total-head, p, quoted)
	case protoICMP:
		if quoted || len(body) < 8 {
			return false
		}
		switch body[0] {
		case 3, 11, 12: // unreachable, time exceeded, parameter problem: RFC 792
			p.icmp, p.icmpFrom, p.icmpWhat = true, src, binary.BigEndian.Uint16(body)
			return decodeIPv4(body[8:], p, true)
		}
		return false
	case protoAH:
		next, rest, ok := skipAH(body)
		if !ok || next != protoTCP {
			return ok && !quoted && decodeTunnel(next, rest, p)
		}
		p.src, p.dst = src, dst
		return decodeTCP(rest, total-head-(len(body)-len(rest)), p, quoted)
	}
	return !quoted && decodeTunnel(proto, body, p)
}

// decodeIPv6 reads RFC 8200 with its extension headers.
func decodeIPv6(f []byte, p *packet, quoted bool) bool {
	if len(f) < 40 || f[0]>>4 != 6 || !p.deeper() {
		return false
	}
	length := int(binary.BigEndian.Uint16(f[4:]))
	if length == 0 { // segmentation offload, or a jumbogram
		length, p.unsummed = len(f)-40, true
	}
	p.ttl, p.size, p.hasIPID, p.ipid, p.df, p.cut = f[7], 40+length, false, 0, true, len(f)-40 < length
	src, dst, next := f[8:24], f[24:40], f[6]
	body := f[40:min(len(f), 40+length)]
	for {
		switch next {
		case 0, 43, 60, 135, 139, 140: // hop-by-hop, routing, destination options, mobility, HIP, shim6
			if len(body) < 8 {
				return false
			}
			n := 8 + int(body[1])*8
			if n > len(body) {
				return false
			}
			p.unsummed = p.unsummed || next == 43 // the sum is over the final destination: RFC 8200 §8.1
			next, body, length = body[0], body[n:], length-n
		case protoAH:
			n, rest, ok := skipAH(body)
			if !ok {
				return false
			}
			next, body, length = n, rest, length-(len(body)-len(rest))
		case 44: // fragment
			if len(body) < 8 {
				return false
			}
			offset, more := int(binary.BigEndian.Uint16(body[2:])&0xfff8), body[3]&1 != 0
			id, inner := binary.BigEndian.Uint32(body[4:]), body[0]
			next, body, length = inner, body[8:], length-8
			if (offset != 0 || more) && next == protoTCP && !quoted {
				p.src, p.dst = src, dst
				return p.piece(body, length, id, offset, more)
			}
			if offset != 0 {
				return false
			}
		case protoTCP:
			p.src, p.dst = src, dst
			return decodeTCP(body, length, p, quoted)
		case protoICMPv6: // errors: RFC 4443
			if quoted || len(body) < 8 || body[0] < 1 || body[0] > 4 {
				return false
			}
			p.icmp, p.icmpFrom, p.icmpWhat = true, src, binary.BigEndian.Uint16(body)
			return decodeIPv6(body[8:], p, true)
		default:
			return !quoted && decodeTunnel(next, body, p)
		}
	}
}

// decodeTCP reads RFC 9293 §3.1; length is the segment's by the IP header.
func decodeTCP(b []byte, length int, p *packet, quoted bool) bool {
	p.tcpOptions = tcpOptions{wscale: noScale}
	if quoted {
		if len(b) < 8 {
			return false
		}
		p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.seq, p.ack, p.flags, p.length, p.payload = binary.BigEndian.Uint32(b[4:]), 0, 0, 0, nil
		p.window, p.cut, p.segment = 0, false, nil
		return true
	}
	if len(b) < 20 {
		return false
	}
	p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.seq, p.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.flags, p.window = b[13]&0x3f, binary.BigEndian.Uint16(b[14:])
	head := int(b[12]>>4) * 4
	if head < 20 || length < head {
		return false
	}
	p.length, p.segment = length-head, b
	p.payload = b[min(head, len(b)):]
	if p.flags&(flagSYN|flagRST) != 0 {
		p.readOptions(b[20:min(head, len(b))])
	}
	return true
}

// readOptions reads the TCP options that tell hosts apart: MSS, window scale and
// time stamps (RFC 9293 §3.2, RFC 7323 §2.2 and §3.2).
func (o *tcpOptions) readOptions(b []byte) {
	for len(b) > 0 && b[0] != 0 {
		if b[0] == 1 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		switch v := b[2:b[1]]; {
		case b[0] == 2 && len(v) == 2:
			o.mss = binary.BigEndian.Uint16(v)
		case b[0] == 3 && len(v) == 1:
			o.wscale = v[0]
		case b[0] == 8 && len(v) == 8:
			o.hasTS, o.tsval, o.tsecr = true, binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		}
		b = b[b[1]:]
	}
}

// plainPorts reads the ports of a plain frame: Ethernet, one 802.1Q tag at most,
// IPv4 or IPv6 without options, TCP that is no fragment. plain is false for all
// others, which decode knows.
func plainPorts(link uint16, f []byte) (sport, dport uint16, plain bool) {
	if link != linkEthernet || len(f) < 18 {
		return 0, 0, false
	}
	ether, f := binary.BigEndian.Uint16(f[12:]), f[14:]
	if ether == 0x8100 {
		ether, f = binary.BigEndian.Uint16(f[2:]), f[4:]
	}
	head := 20
	switch {
	case ether == etherIPv4 && len(f) >= 24 && f[0] == 0x45 && f[9] == protoTCP && binary.BigEndian.Uint16(f[6:])&0x3fff == 0:
	case ether == etherIPv6 && len(f) >= 44 && f[6] == protoTCP:
		head = 40
	default:
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(f[head:]), binary.BigEndian.Uint16(f[head+2:]), true
}
