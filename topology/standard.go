package topology

import (
	"fmt"
	"net/netip"
)

// Family is the IP version of a lab.
type Family string

// The families. The zero value means IPv4.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// Names of the standard lab's nodes and interfaces, as in the incident.
const (
	Client   = "client"
	F5       = "f5"
	Firewall = "firewall"
	Switch   = "switch"
	Server1  = "server1"
	Server2  = "server2"

	ClientFace = "eth0"
	External   = "external" // the f5's clientside VLAN
	Internal   = "internal" // the f5's serverside VLAN
	Upstream   = "feth11"   // the firewall's client-facing port
	Downstream = "feth10"   // the firewall's server-facing port
	ServerFace = "eth0"
)

// Addresses are the addresses of the standard lab.
type Addresses struct {
	Client           netip.Addr
	VIP              netip.AddrPort // the f5's virtual server
	SNAT             netip.Addr     // what the f5 translates the client to
	Upstream         netip.Addr     // the firewall on feth11
	Downstream       netip.Addr     // the firewall on feth10
	Server1, Server2 netip.AddrPort // the pool members
	Direct           netip.Addr     // the f5 in the servers' network, see [Spec.WithDetour]
}

// StandardAddresses returns the addresses of [Standard]; the last parts are
// those of the incident.
func StandardAddresses(f Family) Addresses {
	at := func(v4, v6 string) netip.Addr {
		if f == IPv6 {
			return netip.MustParseAddr(v6)
		}
		return netip.MustParseAddr(v4)
	}
	return Addresses{
		Client:     at("198.18.50.88", "2001:db8:50::88"),
		VIP:        netip.AddrPortFrom(at("198.18.50.67", "2001:db8:50::67"), 8165),
		SNAT:       at("198.18.60.247", "2001:db8:60::247"),
		Upstream:   at("198.18.60.1", "2001:db8:60::1"),
		Downstream: at("198.18.160.1", "2001:db8:160::1"),
		Server1:    netip.AddrPortFrom(at("198.18.160.81", "2001:db8:160::81"), 8000),
		Server2:    netip.AddrPortFrom(at("198.18.160.82", "2001:db8:160::82"), 8000),
		Direct:     at("198.18.160.247", "2001:db8:160::247"),
	}
}

// Standard returns the lab of the incident: a client, a full proxy, a firewall,
// a switch and two servers.
//
//	client ──── f5 ──── firewall ──── switch ── server1
//	 .50.88  .50.67 VIP   feth11│feth10    │   .160.81
//	         .60.247 SNAT                  └── server2
//	                                           .160.82
func Standard(f Family) (Spec, error) {
	if f == "" {
		f = IPv4
	}
	if f != IPv4 && f != IPv6 {
		return Spec{}, &SpecError{Where: "lab", Why: fmt.Sprintf("family %q: must be ipv4 or ipv6", f)}
	}
	a := StandardAddresses(f)
	bits := 24
	if f == IPv6 {
		bits = 64
	}
	on := func(x netip.Addr) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(x, bits)} }
	net := func(x netip.Addr) netip.Prefix { return netip.PrefixFrom(x, bits).Masked() }

	spec := Spec{
		Nodes: []Node{
			{Name: Client, Interfaces: []Interface{{ClientFace, on(a.Client)}}},
			{Name: F5,
				Interfaces: []Interface{{External, on(a.VIP.Addr())}, {Internal, on(a.SNAT)}},
				Routes:     []Route{{net(a.Server1.Addr()), a.Upstream}}},
			{Name: Firewall, Kind: KindRouter,
				Interfaces: []Interface{{Upstream, on(a.Upstream)}, {Downstream, on(a.Downstream)}}},
			{Name: Switch, Kind: KindBridge,
				Interfaces: []Interface{{"port1", nil}, {"port2", nil}, {"port3", nil}}},
			{Name: Server1, Interfaces: []Interface{{ServerFace, on(a.Server1.Addr())}},
				Routes: []Route{{net(a.SNAT), a.Downstream}}},
			{Name: Server2, Interfaces: []Interface{{ServerFace, on(a.Server2.Addr())}},
				Routes: []Route{{net(a.SNAT), a.Downstream}}},
		},
		Links: []Link{
			{A: Endpoint{Client, ClientFace}, B: Endpoint{F5, External}},
			{A: Endpoint{F5, Internal}, B: Endpoint{Firewall, Upstream}},
			{A: Endpoint{Firewall, Downstream}, B: Endpoint{Switch, "port1"}},
			{A: Endpoint{Switch, "port2"}, B: Endpoint{Server1, ServerFace}},
			{A: Endpoint{Switch, "port3"}, B: Endpoint{Server2, ServerFace}},
		},
	}
	return spec, spec.Validate()
}
