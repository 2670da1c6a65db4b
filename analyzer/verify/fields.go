package verify

import (
	"errors"
	"net/netip"
)

// kind is what values a field has.
type kind uint8

const (
	isNumber kind = iota
	isFlag
	isIPv4
	isIPv6
	isText
)

// field reads one of Wireshark's fields out of a frame: all its values, none if it
// is absent.
type field struct {
	kind
	bits   int  // of a number
	travel bool // the value is the same wherever on its way a packet is captured
	get    func(*Frame) ([]value, error)
}

// Fields are the display filter fields that can be checked, by Wireshark's names.
var Fields = map[string]*field{
	"frame.number":  one(64, func(x *Frame) uint64 { return x.Number }),
	"frame.len":     one(32, func(x *Frame) uint64 { return uint64(x.WireLength) }),
	"frame.cap_len": one(32, func(x *Frame) uint64 { return uint64(x.CapturedLength) }),

	"ip.src":    addrs(isIPv4, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.src} }),
	"ip.dst":    addrs(isIPv4, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.dst} }),
	"ip.addr":   addrs(isIPv4, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.src, p.dst} }),
	"ipv6.src":  addrs(isIPv6, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.src} }),
	"ipv6.dst":  addrs(isIPv6, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.dst} }),
	"ipv6.addr": addrs(isIPv6, func(p *ipHeader) []netip.Addr { return []netip.Addr{p.src, p.dst} }),
	"ip.ttl":    ofIP(8, false, func(p *ipHeader) uint64 { return uint64(p.ttl) }),
	"ip.id":     ofIP(16, false, func(p *ipHeader) uint64 { return uint64(p.id) }),
	"ipv6.hlim": ofIP(8, true, func(p *ipHeader) uint64 { return uint64(p.ttl) }),

	"tcp.srcport":     ofTCP(isNumber, 16, nil, func(t *tcpHeader) uint64 { return uint64(t.src) }),
	"tcp.dstport":     ofTCP(isNumber, 16, nil, func(t *tcpHeader) uint64 { return uint64(t.dst) }),
	"tcp.seq":         {kind: isNumber, bits: 32, travel: true, get: quotedSeq},
	"tcp.seq_raw":     ofTCP(isNumber, 32, func(t *tcpHeader) bool { return t.extent == whole && !(t.quoted && !t.v6) }, func(t *tcpHeader) uint64 { return uint64(t.seq) }),
	"tcp.ack_raw":     ofTCP(isNumber, 32, func(t *tcpHeader) bool { return t.extent == whole }, func(t *tcpHeader) uint64 { return uint64(t.ack) }),
	"tcp.len":         ofTCP(isNumber, 32, func(t *tcpHeader) bool { return t.extent == whole && !t.quoted }, func(t *tcpHeader) uint64 { return uint64(t.length) }),
	"tcp.flags.syn":   flag(flagSYN),
	"tcp.flags.ack":   flag(flagACK),
	"tcp.flags.fin":   flag(flagFIN),
	"tcp.flags.reset": flag(flagRST),

	"icmp.type":                   ofICMP(false, func(i *icmpHeader) uint64 { return uint64(i.typ) }),
	"icmp.code":                   ofICMP(false, func(i *icmpHeader) uint64 { return uint64(i.code) }),
	"arp.opcode":                  ofARP(func(p *arpHeader) value { return value{number: uint64(p.opcode)} }, isNumber, 16),
	"arp.src.proto_ipv4":          ofARP(func(p *arpHeader) value { return value{addr: p.sender} }, isIPv4, 0),
	"arp.dst.proto_ipv4":          ofARP(func(p *arpHeader) value { return value{addr: p.target} }, isIPv4, 0),
	"icmpv6.nd.ns.target_address": ofDiscovery(solicitation),
	"icmpv6.nd.na.target_address": ofDiscovery(advertisement),

	"icmpv6.type": ofICMP(true, func(i *icmpHeader) uint64 { return uint64(i.typ) }),
	"icmpv6.code": ofICMP(true, func(i *icmpHeader) uint64 { return uint64(i.code) }),

	"http.response.code": {kind: isNumber, bits: 24, travel: true, get: responseCode},

	"f5ethtrailer.rstcausetxt": {kind: isText, get: func(x *Frame) ([]value, error) {
		if !x.hasCause() {
			return nil, nil
		}
		return []value{{text: x.trailer.Medium.RSTCause.Text}}, nil
	}},
	"f5ethtrailer.rstcausepeer": {kind: isNumber, bits: 8, get: func(x *Frame) ([]value, error) {
		if !x.hasCause() {
			return nil, nil
		}
		var peer uint64
		if x.trailer.Medium.RSTCause.Peer {
			peer = 1
		}
		return []value{{number: peer}}, nil
	}},
	"f5ethtrailer.peerremoteaddr":  peerAddrs(isIPv4, true, false),
	"f5ethtrailer.peerremoteaddr6": peerAddrs(isIPv6, true, false),
	"f5ethtrailer.peerlocaladdr":   peerAddrs(isIPv4, false, true),
	"f5ethtrailer.peerlocaladdr6":  peerAddrs(isIPv6, false, true),
	"f5ethtrailer.peeraddr":        peerAddrs(isIPv4, true, true),
	"f5ethtrailer.peeraddr6":       peerAddrs(isIPv6, true, true),
	"f5ethtrailer.peerremoteport":  peerPorts(true, false),
	"f5ethtrailer.peerlocalport":   peerPorts(false, true),
	"f5ethtrailer.peerport":        peerPorts(true, true),
}

