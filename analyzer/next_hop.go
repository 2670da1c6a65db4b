package analyzer

import (
	"fmt"
	"net"
	"slices"
)

// nextHop is whom a frame is for: the next router, or the host itself. The zero value is
// that of what has no Ethernet header.
type nextHop struct {
	vlan uint16
	mac  [6]byte
}

// maxNextHops bounds how many a destination is remembered to have: routers that share the
// load are few.
const maxNextHops = 8

// nextHop reads it off the packet's frame.
func (p *packet) nextHop(frame []byte) (n nextHop) {
	if p.link == linkEthernet && len(frame) >= len(n.mac) {
		n.vlan = p.vlan
		copy(n.mac[:], frame)
	}
	return n
}

func (n nextHop) String() string {
	s := net.HardwareAddr(n.mac[:]).String()
	if n.vlan != 0 {
		s += fmt.Sprintf(" in VLAN %d", n.vlan)
	}
	return s
}

// leads notes the next hop of a connection to the server that came about.
func (v *serverSeen) leads(n nextHop) {
	if n != (nextHop{}) && len(v.nextHops) < maxNextHops && !slices.Contains(v.nextHops, n) {
		v.nextHops = append(v.nextHops, n)
	}
}

// ledElsewhere tells whether a packet left step p for another next hop than those of good
// connections to its server: what lies behind step p on their way need not have seen it
// then, and is not to blame. That is said of what goes to the server, by a way of its own.
func (v *flowView) ledElsewhere(p int, g *sighting) (settle string, elsewhere bool) {
	s := &v.steps[p]
	id, ok := s.s.names.find(s.server.Addr())
	if !ok || g.next == (nextHop{}) {
		return "", false
	}
	seen := s.s.servers[endpoint{id, s.server.Port()}]
	if seen == nil || len(seen.nextHops) == 0 || len(seen.nextHops) == maxNextHops || slices.Contains(seen.nextHops, g.next) {
		return "", false
	}
	return fmt.Sprintf("captures on the way that the packet took from %s: it left for %s, where those of good connections leave for %s", v.point(p), g.next, seen.nextHops[0]), true
}
