package pcapfilter

import (
	"encoding/binary"
	"math"
	"slices"
)

// test is a compiled piece of a filter.
type test func(p *packet) bool

// packet is a frame under test. A load from behind its end makes it short, and a
// short packet is not taken whatever the rest of the filter says: so does the
// machine that tcpdump compiles for.
type packet struct {
	data  []byte
	short bool
}

// load returns the big-endian number of 1, 2 or 4 bytes at an offset.
func (p *packet) load(at uint32, size int) uint32 {
	if uint64(at)+uint64(size) > uint64(len(p.data)) {
		p.short = true
		return 0
	}
	switch b := p.data[at:]; size {
	case 1:
		return uint32(b[0])
	case 2:
		return uint32(binary.BigEndian.Uint16(b))
	default:
		return binary.BigEndian.Uint32(b)
	}
}

// Offsets in a frame.
const (
	etherType = 12
	payload   = 14

	ip4Fragment    = payload + 6
	ip4Protocol    = payload + 9
	ip4Source      = payload + 12
	ip4Destination = payload + 16

	ip6Next        = payload + 6
	ip6Source      = payload + 8
	ip6Destination = payload + 24
	ip6Payload     = payload + 40

	arpSource = payload + 14
	arpTarget = payload + 24
)

// Numbers of protocols: IEEE 802 and IANA.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeRARP = 0x8035
	typeIPv6 = 0x86dd

	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoIP6Frag = 44
	protoICMPv6  = 58
	protoSCTP    = 132

	fragmentOffset = 0x1fff // the bits of it beside the flags, RFC 791 §3.1
)

func (p *packet) ether(t uint32) bool { return p.load(etherType, 2) == t }

// ip4Payload is where an IPv4 packet's payload begins.
func (p *packet) ip4Payload() uint32 { return payload + p.load(payload, 1)&15*4 }

// ip4 tells whether the packet is one of IPv4 that carries one of these protocols.
func (p *packet) ip4(protocols ...uint32) bool {
	return p.ether(typeIPv4) && slices.Contains(protocols, p.load(ip4Protocol, 1))
}

// ip4First is ip4 of a whole packet, or of the first fragment, which has the ports.
func (p *packet) ip4First(protocols ...uint32) bool {
	return p.ip4(protocols...) && p.load(ip4Fragment, 2)&fragmentOffset == 0
}

// ip6 is ip4 of IPv6, where no header is looked at but the first.
func (p *packet) ip6(protocols ...uint32) bool {
	return p.ether(typeIPv6) && slices.Contains(protocols, p.load(ip6Next, 1))
}

// fragment6 tells whether the packet is a fragment of what carries a protocol.
func (p *packet) fragment6(protocol uint32) bool {
	return p.ip6(protoIP6Frag) && p.load(ip6Payload, 1) == protocol
}

// protocol is a word that names one.
type protocol struct {
	name string
	is   test
	// carrier is what a header of it needs to be there, and where it is then.
	carrier test
	at      func(p *packet) uint32
}

func fixed(at uint32) func(*packet) uint32 { return func(*packet) uint32 { return at } }

var protocols = []*protocol{
	network("ip", typeIPv4), network("ip6", typeIPv6), network("arp", typeARP),
	transport("tcp", protoTCP), transport("udp", protoUDP),
	{"icmp", func(p *packet) bool { return p.ip4(protoICMP) }, func(p *packet) bool { return p.ip4First(protoICMP) }, (*packet).ip4Payload},
	{"icmp6", func(p *packet) bool { return p.ip6(protoICMPv6) || p.fragment6(protoICMPv6) },
		func(p *packet) bool { return p.ip6(protoICMPv6) }, fixed(ip6Payload)},
}

func network(name string, t uint32) *protocol {
	is := func(p *packet) bool { return p.ether(t) }
	return &protocol{name, is, is, fixed(payload)}
}

func transport(name string, n uint32) *protocol {
	return &protocol{name,
		func(p *packet) bool { return p.ip4(n) || p.ip6(n) || p.fragment6(n) },
		func(p *packet) bool { return p.ip4First(n) }, (*packet).ip4Payload}
}

func protocolNamed(name string) *protocol {
	for _, p := range protocols {
		if p.name == name {
			return p
		}
	}
	return nil
}

// ones is a mask of the upper n of 32 bits.
func ones(n int) uint32 { return uint32(math.MaxUint32 << (32 - n)) }
