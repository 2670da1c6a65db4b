package ground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// seed of the trials: any will do, and the same says the same on every machine.
const seed = 1

// firstPort of the SYNs, one to each.
const firstPort = 20000

// drop sends n SYNs past faults and compares what they were told to hit with what they
// did; in a test of drop itself the two are not the same.
func drop(ctx context.Context, family topology.Family, n int, told, done []fault.Fault) (found string, err error) {
	lab, err := build(ctx, family, done)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	var injectors []*fault.Injector
	var busy []func(context.Context) (string, error)
	defer func() {
		for _, i := range injectors {
			err = errors.Join(err, i.Close())
		}
	}()
	for order, f := range done {
		i, err := fault.Inject(lab, f, seed, order)
		if err != nil {
			return "", err
		}
		injectors, busy = append(injectors, i), append(busy, i.Busy)
	}
	session, err := capture.Start(taps(lab), nowhere, func(error) {})
	if err != nil {
		return "", err
	}
	a := topology.StandardAddresses(family)
	members := []netip.AddrPort{a.Server1, a.Server2}
	begin := time.Now()
	for k := range n {
		from, to := netip.AddrPortFrom(a.SNAT, uint16(firstPort+k)), members[k%2]
		for _, i := range injectors {
			i.Arm(k, 1, from, to)
		}
		if err == nil {
			err = lab.Host(topology.F5).Run(func() error { return eventloop.Knock(from, to) })
		}
	}
	took := time.Since(begin)
	if err == nil {
		err = lab.AwaitQuiet(ctx, busy...)
	}
	results, stopped := session.Stop()
	if err = errors.Join(err, stopped); err != nil {
		return "", err
	}
	return settle(ctx, injectors, expect(lab, a, members, told, n), results, took)
}

// expected is what n SYNs come to: the hits of each fault, and how many pass each tap.
type expected struct {
	n      int
	copies int            // that wires make of them
	hits   []int          // by fault
	passed map[string]int // by point, into it
}

// expect follows each SYN on its way, fault by fault.
func expect(lab *topology.Lab, a topology.Addresses, members []netip.AddrPort, faults []fault.Fault, n int) expected {
	e := expected{n: n, hits: make([]int, len(faults)), passed: map[string]int{}}
	spec := lab.Spec()
	for k := range n {
		from, to := netip.AddrPortFrom(a.SNAT, uint16(firstPort+k)), members[k%2]
		server, there := []string{topology.Server1, topology.Server2}[k%2], 1 // so many of the SYN come along
	way:
		for _, place := range spec.Path(topology.F5, server) {
			if place == topology.Firewall || place == server { // the tap comes before the packet filter
				e.passed[place] += there
			}
			for i := range faults {
				f := &faults[i]
				if f.At != place || !hit(f, k, from, to) {
					continue
				}
				e.hits[i] += there
				if !f.OnWire() {
					break way
				}
				if f.Do == fault.Duplicate {
					e.copies += there
					there *= 2
				}
			}
		}
	}
	for i := range faults { // which packets they are is the kernel's affair; how many is not
		if f := &faults[i]; f.Per == fault.PerPacket {
			e.hits[i] = int(f.Probability*float64(e.passed[f.At]) + 0.5)
			e.passed[topology.Server1], e.passed[topology.Server2] = -1, -1
		}
	}
	return e
}

// hit says whether a fault takes the k-th SYN.
func hit(f *fault.Fault, k int, from, to netip.AddrPort) bool {
	switch f.Per {
	case fault.PerConnection:
		return f.Fate(seed, k, 1)
	case fault.PerTuple:
		return f.TupleFate(seed, fault.Tuple(from, to))
	}
	return false
}

// settle compares the accounts.
func settle(ctx context.Context, injectors []*fault.Injector, want expected, results []capture.Result, took time.Duration) (string, error) {
	var a account
	total, lost, counted, entries, returned := 0, 0, uint64(0), 0, uint64(0)
	for i, injector := range injectors {
		r, err := injector.Report(ctx)
		if err != nil {
			return "", err
		}
		at := injector.Fault().At
		a.same(want.hits[i], r.Counter, "%s: the kernel counted hits", at)
		a.same(want.hits[i], uint64(len(r.Entries)), "%s: the ledger holds hits", at)
		total, counted, entries = total+want.hits[i], counted+r.Counter, entries+len(r.Entries)
		if f := injector.Fault(); f.OnWire() {
			a.same(want.hits[i], r.Wire.Returned, "%s: the wire put packets back", at)
			returned += r.Wire.Returned
		} else {
			lost += want.hits[i]
		}
	}
	arrived := uint64(0)
	for _, r := range results {
		a.same(0, r.Dropped, "tap %s lost frames", r.Point.Name())
		if n := want.passed[r.Point.Hop]; n >= 0 {
			a.same(n, r.Counts[0].InSYN, "tap %s saw SYNs", r.Point.Name())
		}
		if r.Point.Hop != topology.Firewall {
			arrived += r.Counts[0].InSYN
		}
	}
	behind := 0 // hits that the servers' taps have seen
	for i, injector := range injectors {
		if at := injector.Fault().At; at == topology.Server1 || at == topology.Server2 {
			behind += want.hits[i]
		}
	}
	a.same(want.n+want.copies-lost+behind, arrived, "the servers' taps saw SYNs")
	back := ""
	if returned > 0 {
		back = fmt.Sprintf(", put back %s", digits.Group(int(returned)))
	}
	return fmt.Sprintf("%s SYNs in %.2f s: told to hit %s, counted %s, in the ledger %s%s; the taps agree",
		digits.Group(want.n), took.Seconds(), digits.Group(total), digits.Group(int(counted)), digits.Group(entries), back), a.err()
}

// taps are the faces behind the f5 that SYNs come in by.
func taps(lab *topology.Lab) (points []capture.Point) {
	for _, at := range []topology.Endpoint{{Node: topology.Firewall, Interface: topology.Upstream},
		{Node: topology.Server1, Interface: topology.ServerFace}, {Node: topology.Server2, Interface: topology.ServerFace}} {
		points = append(points, capture.Point{Hop: at.Node, Face: at.Interface, Side: capture.Serverside,
			Taps: []capture.Tap{{Host: lab.Host(at.Node), Interface: at.Interface}}})
	}
	return points
}

// nowhere is where captures go that nobody will read.
func nowhere(*capture.Point) (io.WriteCloser, error) { return discard{}, nil }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
