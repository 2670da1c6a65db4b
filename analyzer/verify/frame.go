package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// Frame is a decoded frame: what filters and checks look at. It may be used again
// for the next one.
type Frame struct {
	Number         uint64 // Wireshark's
	Time           time.Time
	WireLength     int
	CapturedLength int

	ip      []ipHeader  // the packet's, then that of one it quotes
	tcp     []tcpHeader // likewise
	icmp    *icmpHeader // an ICMP error; other ICMP counts as well
	arp     *arpHeader
	payload []byte // captured bytes of the outermost TCP segment
	trailer f5trailer.Trailer
	trailed bool // trailer is there and sound
}

type ipHeader struct {
	src, dst netip.Addr
	ttl      uint8
	id       uint16 // IPv4
	v6       bool
}

type tcpHeader struct {
	src, dst uint16
	seq, ack uint32
	flags    byte
	length   int    // of the payload on the wire
	window   uint16 // as it is there, not scaled
	tsval    uint32 // its time stamp, RFC 7323 section 3.2
	stamped  bool   // … if it has one
	extent   tcpExtent
	quoted   bool // by an ICMP error
	damaged  bool // all of it is there, and its checksum is wrong
	v6       bool
}

// tcpExtent is how much of a TCP header there is: the capture may have cut it, and
// what an ICMP error quotes may end behind its first 8 bytes (RFC 792).
type tcpExtent uint8

const (
	ports    tcpExtent = iota
	untilSeq           // quoted only
	whole
)

type icmpHeader struct {
	v6        bool
	typ, code uint8
	target    netip.Addr // of neighbour discovery
}

