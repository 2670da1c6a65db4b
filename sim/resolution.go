package sim

import (
	"net/netip"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// resolvedAt are the addresses of which a tap counts who asks for them and who tells: at
// the firewall's face to the servers all of theirs, at a server its own, since a switch
// gives a question to everybody.
func (r *run) resolvedAt(node, face string) (all []netip.Addr) {
	for _, m := range r.facts.Config.servers() {
		if len(r.resolutions) > 0 && (m.Name == node || node == topology.Firewall && face == topology.Downstream) {
			all = append(all, m.Address.Addr())
		}
	}
	return all
}

// balanceResolution sets up the balances of questions and answers between the firewall and
// the servers, of which faults of resolution have dropped some.
func (f *Facts) balanceResolution() {
	unheard := map[string]uint64{} // by place and class
	resolves := false
	for _, r := range f.Reports {
		if r.Fault.Resolves() {
			resolves = true
			at := r.Fault.At
			if r.Fault.IsLink() {
				at = "link"
			}
			unheard[at+" "+string(r.Fault.Match)] += r.Unheard
		}
	}
	if !resolves {
		return
	}
	type counts struct{ asks, asked, tells, told uint64 }
	seen := map[string]counts{}
	for _, c := range f.Captures {
		for i, n := range c.Counts {
			if len(c.Point.Taps[i].Resolved) > 0 {
				seen[c.Point.Hop] = counts{n.OutWhoHas, n.InWhoHas, n.OutIsAt, n.InIsAt}
			}
		}
	}
	down, s1, s2 := seen[topology.Firewall], seen[topology.Server1], seen[topology.Server2]
	const stretch = "link:firewall-servers"
	f.Balances = append(f.Balances,
		Balance{stretch, fault.ToServer, string(fault.WhoHas), down.asks, s1.asked + s2.asked, unheard["link who-has"], 0},
		Balance{stretch, fault.ToClient, string(fault.IsAt), s1.tells + s2.tells, down.told, unheard["link is-at"], 0})
	for _, name := range []string{topology.Server1, topology.Server2} {
		s := seen[name]
		f.Balances = append(f.Balances, Balance{name, fault.ToServer, string(fault.WhoHas), s.asked, s.tells, unheard[name+" who-has"], 0})
	}
}
