package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/hopblame/hopblame/internal/nflog"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Firewall is a session table at work.
type Firewall struct {
	faults  []fault.Fault // by refusal
	conn    *nft.Conn
	table   *nft.SessionTable
	ledgers []*nflog.Log // by refusal
}

// firstLogGroup is the NFLOG group of the first refusal; those of faults follow behind
// the last.
const firstLogGroup = 1

// afterFaults is the table's place among the rules of the firewall: a packet that a
// fault takes makes no session.
const afterFaults = 1000

// Start puts the session table of a lab's firewall to work, for the connections to some
// servers; c must be stateful and valid. The table itself ends with the lab.
func Start(lab *topology.Lab, c Config, servers []netip.Addr) (_ *Firewall, err error) {
	c = c.withDefaults()
	host, spec := lab.Host(topology.Firewall), lab.Spec()
	f := &Firewall{faults: c.Faults()}
	if f.conn, err = nft.Open(host); err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	// The ledgers first: no packet may be dropped unseen.
	for i := range f.faults {
		l, err := nflog.Open(host, firstLogGroup+uint16(i))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("firewall: %w", err), f.Close())
		}
		f.ledgers = append(f.ledgers, l)
	}
	f.table, err = f.conn.AddSessionTable(nft.SessionTableSpec{Name: "sessions", IPv6: spec.UsesIPv6(), Servers: servers,
		Size: uint32(c.MaxSessions), Idle: c.TimeoutTCP, Held: c.TimeWait, Refuse: c.TupleReuse == Drop, Doubt: c.ChallengeACK == Drop,
		SYNs: nft.Rate{Packets: uint64(c.SYNRate), Burst: uint32(c.SYNBurst)}, Order: afterFaults, LogGroup: firstLogGroup, LogBytes: nflog.Bytes})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("firewall: %w", err), f.Close())
	}
	return f, nil
}

// Report reads the kernel's counters and waits for the ledgers to be complete: one
// report for each of [Config.Faults]. Call it when the lab is quiet. An error means that
// a ledger is not to be trusted; the reports hold what there is.
func (f *Firewall) Report(ctx context.Context) ([]fault.Report, error) {
	var reports []fault.Report
	var errs []error
	for i := range f.faults {
		counter, err := f.table.Count(nft.Refusal(i))
		errs = append(errs, err)
		packets, err := f.ledgers[i].Settle(ctx, counter)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.faults[i].Name, err))
		}
		reports = append(reports, fault.Report{Fault: f.faults[i], Entries: f.faults[i].Entries(packets), Counter: counter})
	}
	return reports, errors.Join(errs...)
}

// Hits is how many packets have been refused so far, one count for each of [Config.Faults].
func (f *Firewall) Hits() ([]uint64, error) {
	counts := make([]uint64, len(f.faults))
	var errs []error
	for i := range f.faults {
		n, err := f.table.Count(nft.Refusal(i))
		counts[i], errs = n, append(errs, err)
	}
	return counts, errors.Join(errs...)
}

// Close frees the firewall; the table itself ends with the lab.
func (f *Firewall) Close() error {
	var errs []error
	for _, l := range f.ledgers {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, f.conn.Close())...)
}
