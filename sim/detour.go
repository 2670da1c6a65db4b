package sim

import (
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// detours says whether any fault leads connections past the firewall: only then does the
// lab have the way that it leads them.
func (c *Config) detours() bool {
	return slices.ContainsFunc(c.Faults, func(f fault.Fault) bool { return f.Do == fault.Detour })
}

// validateDetour reports a detour that harms nobody, and one that the lab cannot lead.
func (c *Config) validateDetour(f *fault.Fault) error {
	switch {
	case f.Do != fault.Detour:
		return nil
	case !c.Firewall.Stateful():
		return fmt.Errorf("fault %s: do %q: to a firewall that knows of no sessions it is all the same which way a connection takes; give it a table, such as firewall: {timeout-tcp: 1h}", f.Name, f.Do)
	case c.proxy().VirtualServer.Type == bigip.FastL4:
		return fmt.Errorf("fault %s: do %q: a fastl4 virtual server of the lab forwards frames, and has no routes to choose from; it must be standard", f.Name, f.Do)
	}
	return nil
}

// rejoined sums the segments that detours have led past the firewall, if some places are
// where these come back to the usual way.
func (f *Facts) rejoined(places ...string) (n uint64) {
	if !slices.Contains(places, "link:switch-server1") {
		return 0
	}
	for _, r := range f.Reports {
		if r.Fault.Do == fault.Detour {
			n += r.Counter
		}
	}
	return n
}

// answerSoon has the servers give up soon on a connection whose answers do not arrive, as
// giveUpSoon does where these are lost.
func answerSoon(spec *topology.Spec, f *fault.Fault) {
	if f.Do == fault.Detour {
		set(spec, map[string]string{"net.ipv4.tcp_synack_retries": "1"}, topology.Server1, topology.Server2)
	}
}
