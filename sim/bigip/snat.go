package bigip

import (
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/sim/ports"
)

// SNAT says which source address serverside connections have (source address
// translation).
type SNAT struct {
	SelfIP netip.Addr   `yaml:"-"` // of the serverside VLAN
	Type   SNATType     `yaml:"type"`
	Pool   []netip.Addr `yaml:"members"` // of a snatpool
	// Ports is how many source ports each address has for a member; 0 means all. A
	// BIG-IP has about 64,000 and no such setting: it is there to exhaust them sooner.
	Ports int `yaml:"ports"`
}

// SNATType is the kind of source address translation.
type SNATType string

// The kinds. The zero value means automap.
const (
	Automap  SNATType = "automap"  // the self IP of the VLAN towards the member
	SNATPool SNATType = "snatpool" // the address with the fewest connections
	NoSNAT   SNATType = "none"     // the client's own address
)

func (s *SNAT) validate(bad report) {
	oneOf(bad, "type", s.Type, Automap, SNATPool, NoSNAT)
	if (s.Type == SNATPool) != (len(s.Pool) > 0) {
		bad("members: a snatpool has some, and nothing else has")
	}
	notNegative(bad, "ports", s.Ports)
}

// translation chooses source addresses and ports. It belongs to the loop's thread.
type translation struct {
	SNAT
	sourcePort SourcePort
	addresses  []netip.Addr
	count      []int // connections of each address
	// Ports in use, by source and member; kept only where they are few.
	used map[translated]bool
}

type translated struct{ source, member netip.AddrPort }

func newTranslation(c *Config) translation {
	t := translation{SNAT: c.SNAT, sourcePort: c.VirtualServer.SourcePort, addresses: []netip.Addr{c.SNAT.SelfIP}}
	if c.SNAT.Type == SNATPool {
		t.addresses = c.SNAT.Pool
	}
	t.count = make([]int, len(t.addresses))
	if c.SNAT.Ports > 0 {
		t.used = map[translated]bool{}
	}
	return t
}

// choose returns the source of a connection, or why there is none.
func (t *translation) choose(client, member netip.AddrPort) (netip.AddrPort, Event) {
	if t.Type == NoSNAT {
		return client, 0
	}
	at := -1
	for i, a := range t.addresses {
		if sameFamily(a, member.Addr()) && (at < 0 || t.count[i] < t.count[at]) {
			at = i
		}
	}
	if at < 0 {
		return netip.AddrPort{}, NoTranslation
	}
	port := SNATPort(client.Port())
	if t.sourcePort == Preserve {
		port = client.Port()
	}
	source := netip.AddrPortFrom(t.addresses[at], port)
	if t.used != nil {
		source = t.free(source, member)
	}
	if !source.IsValid() {
		return source, PortsExhausted
	}
	t.count[at]++
	return source, 0
}

// free returns the next source whose port is not in use, of as many as there are.
func (t *translation) free(source, member netip.AddrPort) netip.AddrPort {
	first := ports.Index(source.Port()) % t.Ports
	for i := range t.Ports {
		s := netip.AddrPortFrom(source.Addr(), ports.At((first+i)%t.Ports))
		if !t.used[translated{s, member}] {
			t.used[translated{s, member}] = true
			return s
		}
	}
	return netip.AddrPort{}
}

// another returns a source to try when one turns out to be in use; none where all the
// ports there are have been counted.
func (t *translation) another(source, _ netip.AddrPort) netip.AddrPort {
	if t.used != nil || t.Type == NoSNAT {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(source.Addr(), SNATPort(source.Port()))
}

// release ends what choose began.
func (t *translation) release(source, member netip.AddrPort) {
	delete(t.used, translated{source, member})
	if i := slices.Index(t.addresses, source.Addr()); i >= 0 {
		t.count[i]--
	}
}
