package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// A segment whose time stamp is older than one that its receiver has had of the connection
// is taken for an old duplicate: the receiver acknowledges what it has, and throws it away
// (PAWS, RFC 7323 §5; net/ipv4/tcp_input.c, tcp_validate_incoming). No rule of ours does
// that: the kernel does, and counts what it has thrown away.

// validateBackdating reports a fault on time stamps that nobody sends.
func validateBackdating(f *fault.Fault, proxy *bigip.Config) error {
	if !f.Backdates() || *proxy.Clientside.WithDefaults().Timestamps && *proxy.Serverside.WithDefaults().Timestamps {
		return nil
	}
	return fmt.Errorf("fault %s: tsval %d: with timestamps: false in the f5's tcp profile no packet has a time stamp", f.Name, f.TSval)
}

// outdated reads how many segments the kernels of all ends have thrown away for an old time
// stamp; 0 where no fault makes any.
func (r *run) outdated() (n uint64, err error) {
	if !slices.ContainsFunc(r.facts.Config.Faults, func(x fault.Fault) bool { return x.Backdates() }) {
		return 0, nil
	}
	for _, node := range []string{topology.Client, topology.F5, topology.Server1, topology.Server2} {
		counters, err := r.lab.Host(node).Netstat()
		if err != nil {
			return 0, err
		}
		n += counters["TcpExt.PAWSEstab"]
	}
	return n, nil
}

// inTransit is how long a busy machine may take to bring a packet from a wire's log to its
// receiver.
const inTransit = time.Second

// checkOutdated compares what the ledger has of old time stamps with what the kernels of
// their receivers say. Where other faults take packets, or change their order, some of them
// do not get there, or others are old by themselves. What comes to a receiver that has
// closed the connection is in no counter (net/ipv4/tcp_minisocks.c,
// tcp_timewait_state_process).
func (f *Facts) checkOutdated(bad func(string, ...any)) {
	var sent, late uint64
	backdated := map[string]bool{}
	for _, r := range f.Reports {
		switch {
		case r.Fault.Backdates():
			sent += r.Counter
			backdated[r.Fault.Name] = true
		case !r.Fault.Acts() && r.Counter > 0:
			return
		}
	}
	for _, h := range f.Ledger {
		if end := f.ended(&h); backdated[h.Fault] && !end.IsZero() && h.Time.After(end.Add(-inTransit)) {
			late++
		}
	}
	if f.outdated > sent || f.outdated < sent-min(late, sent) {
		bad("%d packets were given an old time stamp, the kernels of their receivers have thrown away %d for it", sent, f.outdated)
	}
}

// ended is when client or f5 gave up the connection of a hit; zero: they did not.
func (f *Facts) ended(h *Hit) time.Time {
	switch {
	case h.Flow != nil:
		return h.Flow.Closed
	case h.Ordinal >= 0 && h.Ordinal < len(f.Requests) && f.Requests[h.Ordinal].Outcome.Failed():
		return f.Requests[h.Ordinal].End
	}
	return time.Time{}
}
