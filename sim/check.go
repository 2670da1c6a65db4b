package sim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Balance compares what went into a stretch of the way with what came out, as
// the captures saw it, and with what the ledger says was dropped or rejected there.
type Balance struct {
	Where     string // a node or a link
	Direction fault.Direction
	Of        string // "" is TCP segments; else [ICMPErrors], or the class of a fault of address resolution
	In, Out   uint64 // of them
	Ledger    uint64 // of them, taken by faults there for good
	Made      uint64 // what faults there added, and which came out: RSTs, copies
}

// ICMPErrors is what a balance is of that is of ICMP.
const ICMPErrors = "ICMP errors"

// Holds says whether nothing is missing but what faults took, and nothing is there
// that they have not made.
func (b Balance) Holds() bool { return b.In+b.Made-b.Out == b.Ledger }

// join finds the request of every entry in the ledger: the flow of the proxy that had
// the addresses of the packet's connection at its time, or the client's own connection. An
// actor says itself which request it was.
func (f *Facts) join() {
	type tuple struct{ source, destination netip.AddrPort }
	flows := map[tuple][]*bigip.Flow{}
	for _, flow := range f.Flows {
		t := tuple{flow.SNAT, flow.Member}
		flows[t] = append(flows[t], flow)
	}
	monitors := map[tuple]bool{}
	for _, p := range f.Probes {
		monitors[tuple{p.Source, p.Member}] = true
	}
	clients := f.lastOpened()
	for _, report := range f.Reports {
		for _, e := range report.Entries {
			h := Hit{Entry: e, Ordinal: e.Ordinal}
			if report.Fault.Clientside() {
				h.Ordinal = clients(&e)
				f.Ledger = append(f.Ledger, h)
				continue
			}
			// Only the latest flow that was open by then can be meant: a
			// tuple is never used twice at once.
			from, to := e.Ends()
			h.Monitor = monitors[tuple{from, to}]
			for _, flow := range flows[tuple{from, to}] {
				if !flow.Opened.After(e.Time) {
					h.Flow, h.Attempt = flow, flow.Attempt
					if e.Ordinal < 0 {
						h.Ordinal = flow.Ordinal
					}
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
	f.balanceOf("", segmentsOf)
	if f.Config.aboutICMP() {
		f.balanceOf(ICMPErrors, errorsOf)
	}
	f.balanceResolution()
}

func (f *Facts) balanceOf(what string, count func(capture.Count) (in, out uint64)) {
	type face struct{ in, out uint64 }
	seen := map[string]face{}
	for _, c := range f.Captures {
		for i, tap := range c.Point.Taps {
			in, out := count(c.Counts[i])
			seen[c.Point.Hop+"/"+tap.Interface] = face{in, out}
		}
	}
	external, internal, servers := seen["f5/external"], seen["f5/internal"], seen["f5/servers"]
	user, up, down := seen["client/eth0"], seen["firewall/feth11"], seen["firewall/feth10"]
	s1, s2 := seen["server1/eth0"], seen["server2/eth0"]
	stretch := func(where string, toServerIn, toServerOut, toClientIn, toClientOut uint64, places ...string) {
		addedUp, addedDown := f.added(fault.ToServer, places...)+f.rejoined(places...), f.resets(places...)+f.added(fault.ToClient, places...)
		if what == ICMPErrors {
			addedUp, addedDown = 0, f.said(places...)
		}
		f.Balances = append(f.Balances,
			Balance{where, fault.ToServer, what, toServerIn, toServerOut, f.taken(what, fault.ToServer, places...), addedUp},
			Balance{where, fault.ToClient, what, toClientIn, toClientOut, f.taken(what, fault.ToClient, places...), addedDown})
	}
	stretch("link:client-f5", user.out, external.in, external.out, user.in, "link:client-f5")
	stretch("link:f5-firewall", internal.out+servers.out, up.in, up.out, internal.in, "link:f5-firewall")
	stretch("firewall", up.in, down.out, down.in, up.out, "firewall")
	stretch("link:firewall-servers", down.out, s1.in+s2.in, s1.out+s2.out, down.in,
		"link:firewall-switch", "link:switch-server1", "link:switch-server2")
	if what != "" {
		return // what a stack is given of them is not counted apart
	}
	for _, s := range []struct {
		name string
		in   uint64
	}{{topology.Server1, s1.in}, {topology.Server2, s2.in}} {
		f.Balances = append(f.Balances, Balance{s.name, fault.ToServer, what, s.in, f.segments[s.name], f.taken(what, fault.ToServer, s.name), 0})
	}
}

// taken sums what the faults at some places have taken for good of segments or of ICMP
// errors, one way, as the kernel counted it.
func (f *Facts) taken(what string, way fault.Direction, places ...string) (n uint64) {
	for _, r := range f.Reports {
		if !r.Fault.Acts() && (r.Fault.Match == fault.ICMP) == (what == ICMPErrors) && r.Fault.TakenWay() == way && slices.Contains(places, r.Fault.TakenAt()) {
			if r.Fault.Expires() { // the wire has put it back, and the firewall forwards nothing whose TTL is up
				n += r.Counter
			} else {
				n += r.Taken()
			}
		}
	}
	return n
}

// added sums what the wires of faults at some places have made, one way.
func (f *Facts) added(way fault.Direction, places ...string) (n uint64) {
	for _, r := range f.Reports {
		if r.MadeWay == way && slices.Contains(places, r.Fault.At) {
			n += r.Wire.Made
		}
	}
	return n
}

// resets sums the RSTs with ACK that faults at some places made.
func (f *Facts) resets(places ...string) (n uint64) {
	for _, r := range f.Reports {
		if r.Fault.Resets() && slices.Contains(places, r.Fault.At) {
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
			bad("fault %s: the kernel counted %d packets, the ledger holds %d", r.Fault.Name, r.Counter, n)
		}
		if r.Fault.OnWire() && r.Wire.Returned != r.Counter {
			bad("fault %s: the wire was to put %d packets back and has put back %d", r.Fault.Name, r.Counter, r.Wire.Returned)
		}
		f.checkPlan(r.Fault, bad)
	}
	for _, b := range f.Balances {
		if !b.Holds() {
			bad("%s, %s: %d %s went in and %d came out, the ledger accounts for %d", b.Where, b.Direction, b.In, cmp.Or(b.Of, "segments"), b.Out, b.Ledger)
		}
	}
	f.checkActors(bad)
	f.checkSaid(bad)
	f.checkStrangers(bad)
	f.checkHits(bad)
	f.checkProbes(bad)
	f.checkResets(bad)
	f.checkRequests(bad)
	return problems
}

// connection is one attempt of a request.
type connection struct{ ordinal, attempt int }

// some sums up what is wrong with several connections, however often it is said of
// each, in one sentence.
func some(bad func(string, ...any), wrong []connection, format string, args ...any) {
	// What belongs to no request is counted by checkStrangers.
	wrong = slices.DeleteFunc(wrong, func(c connection) bool { return c.ordinal < 0 })
	if len(wrong) == 0 {
		return
	}
	slices.SortFunc(wrong, func(a, b connection) int { return cmp.Or(a.ordinal-b.ordinal, a.attempt-b.attempt) })
	wrong = slices.Compact(wrong)
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

// earlierFaults are those that keep a connection from meeting a fault, on one way or
// another.
func (f *Facts) earlierFaults(x fault.Fault) map[string]bool {
	earlier := map[string]bool{}
	spec, err := f.Config.Spec()
	if err != nil {
		return earlier // it was built, so this cannot be
	}
	all := f.Config.Drops()
	for _, member := range f.Config.servers() {
		for _, other := range f.Config.earlierOn(spec.Path(topology.Client, member.Name), &x, all) {
			earlier[other.Name] = true
		}
	}
	return earlier
}

// Drops are the faults, and behind them what a stateful firewall drops by itself.
func (c *Config) Drops() []fault.Fault { return slices.Concat(c.Faults, c.Firewall.Faults()) }

// checkActors compares the RSTs that left each actor's face with those that faults
// there had to make. Somebody else's client or server may have reasons of its own.
func (f *Facts) checkActors(bad func(string, ...any)) {
	own := map[string]bool{topology.Client: f.Config.Send == nil,
		topology.Server1: f.Config.Server == nil, topology.Server2: f.Config.Server == nil}
	for _, c := range f.Captures {
		name := c.Point.Hop
		if !own[name] {
			continue
		}
		got, most := c.Counts[0].OutRST, f.resets(name)
		least := most
		if name == topology.Client {
			least -= f.preempted()
		}
		if got < least || got > most {
			bad("%s: it sent %d RSTs that end or refuse a connection, the ledger accounts for %d", name, got, most)
		}
	}
}

// preempted counts the RSTs that a client may have had no occasion for: it waits for the
// response before it sends one, and another fault may have ended the connection by then.
func (f *Facts) preempted() (n uint64) {
	others := map[int]bool{}
	for _, h := range f.Ledger {
		if h.At != topology.Client { // on the way to the f5, too
			others[h.Ordinal] = true
		}
	}
	for _, r := range f.Reports {
		if r.Fault.At != topology.Client || !r.Fault.Resets() {
			continue
		}
		for _, e := range r.Entries {
			if others[e.Ordinal] {
				n++
			}
		}
	}
	return n
}

// checkStrangers sees that every entry of the ledger has a request.
func (f *Facts) checkStrangers(bad func(string, ...any)) {
	type stranger struct {
		from, to netip.AddrPort
		seq      uint32
	}
	strangers := map[stranger]int{}
	for _, h := range f.Ledger {
		// Monitors are for checkProbes, and the client's own connections are no flows.
		if h.Flow == nil && !h.Monitor && !ofClient(&h.Entry) {
			from, to := h.Ends()
			strangers[stranger{from, to, h.Seq}]++
		}
	}
	if foreign := f.foreignHits(); foreign > 0 {
		bad("the ledger holds %d packets of clientside connections that no request was sent on", foreign)
	}
	if untold := f.untoldAttempts(); len(strangers) != untold {
		bad("the ledger holds packets of %d connections that are none of the f5's flows; there are %d attempts that it did not tell of", len(strangers), untold)
	}
}

// checkHits sees, for each class of packets and each behaviour, that a connection
// which was hit was hit as often as it must, and got no further than it can. Of a
// fault per packet nothing of the kind can be said.
func (f *Facts) checkHits(bad func(string, ...any)) {
	faults := map[string]*fault.Fault{}
	for i := range f.Config.Faults {
		faults[f.Config.Faults[i].Name] = &f.Config.Faults[i]
	}
	type once struct { // a fault's doing at a flow
		flow  *bigip.Flow
		fault string
	}
	syns := map[once]int{}
	noted := map[Planned]int{}
	var through, unharmed, again []connection
	last := f.lastAttempts()
	for _, h := range f.Ledger {
		x := faults[h.Fault]
		if h.Flow == nil && !ofClient(&h.Entry) || x == nil || x.Per == fault.PerPacket {
			continue
		}
		c := connection{h.Ordinal, h.Attempt}
		switch {
		case x.Acts():
			deed := Planned{h.Fault, h.Ordinal, h.Attempt}
			if noted[deed]++; noted[deed] > 1 {
				again = append(again, c)
			}
		case h.Flow == nil: // how often the client sends what is lost is its kernel's affair
		case x.Match == fault.SYN:
			syns[once{h.Flow, h.Fault}]++
		// One with another number is as good as any to the f5, until the server resets what it
		// makes of it.
		case x.Match == fault.SYNACK && x.Loses() && x.Do != fault.Rewrite && !h.Flow.Connected.IsZero():
			through = append(through, c)
		}
		if (x.Breaks() || f.Config.Outlasts(x)) && (h.Attempt == last[h.Ordinal] || x.Clientside()) && f.succeeded(h.Ordinal) {
			unharmed = append(unharmed, c)
		}
	}
	var uneven []connection
	// How many SYNs of a flow come to a fault is chance where another takes single ones, or
	// makes more of them.
	chance := slices.ContainsFunc(f.Config.Drops(), func(x fault.Fault) bool {
		return x.Match == fault.SYN && x.Per == fault.PerPacket || x.Do == fault.Duplicate || x.Resolves()
	})
	for at, n := range syns {
		// The answer to another number makes the kernel repeat a SYN at once, before the f5
		// can mark it where the machine is busy (net/ipv4/tcp_input.c,
		// tcp_rcv_synsent_state_process: TCP_TIMEOUT_MIN).
		again := faults[at.fault].Seq != 0 && n > at.flow.Tries
		if n != at.flow.Tries && at.flow.Tries > 0 && !chance && !again {
			uneven = append(uneven, connection{at.flow.Ordinal, at.flow.Attempt})
		}
	}
	some(bad, uneven, "the ledger does not hold exactly the SYNs that the f5 sent for it")
	// How many SYN-ACKs there were is the server's affair; the balance has them all.
	some(bad, through, "a SYN-ACK reached the f5 though a fault was to take them all")
	some(bad, unharmed, "succeeded though a fault had hit it that it cannot survive")
	some(bad, again, "client or server misbehaved at it more than once")
}

// lastAttempts says which attempt of each request was its last.
func (f *Facts) lastAttempts() map[int]int {
	last := map[int]int{}
	for _, flow := range f.Flows {
		last[flow.Ordinal] = max(last[flow.Ordinal], flow.Attempt)
	}
	return last
}

func (f *Facts) succeeded(ordinal int) bool {
	return ordinal >= 0 && ordinal < len(f.Requests) && f.Requests[ordinal].Outcome == client.OK
}

// untoldAttempts are those that the proxy counted and listed no flow of: each must
// have failed for a fault.
func (f *Facts) untoldAttempts() (n int) {
	last, told := f.lastAttempts(), map[int]int{}
	for _, flow := range f.Flows {
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
		case !r.Outcome.Failed():
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
