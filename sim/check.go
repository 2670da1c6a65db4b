package sim

import (
	"fmt"
	"maps"
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
	Direction fault.Direction
	In, Out   uint64 // TCP segments
	Ledger    uint64 // of them, dropped by faults there
}

// Holds says whether nothing is missing but what faults took.
func (b Balance) Holds() bool { return b.In-b.Out == b.Ledger }

// join finds the request of every packet in the ledger: the flow of the proxy
// that had the addresses of the packet's connection at its time.
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
			from, to := e.Ends()
			for _, flow := range flows[tuple{from, to}] {
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
			Balance{where, fault.ToServer, toServerIn, toServerOut, f.counted(fault.ToServer, places...)},
			Balance{where, fault.ToClient, toClientIn, toClientOut, f.counted(fault.ToClient, places...)})
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
		f.Balances = append(f.Balances, Balance{s.name, fault.ToServer, s.in, f.segments[s.name], f.counted(fault.ToServer, s.name)})
	}
}

// counted sums the kernel's counters of the faults at some places, one way.
func (f *Facts) counted(way fault.Direction, places ...string) (n uint64) {
	for _, r := range f.Reports {
		if r.Fault.Direction == way && slices.Contains(places, r.Fault.At) {
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
	f.checkResets(bad)
	f.checkRequests(bad)
	return problems
}

// connection is one attempt of a request.
type connection struct{ ordinal, attempt int }

// some sums up what is wrong with several connections in one sentence.
func some(bad func(string, ...any), wrong []connection, format string, args ...any) {
	// What belongs to no request is counted by checkHits.
	wrong = slices.DeleteFunc(wrong, func(c connection) bool { return c.ordinal < 0 })
	if len(wrong) == 0 {
		return
	}
	slices.SortFunc(wrong, func(a, b connection) int { return a.ordinal - b.ordinal })
	who := fmt.Sprintf("request %d", wrong[0].ordinal)
	if len(wrong) > 1 {
		who = fmt.Sprintf("%d requests, the first is %d", len(wrong), wrong[0].ordinal)
	}
	bad("%s: %s", who, fmt.Sprintf(format, args...))
}

// checkPlan compares the connections a fault was to hit with those in the ledger.
// One that was not hit is excused if an earlier fault kept its packets away.
func (f *Facts) checkPlan(x fault.Fault, bad func(string, ...any)) {
	if x.Per == fault.PerPacket {
		return
	}
	earlier := f.earlierFaults(x)
	hit, shadowed, planned := map[connection]bool{}, map[connection]bool{}, map[connection]bool{}
	for _, h := range f.Ledger {
		c := connection{h.Ordinal, h.Attempt}
		switch {
		case h.Fault == x.Name:
			hit[c] = true
		case earlier[h.Fault]:
			shadowed[c] = true
		}
	}
	var spared, surplus []connection
	for _, p := range f.Planned {
		c := connection{p.Ordinal, p.Attempt}
		if p.Fault != x.Name {
			continue
		}
		planned[c] = true
		if !hit[c] && !shadowed[c] {
			spared = append(spared, c)
		}
	}
	for c := range hit {
		if !planned[c] {
			surplus = append(surplus, c)
		}
	}
	some(bad, spared, "fault %s was to hit it and did not", x.Name)
	some(bad, surplus, "fault %s hit it and was not to", x.Name)
}

// earlierFaults are those that a connection meets before a fault: nearer to the f5
// on the SYN's way out or nearer to the server on its answer's way back, or at the
// same place and listed before it.
func (f *Facts) earlierFaults(x fault.Fault) map[string]bool {
	earlier := map[string]bool{}
	spec, err := f.Config.Spec()
	if err != nil {
		return earlier // it was built, so this cannot be
	}
	for _, member := range f.Config.servers() {
		path := spec.Path(topology.F5, member.Name)
		back := slices.Clone(path)
		slices.Reverse(back)
		at := placeOnTheWay(path, back, x)
		for _, other := range f.Config.Faults {
			if other.Name == x.Name {
				// From here on those at the same place come later.
				at--
				continue
			}
			if place := placeOnTheWay(path, back, other); place >= 0 && place <= at {
				earlier[other.Name] = true
			}
		}
	}
	return earlier
}

// placeOnTheWay says how far along the way out and back a fault is; -1 if it is
// not on it.
func placeOnTheWay(path, back []string, x fault.Fault) int {
	if x.Direction == fault.ToServer {
		return slices.Index(path, x.At)
	}
	if at := slices.Index(back, x.At); at >= 0 {
		return len(path) + at
	}
	return -1
}

// checkHits sees that every packet of the ledger has a request, that every retry
// of a connection whose SYN is hit is in the ledger, and that no connection whose
// SYN-ACK is hit came about.
func (f *Facts) checkHits(bad func(string, ...any)) {
	syns := map[*bigip.Flow]int{}
	answered := map[*bigip.Flow]bool{}
	type stranger struct {
		from, to netip.AddrPort
		seq      uint32
	}
	strangers := map[stranger]int{}
	for _, h := range f.Ledger {
		switch {
		case h.Flow == nil:
			from, to := h.Ends()
			strangers[stranger{from, to, h.Seq}]++
		case h.Direction == fault.ToClient:
			answered[h.Flow] = true
		default:
			syns[h.Flow]++
		}
	}
	if untold := f.untoldAttempts(); len(strangers) != untold {
		bad("the ledger holds packets of %d connections that are none of the f5's flows; there are %d attempts that it did not tell of", len(strangers), untold)
	}
	if slices.ContainsFunc(f.Config.Faults, func(x fault.Fault) bool { return x.Per == fault.PerPacket }) {
		return
	}
	var uneven []connection
	for flow, n := range syns {
		if n != flow.Tries && flow.Tries > 0 {
			uneven = append(uneven, connection{flow.Ordinal, flow.Attempt})
		}
	}
	some(bad, uneven, "the ledger does not hold exactly the SYNs that the f5 sent for it")
	// How many SYN-ACKs there were is the server's affair; the balance has them all.
	var through []connection
	for flow := range answered {
		if !flow.Connected.IsZero() {
			through = append(through, connection{flow.Ordinal, flow.Attempt})
		}
	}
	some(bad, through, "a SYN-ACK reached the f5 though a fault was to take them all")
}

// untoldAttempts are those that the proxy counted and listed no flow of: each must
// have failed for a fault.
func (f *Facts) untoldAttempts() (n int) {
	last, told := map[int]int{}, map[int]int{}
	for _, flow := range f.Flows {
		last[flow.Ordinal] = max(last[flow.Ordinal], flow.Attempt)
		told[flow.Ordinal]++
	}
	for ordinal := range told {
		if ordinal >= 0 {
			n += max(0, last[ordinal]+1-told[ordinal])
		}
	}
	return n
}

// checkRequests sees that nothing failed that no fault had touched.
func (f *Facts) checkRequests(bad func(string, ...any)) {
	touched := map[int]bool{}
	for _, h := range f.Ledger {
		touched[h.Ordinal] = true
	}
	for _, r := range f.Resets {
		if !r.Peer { // else it only passes on what befell the other side
			touched[r.Ordinal] = true
		}
	}
	byHow := map[string][]connection{}
	for _, r := range f.Requests {
		how := fmt.Sprintf("failed (%s %s) though no fault had touched it", r.Outcome, r.Detail)
		switch {
		case r.Outcome == client.OK:
			continue
		case r.Outcome == client.Local:
			how = "could not be sent: " + r.Detail
		case touched[r.Ordinal]:
			continue
		}
		byHow[how] = append(byHow[how], connection{ordinal: r.Ordinal})
	}
	for _, how := range slices.Sorted(maps.Keys(byHow)) {
		some(bad, byHow[how], "%s", how)
	}
}
