package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/hopblame/hopblame/internal/nflog"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/sim/wire"
	"github.com/hopblame/hopblame/topology"
)

// Injector is a fault of packets at work in a lab.
type Injector struct {
	fault  Fault
	seed   uint64
	conn   *nft.Conn
	kernel *nft.Rule
	ledger *nflog.Log
	wire   *wire.Wire // nil where the kernel does it all
	span   *span      // of a fault that has a time

	mu    sync.Mutex
	err   error               // the first arming that failed
	armed map[string]struct{} // tuples that are hit, see Arm
}

// Report is what a fault did.
type Report struct {
	Fault   Fault
	Entries []Entry
	Counter uint64 // packets the kernel says it hit; of an actor's fault, the entries
	Unheard uint64 // questions or answers dropped, of a fault of resolution
	// Wire is what a wire has put on the way for them; Made goes in the direction MadeWay.
	Wire    wire.Counts
	MadeWay Direction
}

// Taken is how many packets the fault has taken from its direction for good.
func (r *Report) Taken() uint64 { return r.Counter - r.Wire.Returned }

// firstLogGroup is the NFLOG group of the first fault; each has its own.
const firstLogGroup = 7

// behindKernel is added to the order of what a wire does. What a wire has put back in the
// middle of a link does not come by the other faults there, so it comes last.
const behindKernel = 100

