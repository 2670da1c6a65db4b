package sim

import (
	"net/netip"

	"github.com/hopblame/hopblame/sim/fault"
)

// checkProbes sees that each fault per tuple has hit those of the monitor's connections
// that it had to hit: they belong to no request, and faults meet them all the same. One
// that was not hit is excused if another fault has hit it.
func (f *Facts) checkProbes(bad func(string, ...any)) {
	if len(f.Probes) == 0 {
		return
	}
	type tuple struct{ from, to netip.AddrPort }
	hit := map[tuple]map[string]bool{}
	for _, h := range f.Ledger {
		if h.Monitor {
			from, to := h.Ends()
			t := tuple{from, to}
			if hit[t] == nil {
				hit[t] = map[string]bool{}
			}
			hit[t][h.Fault] = true
		}
	}
	spec, err := f.Config.Spec()
	if err != nil {
		return // it was built, so this cannot be
	}
	proxy := f.Config.proxy()
	for i := range f.Config.Faults {
		x := &f.Config.Faults[i]
		if x.Per != fault.PerTuple {
			continue
		}
		reached := map[netip.AddrPort]bool{}
		for _, m := range proxy.Pool.Members {
			reached[m.Address] = crosses(&spec, m.Name, x.At)
		}
		spared, surplus := 0, 0
		for _, p := range f.Probes {
			fated := reached[p.Member] && x.TupleFate(f.Config.Seed, fault.Tuple(p.Source, p.Member))
			by := hit[tuple{p.Source, p.Member}]
			switch {
			case fated && len(by) == 0 && (x.Match == fault.SYN || x.Match == fault.SYNACK): // of data there may be none
				spared++
			case !fated && by[x.Name]:
				surplus++
			}
		}
		if spared > 0 || surplus > 0 {
			bad("fault %s: it was to hit %d connections of the monitor and did not, and hit %d that it was not to", x.Name, spared, surplus)
		}
	}
}
