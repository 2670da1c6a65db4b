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

// crosses says whether the way from the f5 to a pool member leads over a place.
func crosses(spec *topology.Spec, member, place string) bool {
	return slices.Contains(spec.Path(topology.F5, member), place)
}

// Plan returns the connections that faults per connection or per tuple will hit,
// by request; predictable says whether there are only such faults, and the proxy is
// ours and reads requests: another one chooses source ports and members as it likes.
// It needs no privilege and runs nothing.
func (c *Config) Plan() (planned []Planned, predictable bool, err error) {
	if err := c.Validate(); err != nil {
		return nil, false, err
	}
	spec, err := c.Spec()
	if err != nil {
		return nil, false, err
	}
	proxy := c.proxy()
	predictable = true
	for i := range c.Faults {
		f := &c.Faults[i]
		if !c.readsRequests() && f.Probability != 0 || f.Per == fault.PerPacket && f.Probability != 0 && f.Probability != 1 {
			predictable = false
			continue
		}
		reached := map[int]bool{}
		for m, member := range proxy.Pool.Members {
			reached[m] = crosses(&spec, member.Name, f.At)
		}
		for o := range c.Requests {
			m := proxy.MemberFor(o, 0)
			if reached[m] && c.fate(f, o, client.Port(o), proxy.Pool.Members[m]) {
				planned = append(planned, Planned{Fault: f.Name, Ordinal: o})
			}
		}
	}
	slices.SortStableFunc(planned, func(a, b Planned) int { return a.Ordinal - b.Ordinal })
	return planned, predictable, nil
}

// readsRequests says whether the f5 knows which request it opens a connection for: the
// member follows from that then, and not from the order in which clients arrive.
func (c *Config) readsRequests() bool {
	return c.Proxy == nil && c.F5.VirtualServer.Has(bigip.ProfileHTTP)
}

// planFromFlows names the connections that faults per tuple had to hit and the
// requests that servers had to misbehave at, now that a proxy which chose by other
// than the request has said which there were.
func (f *Facts) planFromFlows() {
	spec, err := f.Config.Spec()
	if err != nil {
		return // it was built, so this cannot be
	}
	for _, flow := range f.Flows {
		for _, m := range f.Config.proxy().Pool.Members {
			for i := range f.Config.Faults {
				x := &f.Config.Faults[i]
				if m.Address == flow.Member && crosses(&spec, m.Name, x.At) && f.hitsFlow(x, flow) {
					f.Planned = append(f.Planned, Planned{Fault: x.Name, Ordinal: flow.Ordinal, Attempt: flow.Attempt})
				}
			}
		}
	}
	slices.SortStableFunc(f.Planned, func(a, b Planned) int { return a.Ordinal - b.Ordinal })
}

// hitsFlow says whether a flow was to be hit. Servers are told of no attempt.
func (f *Facts) hitsFlow(x *fault.Fault, flow *bigip.Flow) bool {
	if x.Acts() {
		return flow.Ordinal >= 0 && x.Fate(f.Config.Seed, flow.Ordinal, 0)
	}
	return x.Per == fault.PerTuple && x.TupleFate(f.Config.Seed, fault.Tuple(flow.SNAT, flow.Member))
}

func (c *Config) fate(f *fault.Fault, ordinal int, clientPort uint16, m bigip.Member) bool {
	switch f.Per {
	case fault.PerTuple:
		snat := netip.AddrPortFrom(c.proxy().SNAT.SelfIP, bigip.SNATPort(clientPort))
		return f.TupleFate(c.Seed, fault.Tuple(snat, m.Address))
	case fault.PerPacket:
		return f.Probability == 1
	}
	return f.Fate(c.Seed, ordinal, 0)
}
