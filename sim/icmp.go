package sim

import (
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// aboutICMP says whether any fault makes ICMP errors or takes them. Only then are they
// balanced: a host may say some of its own accord.
func (c *Config) aboutICMP() bool {
	return slices.ContainsFunc(c.Faults, func(x fault.Fault) bool { return x.SaysICMP() || x.Match == fault.ICMP })
}

// sayAll has the kernel say every ICMP error that a fault makes, where they are balanced: as
// shipped it says one a second to each host (icmp_ratelimit, icmp_ratemask of ip-sysctl.rst).
func (c *Config) sayAll(spec *topology.Spec, f *fault.Fault) {
	if f.Answer() != "" && c.aboutICMP() {
		set(spec, map[string]string{
			"net.ipv4.icmp_ratemask": "0",   // of the types that are limited
			"net.ipv6.icmp.ratemask": "127", // likewise, but 0 would be a type; this one is for experiments (RFC 4443 §2.1)
		}, f.TakenAt())
	}
}

// errorsOf are the ICMP errors of a face.
func errorsOf(c capture.Count) (in, out uint64) { return c.InICMP, c.OutICMP }

// segmentsOf are its TCP segments.
func segmentsOf(c capture.Count) (in, out uint64) { return c.In, c.Out }

// said sums the ICMP errors that nodes among some places made for faults, one way, as the
// kernel counted what they answer.
func (f *Facts) said(to fault.Direction, places ...string) (n uint64) {
	for _, r := range f.Reports {
		if r.Fault.Answer() == to && slices.Contains(places, r.Fault.TakenAt()) {
			n += r.Counter
		}
	}
	return n
}

// checkSaid compares the ICMP errors that left each server's face with those that faults
// there had to make; elsewhere the balances do.
func (f *Facts) checkSaid(bad func(string, ...any)) {
	if !f.Config.aboutICMP() {
		return
	}
	for _, c := range f.Captures {
		if name := c.Point.Hop; name == topology.Server1 || name == topology.Server2 {
			if got, want := c.Counts[0].OutICMP, f.said(fault.ToClient, name); got != want {
				bad("%s: it sent %d ICMP errors, the ledger accounts for %d", name, got, want)
			}
		}
	}
}

// provoked says whether, behind a fault on the way to a member, another one makes for a
// request what it acts on: see [fault.Fault.Provokes]. strikes says whether that one hits.
func (c *Config) provoked(f *fault.Fault, member string, strikes func(*fault.Fault) bool) bool {
	var path []string
	for i := range c.Faults {
		x := &c.Faults[i]
		if !x.Provokes(f) || !strikes(x) {
			continue
		}
		if path == nil {
			spec, err := topology.Standard(c.Family)
			if err != nil {
				return false // it was built, so this cannot be
			}
			path = spec.Path(topology.F5, member)
		}
		if slices.Index(path, f.At) < slices.Index(path, x.TakenAt()) {
			return true
		}
	}
	return false
}

// validateProvoked reports a fault that acts on what nobody makes.
func (c *Config) validateProvoked(f *fault.Fault, proxy *bigip.Config) error {
	if !f.Provoked() || f.Probability == 0 || f.Direction != fault.ToClient {
		return nil
	}
	for _, m := range proxy.Pool.Members {
		if c.provoked(f, m.Name, func(*fault.Fault) bool { return true }) {
			return nil
		}
	}
	what := "resets"
	if f.Match == fault.ICMP {
		what = "rejects with an ICMP error"
	}
	return fmt.Errorf("fault %s: match %q: no fault behind %s %s, so there is nothing to hit; add one, or say per: %s", f.Name, f.Match, f.At, what, fault.PerPacket)
}