// TCP flags, RFC 9293 section 3.1.
const (
	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// digest is what Evidence.Digest must be.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Link types of the pcap registry that are read.
const (
	linkEthernet = 1
	linkRawBSD   = 12
	linkRaw      = 101
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// decoder holds gopacket's layers, so that decoding allocates next to nothing.
type decoder struct {
	eth   layers.Ethernet
	tag   layers.Dot1Q
	sll   layers.LinuxSLL
	ip4   layers.IPv4
	ip6   layers.IPv6
	tcp   layers.TCP
	icmp  layers.ICMPv4
	icmp6 layers.ICMPv6
	arp   layers.ARP
}

// decode fills x. What cannot be decoded leaves it with fewer headers; that is no
// error, as a filter then just does not match.
func (d *decoder) decode(link uint16, p pcapng.Packet, x *Frame) {
	*x = Frame{Number: p.Number, Time: time.Unix(0, p.Time).UTC(), WireLength: p.WireLength, CapturedLength: len(p.Data),
		ip: x.ip[:0], tcp: x.tcp[:0], trailer: x.trailer}
	ether, rest, ok := d.link(link, p.Data)
	if !ok {
		return
	}
	if link == linkEthernet {
		_, found, err := f5trailer.DecodeFrame(p.Data, p.WireLength, &x.trailer)
		x.trailed = found && err == nil
	}
	d.network(ether, rest, x, false)
}

// link takes off the link layer and its VLAN tags.
func (d *decoder) link(link uint16, data []byte) (ether layers.EthernetType, rest []byte, ok bool) {
	nothing := gopacket.NilDecodeFeedback
	switch link {
	case linkEthernet:
		if d.eth.DecodeFromBytes(data, nothing) != nil {
			return 0, nil, false
		}
		ether, rest = d.eth.EthernetType, d.eth.Payload
	case linkSLL:
		if d.sll.DecodeFromBytes(data, nothing) != nil {
			return 0, nil, false
		}
		ether, rest = d.sll.EthernetType, d.sll.Payload
	case linkSLL2: // gopacket does not know it: LINKTYPE_LINUX_SLL2, 20 bytes, the type first
		if len(data) < 20 {
			return 0, nil, false
		}
		ether, rest = layers.EthernetType(binary.BigEndian.Uint16(data)), data[20:]
	case linkRaw, linkRawBSD, linkIPv4, linkIPv6:
		if len(data) == 0 {
			return 0, nil, false
		}
		if ether, rest = layers.EthernetTypeIPv4, data; data[0]>>4 == 6 {
			ether = layers.EthernetTypeIPv6
		}
	default:
		return 0, nil, false
	}
	const oldQinQ = 0x9100
	for ether == layers.EthernetTypeDot1Q || ether == layers.EthernetTypeQinQ || ether == oldQinQ {
		if d.tag.DecodeFromBytes(rest, nothing) != nil {
			return 0, nil, false
		}
		ether, rest = d.tag.Type, d.tag.Payload
	}
	return ether, rest, true
}

func (d *decoder) network(ether layers.EthernetType, data []byte, x *Frame, quoted bool) {
	switch ether {
	case layers.EthernetTypeIPv4:
		d.ipv4(data, x, quoted)
	case layers.EthernetTypeIPv6:
		d.ipv6(data, x, quoted)
	case layers.EthernetTypeARP:
		d.resolution(data, x)
	}
}

func (d *decoder) ipv4(data []byte, x *Frame, quoted bool) {
	if d.ip4.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || d.ip4.Version != 4 {
		return
	}
	p := &d.ip4
	src, _ := netip.AddrFromSlice(p.SrcIP)
	dst, _ := netip.AddrFromSlice(p.DstIP)
	x.ip = append(x.ip, ipHeader{src: src, dst: dst, ttl: p.TTL, id: p.Id})
	// A fragment's transport is Wireshark's to show where it has put it together.
	if p.FragOffset != 0 || p.Flags&layers.IPv4MoreFragments != 0 {
		return
	}
	length := int(p.Length) - int(p.IHL)*4
	switch p.Protocol {
	case layers.IPProtocolTCP:
		d.segment(p.Payload, length, x, quoted)
	case layers.IPProtocolICMPv4:
		if quoted || d.icmp.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback) != nil {
			return
		}
		x.icmp = &icmpHeader{typ: d.icmp.TypeCode.Type(), code: d.icmp.TypeCode.Code()}
		switch x.icmp.typ {
		case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem,
			layers.ICMPv4TypeSourceQuench, layers.ICMPv4TypeRedirect:
			d.ipv4(d.icmp.Payload, x, true)
		}
	}
}

func (d *decoder) ipv6(data []byte, x *Frame, quoted bool) {
	// Without a length, as segmentation offload leaves it, gopacket gives up
	// behind the fixed header, which is all that is wanted of it.
	err := d.ip6.DecodeFromBytes(data, gopacket.NilDecodeFeedback)
	p := &d.ip6
	if len(data) < 40 || p.Version != 6 || err != nil && p.Length != 0 {
		return
	}
	src, _ := netip.AddrFromSlice(p.SrcIP)
	dst, _ := netip.AddrFromSlice(p.DstIP)
	x.ip = append(x.ip, ipHeader{src: src, dst: dst, ttl: p.HopLimit, v6: true})
	length, body := int(p.Length), data[40:]
	if length == 0 {
		length = len(body)
	}
	body = body[:min(len(body), length)]
	next := p.NextHeader
	for next == layers.IPProtocolIPv6HopByHop || next == layers.IPProtocolIPv6Routing || next == layers.IPProtocolIPv6Destination {
		if len(body) < 8 || len(body) < 8+int(body[1])*8 {
			return
		}
		n := 8 + int(body[1])*8 // RFC 8200 section 4.3
		next, body, length = layers.IPProtocol(body[0]), body[n:], length-n
	}
	switch next {
	case layers.IPProtocolTCP:
		d.segment(body, length, x, quoted)
	case layers.IPProtocolICMPv6:
		if quoted || d.icmp6.DecodeFromBytes(body, gopacket.NilDecodeFeedback) != nil {
			return
		}
		x.icmp = &icmpHeader{v6: true, typ: d.icmp6.TypeCode.Type(), code: d.icmp6.TypeCode.Code()}
		if b := d.icmp6.Payload; (x.icmp.typ == solicitation || x.icmp.typ == advertisement) && len(b) >= 4+16 {
			x.icmp.target, _ = netip.AddrFromSlice(b[4 : 4+16]) // RFC 4861 section 4.3, 4.4
		}
		const unused = 4 // bytes of an error message before what it quotes, RFC 4443 section 3
		if x.icmp.typ >= 1 && x.icmp.typ <= 4 && len(d.icmp6.Payload) > unused {
			d.ipv6(d.icmp6.Payload[unused:], x, true)
		}
	}
}

// segment reads a TCP header as far as it is there.
func (d *decoder) segment(b []byte, length int, x *Frame, quoted bool) {
	if len(b) < 4 {
		return
	}
	t := tcpHeader{src: binary.BigEndian.Uint16(b), dst: binary.BigEndian.Uint16(b[2:]), quoted: quoted, v6: x.ip[len(x.ip)-1].v6}
	if quoted && len(b) >= 8 {
		t.seq, t.extent = binary.BigEndian.Uint32(b[4:]), untilSeq
	}
	if len(b) >= 20 {
		// An option that is wrong is gopacket's error, and no matter here.
		if err := d.tcp.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil && d.tcp.DataOffset < 5 {
			return
		}
		t.seq, t.ack, t.flags, t.window, t.extent = d.tcp.Seq, d.tcp.Ack, b[13], d.tcp.Window, whole
		head := int(d.tcp.DataOffset) * 4
		if t.length = length - head; t.length < 0 {
			return
		}
		for _, o := range d.tcp.Options {
			if o.OptionType == layers.TCPOptionKindTimestamps && len(o.OptionData) == 8 {
				t.tsval, t.stamped = binary.BigEndian.Uint32(o.OptionData), true
			}
		}
		if !quoted {
			x.payload = b[min(len(b), head):]
			if len(b) >= length {
				t.damaged = damaged(&x.ip[len(x.ip)-1], b[:length])
			}
		}
	}
	x.tcp = append(x.tcp, t)
}

// damaged tells whether a segment's checksum is wrong (RFC 9293 section 3.1), and not one
// that is left to the network card: none, or that of the pseudo header.
func damaged(ip *ipHeader, segment []byte) bool {
	var sum uint32
	add := func(b []byte) {
		for i, v := range b {
			sum += uint32(v) << (8 * (1 - i%2))
		}
	}
	fold := func() uint16 { return uint16(sum % 0xffff) }
	add(ip.src.AsSlice())
	add(ip.dst.AsSlice())
	sum += uint32(layers.IPProtocolTCP)
	field, short := binary.BigEndian.Uint16(segment[16:])%0xffff, fold()
	sum += uint32(len(segment))
	if field == 0 || field == short || field == fold() {
		return false
	}
	add(segment)
	return fold() != 0 // in ones' complement, 0 and all ones are one
}

// keep makes x independent of the file's buffer and of reuse.
func (x *Frame) keep() *Frame {
	k := *x
	k.ip, k.tcp = append([]ipHeader(nil), x.ip...), append([]tcpHeader(nil), x.tcp...)
	const head = 16 << 10 // what of a message's head is looked at
	k.payload = bytes.Clone(x.payload[:min(len(x.payload), head)])
	return &k
}

func (x *Frame) hasCause() bool {
	return x.trailed && x.trailer.HasMedium && x.trailer.Medium.HasRSTCause && x.trailer.Medium.RSTCause.Version == 0
}

func (x *Frame) hasPeer() bool { return x.trailed && x.trailer.HasHigh }

// response reads the status of an HTTP/1 response that begins in this frame, 0 if
// none does, and tells whether it also ends here (RFC 9112 section 6).
func (x *Frame) response() (code int, whole bool) {
	b := x.payload
	if len(b) < 12 || string(b[:7]) != "HTTP/1." || b[8] != ' ' {
		return 0, false
	}
	code, err := strconv.Atoi(string(b[9:12]))
	if err != nil || code < 100 {
		return 0, false
	}
	head, body, ended := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ended {
		return code, false
	}
	if code < 200 || code == 204 || code == 304 {
		return code, true
	}
	length, given := header(head, "content-length")
	n, err := strconv.Atoi(length)
	switch {
	case given && err == nil:
		return code, len(body) >= n
	case given:
		return code, false
	}
	if encoding, _ := header(head, "transfer-encoding"); encoding != "" {
		return code, bytes.HasSuffix(body, []byte("0\r\n\r\n"))
	}
	return code, x.tcp[0].flags&flagFIN != 0
}

// request reads method and target of an HTTP/1 request that begins in this frame,
// and its X-Request-ID if the head is whole.
func (x *Frame) request() (method, target, id string, hasID, ok bool) {
	head, _, _ := bytes.Cut(x.payload, []byte("\r\n\r\n"))
	line, _, ended := bytes.Cut(head, []byte("\r\n"))
	parts := bytes.Split(line, []byte(" "))
	if !ended && len(head) == len(x.payload) || len(parts) != 3 || !bytes.HasPrefix(parts[2], []byte("HTTP/1.")) {
		return "", "", "", false, false
	}
	id, hasID = header(head, "x-request-id")
	return string(parts[0]), string(parts[1]), id, hasID, true
}

// header finds a field of an HTTP head by its name in lower case.
func header(head []byte, name string) (string, bool) {
	for _, line := range bytes.Split(head, []byte("\r\n")) {
		k, v, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.ToLower(k)) == name {
			return string(bytes.TrimSpace(v)), true
		}
	}
	return "", false
}
