package sim

import (
	"fmt"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// What is hit between the client and the f5 is a connection of the client's, from the
// port of its request, and its only attempt. No flow of the f5's need ever come of it.

// ofClient says whether an entry of the ledger is of the client's own connection.
func ofClient(e *fault.Entry) bool { return e.At == topology.Client || e.At == fault.ClientLink }

// validateClientside reports a clientside fault that could not be said of one request, or
// whom nobody tells which request a connection is for.
func (c *Config) validateClientside(f *fault.Fault) error {
	switch n := c.perConnection(); {
	case !f.Clientside() || f.Acts():
	case n > 1:
		return fmt.Errorf("fault %s: at %q: %d requests share each of the client's connections there, and what hits one of them is not to be told from what hits all; say requests-per-connection: 1 of traffic", f.Name, f.At, n)
	case c.Send != nil && f.Per == fault.PerConnection:
		return fmt.Errorf("fault %s: per %q: with somebody else's client it must be tuple or packet there", f.Name, f.Per)
	}
	return nil
}

// foreseenClientside says whether it is known before the run which of the client's
// connections a fault will hit: of our own client's it is, whoever proxies.
func (c *Config) foreseenClientside(f *fault.Fault) bool {
	if f.Per == fault.PerTuple {
		return c.Send == nil
	}
	return f.Foreseeable()
}

// plannedClientside names the requests of somebody else's client whose tuples a fault had
// to hit, now that it has said from which ports it sent them.
func (f *Facts) plannedClientside(x *fault.Fault) (planned []Planned) {
	if x.Per != fault.PerTuple {
		return nil
	}
	server := f.Config.batch().Server
	for _, r := range f.Requests {
		if f.Config.has(x, r.Ordinal) && r.Local.IsValid() && x.TupleFate(f.Config.Seed, fault.Tuple(r.Local, server)) {
			planned = append(planned, Planned{Fault: x.Name, Ordinal: r.Ordinal})
		}
	}
	return planned
}

// lastOpened finds the request that a packet of the client's connections is of: the latest
// from the client's address by then, for both ends may repeat what is lost when the request
// is over; -1 if there is none.
func (f *Facts) lastOpened() func(e *fault.Entry) int {
	byClient := f.byClient()
	return func(e *fault.Entry) int {
		from, _ := e.Ends()
		last := client.Record{Ordinal: -1}
		for _, n := range byClient[from] {
			if q := f.Requests[n]; !q.Start.After(e.Time) && !q.Start.Before(last.Start) {
				last = q
			}
		}
		return last.Ordinal
	}
}

// foreignHits counts the packets between client and f5 that were hit and belong to no
// request.
func (f *Facts) foreignHits() (n int) {
	for _, h := range f.Ledger {
		if h.At == fault.ClientLink && h.Ordinal < 0 {
			n++
		}
	}
	return n
}

// clientHooks arms the faults between client and f5.
func (r *run) clientHooks() client.Hooks {
	return client.Hooks{Dialing: func(d client.Dial) {
		for _, i := range r.injectors {
			if x := i.Fault(); x.Clientside() {
				i.Arm(d.Ordinal, 0, d.Local, d.Server)
			}
		}
	}}
}
