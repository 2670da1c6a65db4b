package sim

import (
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Planned is a connection that a fault is to hit.
type Planned struct {
	Fault            string
	Ordinal, Attempt int
}

// crosses says whether the serverside way, from the f5 to a pool member, leads over a
// place.
func crosses(spec *topology.Spec, member, place string) bool {
	return slices.Contains(spec.Path(topology.F5, member), place)
}

// Plan returns the connections that faults per connection or per tuple will hit,
// by request; predictable says whether that is all that can befall a request, and the
// proxy is ours. Another one chooses source ports and members as it likes, and ours may
// be told to go by what it finds or to turn requests away: see [bigip.Config.Static] and
// [bigip.Config.LetsAllPass]. What a stateful firewall drops is not in the plan: that of
// its limits is chance, and the rest follows from a fault. It needs no privilege and runs nothing.
func (c *Config) Plan() (planned []Planned, predictable bool, err error) {
	if err := c.Validate(); err != nil {
		return nil, false, err
	}
	spec, err := c.Spec()
	if err != nil {
		return nil, false, err
	}
	batch := c.batch()
	proxy := c.proxy()
	turns := proxy.Pool.Turns()
	predictable = (c.Proxy != nil || proxy.LetsAllPass()) && !c.Firewall.Limited()
	for i := range c.Faults {
		f := &c.Faults[i]
		if !c.foreseen(f, &proxy) {
			predictable = predictable && f.Probability == 0
			continue
		}
		reached := map[int]bool{}
		for m, member := range proxy.Pool.Members {
			reached[m] = f.At == topology.Client || f.Clientside() || crosses(&spec, member.Name, f.At)
		}
		for o := range c.Requests {
			if !batch.Sends(o) {
				continue
			}
			m := turns.Member(o, 0)
			if reached[m] && c.fate(f, o, &proxy, m) {
				planned = append(planned, Planned{Fault: f.Name, Ordinal: o})
			}
		}
	}
	slices.SortStableFunc(planned, func(a, b Planned) int { return a.Ordinal - b.Ordinal })
	return planned, predictable, nil
}

// foreseen says whether it is known before the run what a fault will hit.
func (c *Config) foreseen(f *fault.Fault, proxy *bigip.Config) bool {
	switch {
	case f.At == topology.Client:
		return true // it is the client's own doing, whoever proxies
	case f.Clientside():
		return c.foreseenClientside(f)
	case c.Proxy != nil || !proxy.Static():
		return false
	}
	if f.Per == fault.PerTuple {
		_, known := proxy.Source(c.client(0))
		return known && c.perConnection() == 1 // else the f5 looks for other ports
	}
	return f.Foreseeable()
}

// planFromFlows names the connections that faults per connection or per tuple had to
// hit, and the requests that servers had to misbehave at, where that was not foreseen,
// now that the proxy has said which there were.
func (f *Facts) planFromFlows() {
	spec, err := f.Config.Spec()
	if err != nil {
		return // it was built, so this cannot be
	}
	proxy := f.Config.proxy()
	for i := range f.Config.Faults {
		x := &f.Config.Faults[i]
		if f.Config.foreseen(x, &proxy) {
			continue
		}
		if x.Clientside() {
			f.Planned = append(f.Planned, f.plannedClientside(x)...)
			continue
		}
		reached := map[netip.AddrPort]bool{}
		for _, m := range proxy.Pool.Members {
			reached[m.Address] = crosses(&spec, m.Name, x.At)
		}
		for _, flow := range f.Flows {
			if reached[flow.Member] && f.Config.hits(x, flow) {
				f.Planned = append(f.Planned, Planned{Fault: x.Name, Ordinal: flow.Ordinal, Attempt: flow.Attempt})
			}
		}
	}
	slices.SortStableFunc(f.Planned, func(a, b Planned) int { return a.Ordinal - b.Ordinal })
}

// hits says whether a fault has to hit a flow. Servers are told of no attempt.
func (c *Config) hits(f *fault.Fault, flow *bigip.Flow) bool {
	if f.Provoked() && !c.provoked(f, c.memberAt(flow.Member), func(x *fault.Fault) bool { return c.hits(x, flow) }) {
		return false
	}
	switch {
	case !c.has(f, flow.Ordinal):
		return false
	case f.Acts():
		return flow.Ordinal >= 0 && f.Fate(c.Seed, flow.Ordinal, 0)
	case f.Per == fault.PerConnection:
		return flow.Ordinal >= 0 && f.Fate(c.Seed, flow.Ordinal, flow.Attempt)
	case f.Per == fault.PerTuple:
		return f.TupleFate(c.Seed, fault.Tuple(flow.SNAT, flow.Member))
	}
	return false
}

// fate says whether a fault has to hit the first attempt of a request, which goes to a
// member.
func (c *Config) fate(f *fault.Fault, ordinal int, proxy *bigip.Config, member int) bool {
	if !c.has(f, ordinal) {
		return false
	}
	if f.Provoked() && !c.provoked(f, proxy.Pool.Members[member].Name, func(x *fault.Fault) bool { return c.fate(x, ordinal, proxy, member) }) {
		return false
	}
	switch f.Per {
	case fault.PerTuple:
		if f.Clientside() {
			return f.TupleFate(c.Seed, fault.Tuple(c.client(ordinal), c.batch().Server))
		}
		snat, _ := proxy.Source(c.client(ordinal))
		return f.TupleFate(c.Seed, fault.Tuple(snat, proxy.Pool.Members[member].Address))
	case fault.PerPacket:
		return f.Probability == 1
	}
	return f.Fate(c.Seed, ordinal, 0)
}

// has says whether a request has the size that a fault hits.
func (c *Config) has(f *fault.Fault, ordinal int) bool {
	return !ofLarge(f) || ordinal >= 0 && c.large(ordinal)
}

// ofLarge says whether a fault hits large requests only.
func ofLarge(f *fault.Fault) bool { return f.Match == fault.LargeData || f.Do == fault.NeverRead }

// large says whether a request has a body of several packets: by fate, as of a fault
// of that name.
func (c *Config) large(ordinal int) bool {
	choice := fault.Fault{Name: "large-requests", Probability: c.LargeRequests}
	return choice.Fate(c.Seed, ordinal, 0)
}

// memberAt returns the name of the pool member with an address.
func (c *Config) memberAt(address netip.AddrPort) string {
	for _, m := range c.proxy().Pool.Members {
		if m.Address == address {
			return m.Name
		}
	}
	return ""
}

// client returns where a request comes from.
func (c *Config) client(ordinal int) netip.AddrPort {
	return netip.AddrPortFrom(c.batch().Local, client.Port(ordinal))
}
