package bigip

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/topology"
)

// Wire adds to the standard lab what a configuration needs of its network: the
// snatpool's addresses on the serverside VLAN or, without SNAT, a way back to the f5 for
// answers to the client's own address, which it takes for its own there. Of the f5's own
// kernel it switches off what the tcp profiles do not have. Call it on a configuration that is
// valid; an error says which address cannot be.
func (c *Config) Wire(spec *topology.Spec) error {
	spec.Nodes = slices.Clone(spec.Nodes)
	f5, _ := spec.Node(topology.F5)
	f5.Interfaces = slices.Clone(f5.Interfaces)
	internal, _ := f5.Interface(topology.Internal)
	if !c.timestamps() {
		f5.Sysctls = maps.Clone(f5.Sysctls)
		if f5.Sysctls == nil {
			f5.Sysctls = map[string]string{}
		}
		f5.Sysctls["net.ipv4.tcp_timestamps"] = "0"
	}
	switch c.SNAT.Type {
	case SNATPool:
		return c.wirePool(spec, internal)
	case NoSNAT:
		self := internal.Addresses[0]
		external, _ := f5.Interface(topology.External)
		clients := external.Addresses[0].Masked()
		wireBack(spec, clients, self.Addr())
		if c.VirtualServer.Type != FastL4 { // which takes frames, and not the kernel's TCP
			f5.Intercepts = append(slices.Clone(f5.Intercepts), topology.Intercept{Interface: topology.Internal, To: clients})
		}
	}
	return nil
}

// wirePool gives the serverside VLAN the snatpool's addresses. One of another family
// is of no use there, and left out.
func (c *Config) wirePool(spec *topology.Spec, internal *topology.Interface) error {
	vlan := internal.Addresses[0]
	taken := map[netip.Addr]string{}
	for _, n := range spec.Nodes {
		for _, i := range n.Interfaces {
			for _, a := range i.Addresses {
				taken[a.Addr()] = n.Name
			}
		}
	}
	internal.Addresses = slices.Clone(internal.Addresses)
	for _, a := range c.SNAT.Pool {
		switch {
		case a == c.SNAT.SelfIP || !sameFamily(a, vlan.Addr()):
			continue
		case !vlan.Contains(a) || a == vlan.Masked().Addr() || !vlan.Contains(a.Next()):
			return fmt.Errorf("f5: snat: members %s: must be an address of the serverside VLAN, %s", a, vlan.Masked())
		case taken[a] != "":
			return fmt.Errorf("f5: snat: members %s: is the address of the %s", a, taken[a])
		}
		internal.Addresses = append(internal.Addresses, netip.PrefixFrom(a, vlan.Bits()))
	}
	return nil
}

// wireBack leads what is for the clients from the servers through the firewall to the
// f5: the servers' route to the f5 is their route to its clients.
func wireBack(spec *topology.Spec, clients netip.Prefix, self netip.Addr) {
	for i := range spec.Nodes {
		n := &spec.Nodes[i]
		routes := slices.Clone(n.Routes)
		for _, r := range n.Routes {
			if n.Name != topology.F5 && r.To.Contains(self) {
				routes = append(routes, topology.Route{To: clients, Via: r.Via})
			}
		}
		if n.Kind == topology.KindRouter {
			routes = append(routes, topology.Route{To: clients, Via: self})
		}
		n.Routes = routes
	}
}