// Inject puts a fault of packets to work. order is its place among the faults of a lab: no
// two have the same, and of two in one place the lower sees a packet first; those that a
// wire does come behind the others, see [Fault.Before].
func Inject(lab *topology.Lab, f Fault, seed uint64, order int) (*Injector, error) {
	spec := lab.Spec()
	if err := f.Validate(&spec); err != nil {
		return nil, err
	}
	if f.Acts() {
		return nil, fmt.Errorf("fault %s: %s is up to an actor, and no packets are hit", f.Name, f.Do)
	}
	host, place := lab.Host(f.At), nft.Forward
	switch n, _ := spec.Node(f.At); {
	case f.IsLink():
		host, place = lab.Middle(f.At), nft.Bridge
		if host == nil {
			return nil, fmt.Errorf("fault %s: %s has no middle to drop packets in", f.Name, f.At)
		}
	case f.Do == Detour:
		place = nft.Output
	case n.Kind != topology.KindRouter:
		place = nft.Input
	}
	i := &Injector{fault: f, seed: seed, armed: map[string]struct{}{}, span: newSpan()}
	rule := i.rule(place, &spec)
	group := uint16(firstLogGroup + order)
	rule.LogGroup, rule.Order = group, order
	var err error
	open := func() (*nflog.Log, error) { return nflog.Open(host, group) }
	if f.OnWire() {
		if i.wire, err = f.openWire(host, place, rule.IPv6, seed); err != nil {
			return nil, err
		}
		rule.LogBytes, rule.Order = nflog.WholeBytes, order+behindKernel
		open = func() (*nflog.Log, error) { return nflog.OpenWhole(host, group, i.wire.Take) }
	}
	if i.conn, err = nft.Open(host); err != nil {
		return nil, errors.Join(fmt.Errorf("fault %s: %w", f.Name, err), i.closeWire())
	}
	// The ledger first: no packet may be hit unseen.
	if i.ledger, err = open(); err != nil {
		return nil, errors.Join(fmt.Errorf("fault %s: %w", f.Name, err), i.conn.Close(), i.closeWire())
	}
	if i.kernel, err = i.conn.AddRule(rule); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// rule translates the fault. 0 and 1 are exact: no hash and no counter decides.
func (i *Injector) rule(place nft.Place, spec *topology.Spec) nft.RuleSpec {
	f := i.fault
	r := nft.RuleSpec{Name: f.Name, Place: place, IPv6: spec.UsesIPv6(), Segments: classes[f.Match].segments, Answers: f.Direction == ToClient,
		LargerThan: uint32(f.LargerThan), Servers: addressesOf(spec, f.acceptors()), LogBytes: nflog.Bytes, Pick: nft.PickArmed,
		Verdict: f.verdict(), Mark: DetourMark, Over: nft.Rate{Packets: uint64(f.Rate), Burst: uint32(f.burst())}, Timed: f.Timed()}
	switch {
	case f.Per == PerConnection || f.Probability == 0: // an empty set hits nothing
	case f.Probability == 1:
		r.Pick = nft.PickAll
	case f.Per == PerTuple:
		r.Pick, r.Modulus, r.Threshold, r.Seed = nft.PickHash, tupleModulus, f.threshold(), f.hashSeed(i.seed)
	case f.Per == PerPacket:
		hits, block, _ := f.share()
		r.Pick, r.Modulus, r.Numbers = nft.PickNth, block, f.numbers(i.seed, hits, block)
	}
	return r
}

// addressesOf lists the addresses of some nodes.
func addressesOf(spec *topology.Spec, nodes []string) (all []netip.Addr) {
	for _, name := range nodes {
		n, _ := spec.Node(name)
		for _, i := range n.Interfaces {
			for _, p := range i.Addresses {
				all = append(all, p.Addr())
			}
		}
	}
	return all
}

// Fault returns the fault at work.
func (i *Injector) Fault() Fault { return i.fault }

// Arm prepares the fate of one connection; only a fault per connection needs it.
// It must be called before the connection's first packet. The fate holds until the
// tuple's next turn, and not until the connection is over: a wire may bring a SYN, and
// both sides' TCP what they repeat, after the other has given up, and that is hit too.
// A negative ordinal is never hit.
func (i *Injector) Arm(ordinal, attempt int, source, destination netip.AddrPort) {
	i.mu.Lock()
	defer i.mu.Unlock()
	hits := i.hits(ordinal, attempt)
	if !hits && len(i.armed) == 0 {
		return
	}
	tuple := string(nft.Tuple(source, destination))
	_, armed := i.armed[tuple]
	var err error
	switch {
	case hits && !armed:
		i.armed[tuple] = struct{}{}
		err = i.kernel.Arm(source, destination)
	case armed && !hits:
		delete(i.armed, tuple)
		err = i.kernel.Disarm(source, destination)
	}
	if i.err == nil {
		i.err = err
	}
}

func (i *Injector) hits(ordinal, attempt int) bool {
	return i.fault.Per == PerConnection && ordinal >= 0 && i.fault.Fate(i.seed, ordinal, attempt)
}

// Report reads the kernel's counter and waits for the ledger to be complete.
// Call it when the lab is quiet. An error means that the ledger is not to be
// trusted; the report holds what there is.
func (i *Injector) Report(ctx context.Context) (Report, error) {
	counter, err := i.kernel.Count()
	if err != nil {
		return Report{Fault: i.fault}, err
	}
	packets, err := i.ledger.Settle(ctx, counter)
	if err != nil {
		err = fmt.Errorf("fault %s: %w", i.fault.Name, err)
	}
	r := Report{Fault: i.fault, Entries: i.fault.Entries(packets), Counter: counter, MadeWay: i.fault.madeWay()}
	if i.wire != nil {
		var failed error
		if r.Wire, failed = i.wire.Counts(); failed != nil {
			err = errors.Join(err, fmt.Errorf("fault %s: %w", i.fault.Name, failed))
		}
	}
	_, late := i.span.state()
	i.mu.Lock()
	defer i.mu.Unlock()
	return r, errors.Join(err, i.err, late)
}

// Busy says what the fault has still to do, "" for nothing: its time is not over, or its
// wire has packets to put back on their way. It waits for what the kernel has counted to be
// read; what is lost on that way, [Injector.Report] tells.
func (i *Injector) Busy(ctx context.Context) (string, error) {
	if runs, _ := i.span.state(); runs { // an error is told by Report
		return "the time of fault " + i.fault.Name + " to be over", nil
	}
	if i.wire == nil {
		return "", nil
	}
	counter, err := i.kernel.Count()
	if err != nil {
		return "", err
	}
	// A packet is given to the wire before it is in the log.
	_, _ = i.ledger.Settle(ctx, counter)
	if n := i.wire.Held(); n > 0 {
		return fmt.Sprintf("fault %s to send %d packets on", i.fault.Name, n), nil
	}
	return "", nil
}

// Hits is how many packets the fault has hit so far, by the kernel's counter.
func (i *Injector) Hits() (uint64, error) { return i.kernel.Count() }

func (i *Injector) closeWire() error {
	if i.wire == nil {
		return nil
	}
	return i.wire.Close()
}

// Close frees the injector; the fault itself ends with the lab.
func (i *Injector) Close() error {
	i.span.close()
	return errors.Join(i.ledger.Close(), i.closeWire(), i.conn.Close())
}
