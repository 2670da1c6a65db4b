package scenarios

import (
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// placeOf is where a fault does its harm. A detour is the f5's to take; it is the firewall
// that refuses the answers, because of it.
func placeOf(f *fault.Fault) string {
	if f.Do == fault.Detour {
		return topology.Firewall
	}
	return f.At
}

// detouredRequests are those of which a connection was led past the firewall: that it drops
// the answers is no fault of its own.
func detouredRequests(facts *sim.Facts, faults map[string]*fault.Fault) map[int]bool {
	requests := map[int]bool{}
	for _, h := range facts.Ledger {
		if f := faults[h.Fault]; f != nil && f.Do == fault.Detour {
			requests[h.Ordinal] = true
		}
	}
	return requests
}
