package ground

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Trial is one thing to try.
type Trial struct {
	// Of is what wants it, in a scenario's words.
	Of string
	// Needs is what the machine must have for it.
	Needs string
	// Alone says that it measures speed, and wants the machine for itself.
	Alone bool

	run func(ctx context.Context, family topology.Family) (found string, err error)
}

// Run tries it in a lab of a family, and takes the lab down. found has the figures, of a
// trial that failed as far as it got. An error is what the machine lacks or does wrong.
func (t *Trial) Run(ctx context.Context, family topology.Family) (found string, err error) {
	return t.run(ctx, family)
}

// Sizes of trials: enough for a share to show, and for a burst to be one.
const (
	few        = 500
	manySYNs   = 3000
	manyFrames = 20000
)

// What trials are of.
const (
	perTuple      = "per: tuple, at each place at once"
	perConnection = "per: connection"
	perPacket     = "per: packet"
	rejects       = "do: reject"
	wires         = "wires"
	ledger        = "the ledger"
	captures      = "captures"
)

// Needs names, by [Trial.Of], what must be well for a fault that does something to packets.
func Needs(do fault.Do) []string {
	f := fault.Fault{Do: do}
	needs := []string{perTuple, perConnection, ledger, captures}
	switch {
	case f.OnWire():
		needs = append(needs, wires)
	case do == fault.Reject:
		needs = append(needs, rejects)
	case do == fault.Drop:
		needs = append(needs, perPacket)
	}
	return needs
}

// Trials lists what there is to try, by what a scenario's faults are made of.
func Trials() []Trial {
	syn := func(at string, per fault.Per, do fault.Do, probability float64) fault.Fault {
		return fault.Fault{Name: "at-" + strings.ReplaceAll(at, ":", "-"), At: at, Direction: fault.ToServer, Match: fault.SYN, Do: do, Per: per, Probability: probability}
	}
	onWire := func(at string, do fault.Do) fault.Fault {
		f := syn(at, fault.PerTuple, do, 0.2)
		if do == fault.Delay {
			f.After = time.Millisecond
		}
		return f
	}
	drops := func(n int, faults ...fault.Fault) func(context.Context, topology.Family) (string, error) {
		return func(ctx context.Context, family topology.Family) (string, error) {
			return drop(ctx, family, n, faults, faults)
		}
	}
	return []Trial{
		{perTuple, "nf_tables in the hooks forward, input and of bridges; jhash (nft_hash)", false,
			drops(few, syn("link:f5-firewall", fault.PerTuple, fault.Drop, 0.1), syn(topology.Firewall, fault.PerTuple, fault.Drop, 0.1),
				syn("link:firewall-switch", fault.PerTuple, fault.Drop, 0.1), syn("link:switch-server1", fault.PerTuple, fault.Drop, 0.2),
				syn("link:switch-server2", fault.PerTuple, fault.Drop, 0.2), syn(topology.Server1, fault.PerTuple, fault.Drop, 0.3),
				syn(topology.Server2, fault.PerTuple, fault.Drop, 0.3))},
		{perConnection, "sets of nf_tables that change while packets pass", false, drops(few, syn(topology.Firewall, fault.PerConnection, fault.Drop, 0.3))},
		{perPacket, "counting packets (nft_numgen)", false, drops(few, syn(topology.Firewall, fault.PerPacket, fault.Drop, 0.3))},
		{rejects, "nft_reject", false, drops(few, syn(topology.Firewall, fault.PerTuple, fault.Reject, 0.3))},
		{wires, "whole packets from nfnetlink_log, and AF_PACKET sockets that put them back in the middles of links", false,
			drops(few, onWire("link:f5-firewall", fault.Delay), onWire("link:firewall-switch", fault.Delay), onWire("link:switch-server2", fault.Duplicate))},
		{ledger, "nfnetlink_log, and a receive buffer that holds a burst", true, drops(manySYNs, syn(topology.Firewall, fault.PerPacket, fault.Drop, 1))},
		{captures, "AF_PACKET rings (TPACKET_V3) that hold a burst", true, burst},
	}
}

// Unneeding are the parts of scenarios that ask nothing of the machine but a lab.
func Unneeding() []string {
	return []string{"what actors do", "faults of the observer", "what the f5 does"}
}

// build makes a lab whose links have the middles that faults need.
func build(ctx context.Context, family topology.Family, faults []fault.Fault) (*topology.Lab, error) {
	spec, err := topology.Standard(family)
	if err != nil {
		return nil, err
	}
	for i := range faults {
		if faults[i].IsLink() {
			if spec, err = spec.WithMiddle(faults[i].At); err != nil {
				return nil, err
			}
		}
	}
	return topology.Build(ctx, spec)
}

// account compares numbers that ought to be one.
type account struct{ errs []error }

func (a *account) same(want int, got uint64, format string, args ...any) {
	if uint64(want) != got {
		a.errs = append(a.errs, fmt.Errorf(format+": %d, want %d", append(args, got, want)...))
	}
}

func (a *account) err() error { return errors.Join(a.errs...) }
