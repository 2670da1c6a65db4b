package observe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// Renumber gives every IPv4 address another one of 198.18.0.0/15, the same in all
// captures, in interface descriptions and trailers too: what is left of captures
// that were made anonymous. Addresses of one /24 stay in one /24, since masks in
// interface descriptions must go on meaning the same. Content stays as it is.
type Renumber struct{ Seed uint64 }

// Name implements [Fault].
func (a Renumber) Name() string { return "addresses renumbered" }

func (a Renumber) String() string { return fmt.Sprintf("addresses renumbered (seed %d)", a.Seed) }

// Apply implements [Fault].
func (a Renumber) Apply(c *Captures) {
	n := newRenumbering(a.Seed)
	c.change(nil, func(p *Capture) {
		for i := range p.Interfaces {
			var moved []netip.Prefix
			for _, x := range p.Interfaces[i].Addresses {
				moved = append(moved, netip.PrefixFrom(n.addr(x.Addr()), x.Bits()))
			}
			p.Interfaces[i].Addresses = moved
		}
		p.rewrite(func(f Frame) Frame {
			f.Data = n.frame(f.Data, f.WireLength)
			return f
		})
	})
	before := c.Addresses
	c.Addresses = n.known
	for old, now := range before { // renumbered twice
		c.Addresses[old] = n.addr(now)
	}
}

// renumbering maps addresses as they are met.
type renumbering struct {
	r     *rand.Rand
	nets  map[[3]byte][3]byte
	taken map[[3]byte]bool
	hosts []int // permutation of the last byte; 0 and 255 stay
	known map[netip.Addr]netip.Addr
}

func newRenumbering(seed uint64) *renumbering {
	r := Random(seed)
	n := &renumbering{r: r, nets: map[[3]byte][3]byte{}, taken: map[[3]byte]bool{}, known: map[netip.Addr]netip.Addr{}}
	n.hosts = append(append([]int{0}, r.Perm(254)...), 255)
	for i := 1; i < 255; i++ {
		n.hosts[i]++
	}
	return n
}

// addr returns an address's new one; IPv6 and the unspecified address stay.
func (n *renumbering) addr(a netip.Addr) netip.Addr {
	if !a.Is4() || a.IsUnspecified() {
		return a
	}
	if to, ok := n.known[a]; ok {
		return to
	}
	b := a.As4()
	from := [3]byte(b[:3])
	to, ok := n.nets[from]
	for !ok {
		to = [3]byte{198, byte(18 + n.r.IntN(2)), byte(n.r.IntN(256))}
		ok = !n.taken[to] && to != from
	}
	n.nets[from], n.taken[to] = to, true
	n.known[a] = netip.AddrFrom4([4]byte{to[0], to[1], to[2], byte(n.hosts[b[3]])})
	return n.known[a]
}

// frame returns a frame with other addresses and checksums as right as before.
func (n *renumbering) frame(frame []byte, wire int) []byte {
	ether, at, ok := network(frame)
	if ok && ether == etherARP {
		out := bytes.Clone(frame)
		for _, a := range []int{at + 14, at + 24} { // RFC 826: sender, target
			if len(out) >= a+4 {
				n.put(out, a)
			}
		}
		return out
	}
	l, ok := Locate(frame)
	if !ok || l.V6 {
		return frame
	}
	out := bytes.Clone(frame)
	var sums []int
	if l.Protocol == protoTCP {
		sums = []int{l.Next + 16} // its pseudo header holds the addresses
	}
	n.header(out, l.IP, sums...)
	if inner := l.Next + 8; l.Protocol == protoICMP && len(out) >= inner+20 && out[l.Next] == 3 {
		n.header(out, inner) // address and checksum cancel out in the ICMP checksum
	}
	if start, _, ok := f5trailer.Find(out, wire); ok {
		n.trailer(out[start:])
	}
	return out
}

// header renumbers an IPv4 header.
func (n *renumbering) header(b []byte, at int, sums ...int) {
	for _, a := range []int{at + 12, at + 16} {
		n.put(b, a, append(sums, at+10)...)
	}
}

func (n *renumbering) put(b []byte, at int, sums ...int) {
	to := n.addr(netip.AddrFrom4([4]byte(b[at:]))).As4()
	change(b, at, to[:], sums...)
}

// trailer renumbers the peer's addresses, which are IPv4-mapped (RFC 4291
// §2.5.5.2) wherever they stand.
func (n *renumbering) trailer(b []byte) {
	mapped := binary.BigEndian.AppendUint16(make([]byte, 10), 0xffff)
	for {
		i := bytes.Index(b, mapped)
		if i < 0 || len(b) < i+16 {
			return
		}
		to := n.addr(netip.AddrFrom4([4]byte(b[i+12:]))).As4()
		copy(b[i+12:], to[:])
		b = b[i+16:]
	}
}
