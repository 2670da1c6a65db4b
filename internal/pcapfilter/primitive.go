package pcapfilter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// qualifier is what stands before a host, net or port, and what the next one may
// leave out.
type qualifier struct {
	set   bool
	proto string // "" for any
	way   string // src, dst, or, and
	what  string // host, net, port, portrange
}

// ends combines a test of the source and one of the destination.
func (q qualifier) ends(source, destination test) test {
	switch q.way {
	case "src":
		return source
	case "dst":
		return destination
	case "and":
		return func(p *packet) bool { return source(p) && destination(p) }
	}
	return func(p *packet) bool { return source(p) || destination(p) }
}

// primitive compiles a value with the words before it.
func (q qualifier) primitive(t token) (test, error) {
	switch q.what {
	case "port", "portrange":
		if q.proto != "" && q.proto != "tcp" && q.proto != "udp" {
			return nil, t.failed("%s has no ports; tcp and udp have", q.proto)
		}
		from, to, err := ports(t, q.what == "portrange")
		if err != nil {
			return nil, err
		}
		return q.ports(from, to), nil
	}
	if q.proto == "tcp" || q.proto == "udp" || q.proto == "icmp" || q.proto == "icmp6" {
		return nil, t.failed("%s goes with no address; write %s and %s %s", q.proto, q.proto, q.what, t.text)
	}
	network, err := q.prefix(t)
	if err != nil {
		return nil, err
	}
	if network.Addr().Is4() && q.proto == "ip6" || network.Addr().Is6() && (q.proto == "ip" || q.proto == "arp") {
		return nil, t.failed("%s has no such address as %s", q.proto, t.text)
	}
	if network.Addr().Is4() {
		return q.addresses4(network), nil
	}
	return q.addresses6(network), nil
}

// prefix reads a host's address or a network.
func (q qualifier) prefix(t token) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(t.text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if q.what == "host" {
		return netip.Prefix{}, t.unexpected("a host's address; no names are looked up")
	}
	// The first bytes alone stand for a network as well: 198.18 is 198.18.0.0/16.
	if n := strings.Count(t.text, ".") + 1; n < 4 && !strings.Contains(t.text, "/") {
		if a, err := netip.ParseAddr(t.text + strings.Repeat(".0", 4-n)); err == nil {
			return netip.PrefixFrom(a, n*8), nil
		}
	}
	network, err := netip.ParsePrefix(t.text)
	if err != nil {
		return netip.Prefix{}, t.unexpected("a network, such as 198.18.0.0/15")
	}
	if network != network.Masked() {
		return netip.Prefix{}, t.failed("%s has bits beyond its /%d; the network is %s", t.text, network.Bits(), network.Masked())
	}
	return network, nil
}

func (q qualifier) addresses4(network netip.Prefix) test {
	b := network.Addr().As4()
	want, mask := binary.BigEndian.Uint32(b[:]), ones(network.Bits())
	at := func(offset uint32) test {
		if mask == 0 {
			return func(*packet) bool { return true }
		}
		return func(p *packet) bool { return p.load(offset, 4)&mask == want }
	}
	ip := q.ends(at(ip4Source), at(ip4Destination))
	arp := q.ends(at(arpSource), at(arpTarget))
	return func(p *packet) bool {
		return q.proto != "arp" && p.ether(typeIPv4) && ip(p) || q.proto != "ip" && p.ether(typeARP) && arp(p) ||
			q.proto == "" && p.ether(typeRARP) && arp(p)
	}
}

func (q qualifier) addresses6(network netip.Prefix) test {
	b := network.Addr().As16()
	at := func(offset uint32) test {
		return func(p *packet) bool {
			for i := 0; i*32 < network.Bits(); i++ {
				mask := ones(min(32, network.Bits()-i*32))
				if p.load(offset+uint32(i*4), 4)&mask != binary.BigEndian.Uint32(b[i*4:]) {
					return false
				}
			}
			return true
		}
	}
	ends := q.ends(at(ip6Source), at(ip6Destination))
	return func(p *packet) bool { return p.ether(typeIPv6) && ends(p) }
}

// ports reads a port, or a range of them.
func ports(t token, ranged bool) (from, to uint32, err error) {
	if first, last, two := strings.Cut(t.text, "-"); ranged && two {
		a, err := strconv.ParseUint(first, 10, 16)
		b, errToo := strconv.ParseUint(last, 10, 16)
		switch {
		case err != nil || errToo != nil:
			return 0, 0, t.unexpected("two ports, such as 8000-8080")
		case a > b:
			return 0, 0, t.failed("the range %s ends before it begins", t.text)
		}
		return uint32(a), uint32(b), nil
	}
	n, ok := number(t.text)
	if !ok || n > 0xffff {
		return 0, 0, t.unexpected("a port's number, 0 to 65535")
	}
	return n, n, nil
}

func (q qualifier) ports(from, to uint32) test {
	carriers := []uint32{protoTCP, protoUDP, protoSCTP}
	switch q.proto {
	case "tcp":
		carriers = carriers[:1]
	case "udp":
		carriers = carriers[1:2]
	}
	at := func(payload func(*packet) uint32, offset uint32) test {
		return func(p *packet) bool {
			n := p.load(payload(p)+offset, 2)
			return from <= n && n <= to
		}
	}
	ends4 := q.ends(at((*packet).ip4Payload, 0), at((*packet).ip4Payload, 2))
	ends6 := q.ends(at(fixed(ip6Payload), 0), at(fixed(ip6Payload), 2))
	return func(p *packet) bool { return p.ip6(carriers...) && ends6(p) || p.ip4First(carriers...) && ends4(p) }
}

// number reads a number as tcpdump does: decimal, 0x hexadecimal, or octal with a
// leading zero.
func number(s string) (uint32, bool) {
	if strings.Trim(s, "0123456789abcdefABCDEFxX") != "" || len(s) > 1 && (s[1] == 'b' || s[1] == 'B') {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 0, 32)
	return uint32(n), err == nil
}
