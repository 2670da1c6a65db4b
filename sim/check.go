package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Balance compares what went into a stretch of the way with what came out, as
// the captures saw it, and with what the ledger says was dropped there.
type Balance struct {
	Where     string // a node or a link
	Direction string // "to-server" or "to-client"
	In, Out   uint64 // TCP segments
	Ledger    uint64 // of them, dropped by faults there
}

// Holds says whether nothing is missing but what faults took.
func (b Balance) Holds() bool { return b.In-b.Out == b.Ledger }

// join finds the request of every packet in the ledger: the flow of the proxy
// that had the packet's addresses at its time.
func (f *Facts) join() {
	type tuple struct{ source, destination netip.AddrPort }
	flows := map[tuple][]*bigip.Flow{}
	for _, flow := range f.Flows {
		t := tuple{flow.SNAT, flow.Member}
		flows[t] = append(flows[t], flow)
	}
	for _, report := range f.Reports {
		for _, e := range report.Entries {
			h := Hit{Entry: e, Ordinal: -1}
			// Only the latest flow that was open by then can be meant: a
			// tuple is never used twice at once.
			for _, flow := range flows[tuple{e.Source, e.Destination}] {
				if !flow.Opened.After(e.Time) {
					h.Flow, h.Ordinal, h.Attempt = flow, flow.Ordinal, flow.Attempt
				}
			}
			f.Ledger = append(f.Ledger, h)
		}
	}
	slices.SortStableFunc(f.Ledger, func(a, b Hit) int { return a.Time.Compare(b.Time) })
}

// balance sets up one balance for each stretch between two captures and each
// direction, whether a fault is there or not: a packet that nobody took must
// come out.
func (f *Facts) balance() {
	type face struct{ in, out uint64 }
	seen := map[string]face{}
	for _, c := range f.Captures {
		for i, tap := range c.Point.Taps {
			seen[c.Point.Hop+"/"+tap.Interface] = face{c.Counts[i].In, c.Counts[i].Out}
		}
	}
	external, internal := seen["f5/external"], seen["f5/internal"]
	user, up, down := seen["client/eth0"], seen["firewall/feth11"], seen["firewall/feth10"]
	s1, s2 := seen["server1/eth0"], seen["server2/eth0"]
	stretch := func(where string, toServerIn, toServerOut, toClientIn, toClientOut uint64, places ...string) {
		f.Balances = append(f.Balances,
			Balance{where, "to-server", toServerIn, toServerOut, f.counted(places...)},
			Balance{where, "to-client", toClientIn, toClientOut, 0})
	}
	stretch("link:client-f5", user.out, external.in, external.out, user.in, "link:client-f5")
	stretch("link:f5-firewall", internal.out, up.in, up.out, internal.in, "link:f5-firewall")
	stretch("firewall", up.in, down.out, down.in, up.out, "firewall")
	stretch("link:firewall-servers", down.out, s1.in+s2.in, s1.out+s2.out, down.in,
		"link:firewall-switch", "link:switch-server1", "link:switch-server2")
	for _, s := range []struct {
		name string
		in   uint64
	}{{topology.Server1, s1.in}, {topology.Server2, s2.in}} {
		f.Balances = append(f.Balances, Balance{s.name, "to-server", s.in, f.segments[s.name], f.counted(s.name)})
	}
}

// counted sums the kernel's counters of the faults at some places.
func (f *Facts) counted(places ...string) (n uint64) {
	for _, r := range f.Reports {
		if slices.Contains(places, r.Fault.At) {
			n += r.Counter
		}
	}
	return n
}

// Check compares plan, ledger, counters and captures. It returns why the run is
// INVALID, one sentence each; nothing if it is valid. An analyzer must not be
// judged by an invalid run.
func (f *Facts) Check() []string {
	problems := slices.Clone(f.problems)
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, c := range f.Captures {
		if c.Dropped > 0 {
			bad("capture %s lost %d packets: the machine was too busy; repeat with fewer requests in flight", c.Point.Name(), c.Dropped)
		}
	}
	for _, r := range f.Reports {
		if n := uint64(len(r.Entries)); n != r.Counter {
			bad("fault %s: the kernel dropped %d packets, the ledger holds %d", r.Fault.Name, r.Counter, n)
		}
		f.checkPlan(r.Fault, bad)
	}
	for _, b := range f.Balances {
		if !b.Holds() {
			bad("%s, %s: %d segments went in and %d came out, the ledger accounts for %d", b.Where, b.Direction, b.In, b.Out, b.Ledger)
		}
	}
	f.checkHits(bad)
	f.checkRequests(bad)
	return problems
}

// checkPlan compares the connections a fault was to hit with those in the ledger.
func (f *Facts) checkPlan(x fault.Fault, bad func(string, ...any)) {
	if x.Per == fault.PerPacket {
		return
	}
	type connection struct{ ordinal, attempt int }
	hit, shadowed, planned := map[connection]bool{}, map[connection]bool{}, map[connection]bool{}
	for _, h := range f.Ledger {
		if h.Fault == x.Name {
			hit[connection{h.Ordinal, h.Attempt}] = true
		} else {
			shadowed[connection{h.Ordinal, h.Attempt}] = true
		}
	}
	for _, p := range f.Planned {
		c := connection{p.Ordinal, p.Attempt}
		if p.Fault != x.Name {
			continue
		}
		planned[c] = true
		if !hit[c] && !shadowed[c] {
			bad("fault %s: request %d was to be hit and was not", x.Name, p.Ordinal)
		}
	}
	for c := range hit {
		if !planned[c] {
			bad("fault %s: request %d was hit and was not to be", x.Name, c.ordinal)
		}
	}
}

// checkHits sees that every packet of the ledger has a request, and that every
// retry of a connection hit per connection is in the ledger.
func (f *Facts) checkHits(bad func(string, ...any)) {
	perFlow := map[*bigip.Flow]int{}
	strangers := 0
	for _, h := range f.Ledger {
		if h.Flow == nil {
			strangers++
			continue
		}
		perFlow[h.Flow]++
	}
	if strangers > 0 {
		bad("the ledger holds %d packets of no connection of the f5", strangers)
	}
	if slices.ContainsFunc(f.Config.Faults, func(x fault.Fault) bool { return x.Per == fault.PerPacket }) {
		return
	}
	for flow, n := range perFlow {
		if n != flow.Tries {
			bad("request %d: the f5 sent %d SYNs, the ledger holds %d", flow.Ordinal, flow.Tries, n)
		}
	}
}

// checkRequests sees that nothing failed that no fault had touched.
func (f *Facts) checkRequests(bad func(string, ...any)) {
	touched := map[int]bool{}
	for _, h := range f.Ledger {
		touched[h.Ordinal] = true
	}
	unexplained, example := 0, client.Record{}
	for _, r := range f.Requests {
		if r.Outcome == client.OK {
			continue
		}
		if r.Outcome == client.Local {
			bad("request %d could not be sent: %s", r.Ordinal, r.Detail)
		} else if !touched[r.Ordinal] {
			if unexplained++; unexplained == 1 {
				example = r
			}
		}
	}
	if unexplained > 0 {
		bad("%d requests failed that no fault had touched, the first is %d (%s %s)", unexplained, example.Ordinal, example.Outcome, example.Detail)
	}
}
