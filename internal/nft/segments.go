package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Segments is a class of TCP segments, or of what is said about them.
type Segments uint8

// The classes.
const (
	SYNs       Segments = iota // SYN without ACK
	SYNACKs                    // SYN with ACK
	PureACKs                   // ACK and nothing else: no SYN, FIN or RST, no payload
	Payload                    // with payload; a RST's is no data and none of these
	AfterSYN                   // ACK without SYN or RST: the handshake's last ACK, data, FIN
	Any                        // whatever it is
	FINs                       // FIN without payload
	RSTs                       // RST, whatever else there is
	ICMPErrors                 // no segment: an ICMP error that quotes one, which went the other way
)

// The TCP header's flags byte, and what of it is looked at.
const (
	tcpFlagsOffset = 13
	fin            = 0x01
	syn            = 0x02
	rst            = 0x04
	ack            = 0x10
)

// innerHeader is what follows the TCP header, NFT_PAYLOAD_INNER_HEADER of
// include/uapi/linux/netfilter/nf_tables.h (Linux 5.16). A load from there that
// finds nothing ends the rule (net/netfilter/nft_payload.c), so a load of one byte
// matches segments with payload.
const innerHeader expr.PayloadBase = 3

// matchIn matches the class in an IP version.
func (s Segments) matchIn(ipv6 bool) []expr.Any {
	if s == ICMPErrors {
		return icmpErrors(ipv6)
	}
	return s.match()
}

// match matches a class of TCP, as far as one rule can: what has no payload needs
// [Segments.spare] before it.
func (s Segments) match() []expr.Any {
	switch s {
	case SYNs:
		return append(tcp(), flags(syn|ack, syn)...)
	case SYNACKs:
		return append(tcp(), flags(syn|ack, syn|ack)...)
	case PureACKs:
		return append(tcp(), flags(syn|ack|fin|rst, ack)...)
	case AfterSYN:
		return append(tcp(), flags(syn|ack|rst, ack)...)
	case Any:
		return tcp()
	case FINs:
		return append(tcp(), flags(fin|rst, fin)...)
	case RSTs:
		return append(tcp(), flags(rst, rst)...)
	}
	return append(append(tcp(), flags(rst, 0)...), payload())
}

// spare matches what a rule before must let pass, because no rule can match a
// segment by what it has not; nil where there is none.
func (s Segments) spare() []expr.Any {
	if s != PureACKs && s != FINs {
		return nil
	}
	return append(tcp(), payload())
}

func tcp() []expr.Any { return carrying(unix.IPPROTO_TCP) }

// carrying matches what an IP packet carries, by its protocol.
func carrying(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
}

// flags matches TCP segments by some of their flags.
func flags(mask, want byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	}
}

// largerThan matches IP packets of more bytes than n. In a bridge, too, the length is
// the IP packet's: its link-layer header is pulled off when the hooks run.
func largerThan(n uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: 1},
		// Comparison is byte by byte, so the number must be big-endian.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: binaryutil.BigEndian.PutUint32(n)},
	}
}

// anyFlag matches TCP segments that have one of some flags.
func anyFlag(mask byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}},
	}
}

func payload() expr.Any {
	return &expr.Payload{DestRegister: firstWord, Base: innerHeader, Offset: 0, Len: 1}
}

// header says where an IP header has its addresses, and how long it is without options.
type header struct{ source, destination, size, length uint32 }

func ipHeader(ipv6 bool) header {
	if ipv6 {
		return header{source: 8, destination: 24, size: 16, length: 40}
	}
	return header{source: 12, destination: 16, size: 4, length: 20}
}

// way is one direction of the connections to some servers.
type way struct {
	ipv6    bool
	answers bool // what the servers send instead of what they are sent
	quoted  bool // of the packet that an ICMP error quotes, which went the other way
}

// headers say where packets that go this way have their IP header and their ports, and
// whether those are of an answer.
func (w way) headers() (h header, base expr.PayloadBase, ports uint32, answers bool) {
	h = ipHeader(w.ipv6)
	if !w.quoted {
		return h, expr.PayloadBaseNetworkHeader, 0, w.answers
	}
	h.source, h.destination = h.source+quoteOffset, h.destination+quoteOffset
	return h, expr.PayloadBaseTransportHeader, quoteOffset + h.length, !w.answers
}

// bound matches packets by the direction they go in: to one of some addresses, or
// from one of them.
func (c *Conn) bound(table *nftables.Table, w way, servers []netip.Addr) ([]expr.Any, error) {
	h, base, _, answers := w.headers()
	at := h.destination
	if answers {
		at = h.source
	}
	of, err := c.among(table, w.ipv6, servers)
	if err != nil {
		return nil, err
	}
	return append([]expr.Any{&expr.Payload{DestRegister: firstWord, Base: base, Offset: at, Len: h.size}}, of...), nil
}

func (w way) addressType() nftables.SetDatatype {
	if w.ipv6 {
		return nftables.TypeIP6Addr
	}
	return nftables.TypeIPAddr
}

// tupleType is the type of a set of 4-tuples.
func (w way) tupleType() (nftables.SetDatatype, error) {
	address := w.addressType()
	return nftables.ConcatSetType(address, nftables.TypeInetService, address, nftables.TypeInetService)
}

// loadTuple puts saddr . sport . daddr . dport into consecutive registers, each
// field padded to 4 bytes; those of an answer the other way round, so that both
// directions of a connection have one tuple.
func (w way) loadTuple() []expr.Any {
	h, base, ports, answers := w.headers()
	sport, dport := ports, ports+2
	if answers {
		h.source, h.destination, sport, dport = h.destination, h.source, dport, sport
	}
	words := h.size / 4
	load := func(register uint32, base expr.PayloadBase, offset, n uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: n}
	}
	return []expr.Any{
		load(firstWord, base, h.source, h.size),
		load(firstWord+words, expr.PayloadBaseTransportHeader, sport, 2),
		load(firstWord+words+1, base, h.destination, h.size),
		load(firstWord+2*words+1, expr.PayloadBaseTransportHeader, dport, 2),
	}
}

func (w way) tupleBytes() uint32 { return 2 * (ipHeader(w.ipv6).size + 4) }

// Tuple is a 4-tuple as the kernel's registers hold it: what is looked up in the
// set of armed ones, and what is hashed.
func Tuple(source, destination netip.AddrPort) []byte {
	var b []byte
	for _, a := range []netip.AddrPort{source, destination} {
		port := a.Port()
		b = append(b, a.Addr().AsSlice()...)
		b = append(b, byte(port>>8), byte(port), 0, 0)
	}
	return b
}
