package bigip

import (
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/internal/eventloop"
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
	seen := map[netip.Addr]bool{}
	for _, a := range s.Pool {
		if seen[a] {
			bad("members %s: is there twice", a)
		}
		seen[a] = true
	}
	switch {
	case s.Ports < 0 || s.Ports > ports.Count:
		bad("ports %d: must be 1 to %d", s.Ports, ports.Count)
	case s.Ports > 0 && s.Type == NoSNAT:
		bad("ports %d: without SNAT they are the client's", s.Ports)
	}
}

// translation chooses source addresses and ports. It belongs to the loop's thread.
type translation struct {
	SNAT
	sourcePort SourcePort
	addresses  []netip.Addr
	count      []int // connections of each address
	// Ports in use, by source and member; kept only where they are few, or where one
	// client's port stands for several requests at once: which of them has a port must be
	// settled before anybody is told that it is dialled from.
	used map[translated]bool
}

type translated struct{ source, member netip.AddrPort }

func newTranslation(c *Config) translation {
	t := translation{SNAT: c.SNAT, sourcePort: c.VirtualServer.SourcePort, addresses: c.SNAT.addresses()}
	t.count = make([]int, len(t.addresses))
	if c.SNAT.Ports > 0 || c.looksInto() {
		t.used = map[translated]bool{}
		t.Ports = orElse(t.Ports, ports.Count)
	}
	return t
}

// addresses are those that members see.
func (s *SNAT) addresses() []netip.Addr {
	if s.Type == SNATPool {
		return s.Pool
	}
	return []netip.Addr{s.SelfIP}
}

// of returns the source port to begin with for a client's.
func (s SourcePort) of(client uint16) uint16 {
	if s == Preserve {
		return client
	}
	return SNATPort(client)
}

// choose returns the source of a connection, or why there is none.
func (t *translation) choose(client, member netip.AddrPort) (netip.AddrPort, Event) {
	if t.Type == NoSNAT {
		return client, 0
	}
	at := t.least(member.Addr())
	if at < 0 {
		return netip.AddrPort{}, NoTranslation
	}
	source := netip.AddrPortFrom(t.addresses[at], t.sourcePort.of(client.Port()))
	if t.used != nil {
		if source = t.free(source, member); !source.IsValid() {
			return source, PortsExhausted
		}
	}
	t.counted(source, +1)
	return source, 0
}

// least returns the index of the address with the fewest connections, of those that
// can talk to a member; -1 if there is none.
func (t *translation) least(member netip.Addr) int {
	at := -1
	for i, a := range t.addresses {
		if sameFamily(a, member) && (at < 0 || t.count[i] < t.count[at]) {
			at = i
		}
	}
	return at
}

// free returns the next source whose port is not in use towards a member, of as many
// as there are, and takes it: of that address or, where all of its ports are in use,
// of another one.
func (t *translation) free(source, member netip.AddrPort) netip.AddrPort {
	first := ports.Index(source.Port()) % t.Ports
	at := slices.Index(t.addresses, source.Addr())
	for k := range t.addresses {
		a := t.addresses[(at+k)%len(t.addresses)]
		for i := range t.Ports {
			key := translated{netip.AddrPortFrom(a, ports.At((first+i)%t.Ports)), member}
			if sameFamily(a, member.Addr()) && !t.used[key] {
				t.used[key] = true
				return key.source
			}
		}
	}
	return netip.AddrPort{}
}

// another returns a source to try in place of one that turns out to be in use outside
// of the proxy's accounts; none if there is none.
func (t *translation) another(source, member netip.AddrPort) netip.AddrPort {
	if t.Type == NoSNAT {
		return netip.AddrPort{}
	}
	next := netip.AddrPortFrom(source.Addr(), SNATPort(source.Port()))
	if t.used != nil {
		next = t.free(source, member) // before source is given back: not the same one
	}
	if next.IsValid() {
		t.release(source, member)
		t.counted(next, +1)
	}
	return next
}

// release ends what choose began.
func (t *translation) release(source, member netip.AddrPort) {
	delete(t.used, translated{source, member})
	t.counted(source, -1)
}

func (t *translation) counted(source netip.AddrPort, by int) {
	if i := slices.Index(t.addresses, source.Addr()); i >= 0 {
		t.count[i] += by
	}
}

// socket returns a socket bound to a source. The client's own address is none of the
// f5's: binding to it needs IP_TRANSPARENT, and its answers come here because the lab
// is wired for it (see [Config.Wire]).
func (t *translation) socket(source netip.AddrPort) (fd int, err error) {
	if t.Type == NoSNAT {
		return eventloop.TransparentTCP(source)
	}
	return eventloop.TCP(source)
}