// one is a field that every frame has once.
func one(bits int, get func(*Frame) uint64) *field {
	return &field{kind: isNumber, bits: bits, get: func(x *Frame) ([]value, error) { return []value{{number: get(x)}}, nil }}
}

func addrs(k kind, get func(*ipHeader) []netip.Addr) *field {
	return &field{kind: k, travel: true, get: func(x *Frame) (out []value, err error) {
		for i := range x.ip {
			if p := &x.ip[i]; p.v6 == (k == isIPv6) {
				for _, a := range get(p) {
					out = append(out, value{addr: a})
				}
			}
		}
		return out, nil
	}}
}

func ofIP(bits int, v6 bool, get func(*ipHeader) uint64) *field {
	return &field{kind: isNumber, bits: bits, get: func(x *Frame) (out []value, err error) {
		for i := range x.ip {
			if p := &x.ip[i]; p.v6 == v6 {
				out = append(out, value{number: get(p)})
			}
		}
		return out, nil
	}}
}

// ofTCP is a field of those TCP headers that have it; nil: of all.
func ofTCP(k kind, bits int, has func(*tcpHeader) bool, get func(*tcpHeader) uint64) *field {
	return &field{kind: k, bits: bits, travel: true, get: func(x *Frame) (out []value, err error) {
		for i := range x.tcp {
			if t := &x.tcp[i]; has == nil || has(t) {
				out = append(out, value{number: get(t)})
			}
		}
		return out, nil
	}}
}

func flag(bit byte) *field {
	return ofTCP(isFlag, 1, func(t *tcpHeader) bool { return t.extent == whole }, func(t *tcpHeader) uint64 {
		if t.flags&bit != 0 {
			return 1
		}
		return 0
	})
}

// errRelative: of a packet that is not quoted, Wireshark's tcp.seq counts from where
// the connection began.
var errRelative = errors.New("cannot check tcp.seq, which is relative to the connection's first frame; use tcp.seq_raw")

// quotedSeq reads tcp.seq where it is absolute: in what an ICMP error quotes. There
// is no tcp.seq_raw of what an ICMPv4 error quotes.
func quotedSeq(x *Frame) (out []value, err error) {
	for i := range x.tcp {
		t := &x.tcp[i]
		switch {
		case !t.quoted && t.extent == whole:
			return nil, errRelative
		case t.extent == whole, t.extent == untilSeq && !t.v6:
			out = append(out, value{number: uint64(t.seq)})
		}
	}
	return out, nil
}

func ofICMP(v6 bool, get func(*icmpHeader) uint64) *field {
	return &field{kind: isNumber, bits: 8, travel: true, get: func(x *Frame) ([]value, error) {
		if i := x.icmp; i != nil && i.v6 == v6 {
			return []value{{number: get(i)}}, nil
		}
		return nil, nil
	}}
}

// errReassembly: Wireshark shows a response's fields in the frame that completes it.
var errReassembly = errors.New("cannot check http.response.code: the response is not complete in one frame, and Wireshark then shows it in another")

func responseCode(x *Frame) ([]value, error) {
	code, whole := x.response()
	switch {
	case code == 0:
		return nil, nil
	case !whole:
		return nil, errReassembly
	}
	return []value{{number: uint64(code)}}, nil
}

// peerAddrs reads the addresses of the peer flow. Where there is none Wireshark
// shows the zeros of the block as IPv6.
func peerAddrs(k kind, remote, local bool) *field {
	return &field{kind: k, get: func(x *Frame) (out []value, err error) {
		if !x.hasPeer() {
			return nil, nil
		}
		h := &x.trailer.High
		for _, e := range []struct {
			wanted bool
			addr   netip.Addr
		}{{remote, h.Remote.Addr()}, {local, h.Local.Addr()}} {
			if !e.addr.IsValid() {
				e.addr = netip.IPv6Unspecified()
			}
			if e.wanted && e.addr.Is4() == (k == isIPv4) {
				out = append(out, value{addr: e.addr})
			}
		}
		return out, nil
	}}
}

func peerPorts(remote, local bool) *field {
	return &field{kind: isNumber, bits: 16, get: func(x *Frame) (out []value, err error) {
		if !x.hasPeer() {
			return nil, nil
		}
		if remote {
			out = append(out, value{number: uint64(x.trailer.High.Remote.Port())})
		}
		if local {
			out = append(out, value{number: uint64(x.trailer.High.Local.Port())})
		}
		return out, nil
	}}
}
