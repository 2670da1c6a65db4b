package sim

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// validateActor reports an actor's fault that nobody can be told of, or that has no
// meaning in what the client speaks.
func (c *Config) validateActor(f *fault.Fault) error {
	atClient := f.At == topology.Client
	switch {
	case !f.Acts():
	case atClient && c.Send != nil:
		return fmt.Errorf("fault %s: do %q: somebody else's client cannot be told", f.Name, f.Do)
	case !atClient && c.Server != nil:
		return fmt.Errorf("fault %s: do %q: somebody else's server cannot be told", f.Name, f.Do)
	case atClient:
		return client.Check(f, c.Protocol)
	}
	return nil
}

// validateNeverRead reports a server that never reads where no request is too large for its
// receive window, and a fault of large packets on the way to it: into a small window there
// are none.
func (c *Config) validateNeverRead(f *fault.Fault) error {
	switch {
	case f.Do != fault.NeverRead || f.Probability == 0:
		return nil
	case c.LargeRequests == 0:
		return fmt.Errorf("fault %s: do %q: no request is too large for the receive window; say how many are, such as large-requests: 0.01 of traffic", f.Name, f.Do)
	}
	for i := range c.Faults {
		if other := &c.Faults[i]; other.Match == fault.LargeData {
			return fmt.Errorf("fault %s: do %q: its receive window lets nobody send packets as large as fault %s hits; take one of them out", f.Name, f.Do, other.Name)
		}
	}
	return nil
}

// validateProtocol sees that the virtual server understands the client.
func (c *Config) validateProtocol() error {
	if c.Proxy != nil || c.Send != nil {
		return nil
	}
	needs := map[client.Protocol][]bigip.Profile{
		client.HTTPS: {bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL},
		client.HTTP2: {bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL, bigip.ProfileHTTP2},
	}[c.Protocol]
	if !c.Protocol.Secure() && c.F5.VirtualServer.Has(bigip.ProfileClientSSL) {
		return fmt.Errorf("traffic: protocol %s: the virtual server expects TLS, for it has a client-ssl profile; say https, or h2 with an http2 profile",
			cmp.Or(c.Protocol, client.HTTP))
	}
	for _, p := range needs {
		if p != bigip.ProfileTCP && !c.F5.VirtualServer.Has(p) {
			return fmt.Errorf("traffic: protocol %s: the virtual server has no %s profile; write f5: {virtual-server: {profiles: %s}}",
				c.Protocol, p, strings.ReplaceAll(fmt.Sprint(needs), " ", ", "))
		}
	}
	return nil
}

// perConnection is how many requests share a connection.
func (c *Config) perConnection() int {
	return cmp.Or(c.RequestsPerConnection, c.Protocol.PerConnection())
}
