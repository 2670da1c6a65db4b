package topology

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Servers is the f5's VLAN in the servers' own network, in a lab [Spec.WithDetour].
const Servers = "servers"

// Detour has a node send packets that carry a mark out of another interface than the one its
// routes name, to neighbours there. Who puts the mark on is up to the node's packet filter.
type Detour struct {
	Mark      uint32
	Interface string
	To        netip.Prefix
}

// detourTable is the routing table of a node's first detour; each has its own.
const detourTable = 200

// detour sets up what "ip rule add fwmark 0x200 lookup 200" and "ip route add
// 198.18.160.0/24 dev servers table 200" do.
func (h *Host) detour(d Detour, link netlink.Link, order int) error {
	rule := netlink.NewRule()
	rule.Mark, rule.Table, rule.Family = d.Mark, detourTable+order, unix.AF_INET
	if d.To.Addr().Is6() {
		rule.Family = unix.AF_INET6
	}
	if err := h.nl.RuleAdd(rule); err != nil {
		return fmt.Errorf("rule for what has the mark %#x: %w", d.Mark, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(d.To), Table: rule.Table, Scope: netlink.SCOPE_LINK}
	if err := h.nl.RouteAdd(route); err != nil {
		return fmt.Errorf("route to %s by %s: %w", d.To, d.Interface, err)
	}
	return nil
}

// WithDetour returns a copy of the standard lab s in which the f5 has a leg in the servers'
// network too, past the firewall: what it sends to servers with the mark goes that way. The
// servers' answers come as they always do, by their route through the firewall.
//
//	client ──── f5 ──── firewall ──── switch ──┬── server1
//	             └──────── servers ─────┘      └── server2
func (s Spec) WithDetour(mark uint32) Spec {
	s.Nodes, s.Links = slices.Clone(s.Nodes), slices.Clone(s.Links)
	server, _ := s.Node(Server1)
	vlan := server.Interfaces[0].Addresses[0].Masked()
	a := StandardAddresses(IPv4)
	if vlan.Addr().Is6() {
		a = StandardAddresses(IPv6)
	}
	f5, _ := s.Node(F5)
	// A host's prefix: by a longer one all that the f5 sends to servers would go this way.
	self := netip.PrefixFrom(a.Direct, a.Direct.BitLen())
	f5.Interfaces = append(slices.Clone(f5.Interfaces), Interface{Servers, []netip.Prefix{self}})
	f5.Detours = append(slices.Clone(f5.Detours), Detour{Mark: mark, Interface: Servers, To: vlan})
	bridge, _ := s.Node(Switch)
	bridge.Interfaces = append(slices.Clone(bridge.Interfaces), Interface{"port4", nil})
	s.Links = append(s.Links, Link{A: Endpoint{F5, Servers}, B: Endpoint{Switch, "port4"}, Detour: true})
	return s
}
