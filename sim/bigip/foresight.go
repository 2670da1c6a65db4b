package bigip

import (
	"net/netip"
	"slices"
)

// LetsAllPass says whether the configuration turns no request away by itself: not for a
// limit, a rule or a monitor, or because it has nowhere to send it.
func (c *Config) LetsAllPass() bool {
	v := &c.VirtualServer
	return v.Type != Reject && v.State != Disabled && v.ConnectionLimit == 0 &&
		c.HTTP.MaxHeaderSize == 0 && c.HTTP.MaxHeaderCount == 0 && len(c.Rules) == 0 &&
		c.Pool.open() && c.SNAT.Ports == 0 &&
		(c.SNAT.Type == NoSNAT || slices.ContainsFunc(c.SNAT.addresses(), func(a netip.Addr) bool { return sameFamily(a, v.Destination.Addr()) }))
}

// Static says whether each request that is sent on a connection of its own gets one
// serverside connection, to the member whose turn it is, whatever else is under way.
// Then it can be known before a run where a request will go.
func (c *Config) Static() bool {
	v := &c.VirtualServer
	return c.LetsAllPass() && v.standard() && v.Has(ProfileHTTP) && !v.Has(ProfileOneConnect) && c.Pool.LoadBalancing != LeastConnections
}

// Source returns the source of the serverside connection for a client that has no
// other one; false if it depends on what else is under way.
func (c *Config) Source(client netip.AddrPort) (netip.AddrPort, bool) {
	if c.SNAT.Type == NoSNAT {
		return client, true
	}
	addresses := c.SNAT.addresses()
	if len(addresses) != 1 || !sameFamily(addresses[0], client.Addr()) || c.SNAT.Ports > 0 || c.VirtualServer.Has(ProfileHTTP2) { // which has many requests for one client port
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addresses[0], c.VirtualServer.SourcePort.of(client.Port())), true
}
