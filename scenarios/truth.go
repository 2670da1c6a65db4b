package scenarios

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
)

// Truth is what happened to one request: a line of truth/requests.ndjson.
type Truth struct {
	Ordinal  int            `json:"ordinal"`
	ID       string         `json:"id"` // X-Request-ID
	Client   netip.AddrPort `json:"client"`
	Server   netip.AddrPort `json:"server"`
	Start    time.Time      `json:"start"`
	Duration float64        `json:"duration_s"`
	Outcome  client.Outcome `json:"outcome"`
	Status   int            `json:"status,omitempty"`
	Faults   []TruthHit     `json:"faults,omitempty"`
	// Primary is the fault whose removal alone lets the request succeed; nil
	// if it succeeded, or if there is no one such fault.
	Primary *TruthFault `json:"primary,omitempty"`
	// Accept are the answers that are right, in the captured hops' names.
	Accept []Pair `json:"accept,omitempty"`
}

// TruthFault is a fault at its physical place.
type TruthFault struct {
	Fault string         `json:"fault"`
	At    string         `json:"at"`
	Cause analyzer.Cause `json:"cause"`
}

// TruthHit says how many of a request's packets a fault took.
type TruthHit struct {
	TruthFault
	Attempt int `json:"attempt"`
	Packets int `json:"packets"`
}

// Failed says whether the client saw the request fail.
func (t *Truth) Failed() bool { return t.Outcome.Failed() }

// deeds are what actors do, in the analyzer's words. Most of what a client does is no
// cause by itself: it is the f5 that ends its connection, and the f5's own ledger that
// tells why.
var deeds = map[fault.Do]analyzer.Cause{
	fault.Reset:               analyzer.AppReset,
	fault.Die:                 analyzer.AppReset,
	fault.CutResponse:         analyzer.AppTruncated,
	fault.StaySilent:          analyzer.AppSilent,
	fault.AnswerSlowly:        analyzer.AppSilent, // to a client that does not wait so long
	fault.AnswerError:         analyzer.AppError,
	fault.NeverRead:           analyzer.ZeroWindow,
	fault.Abort:               analyzer.ClientAbort,
	fault.GiveUp:              analyzer.ClientAbort,
	fault.DistrustCertificate: analyzer.TLSFailure,
}

// losses are what is lost on the way.
var losses = map[fault.Match]analyzer.Cause{
	fault.SYN:       analyzer.SYNDropped,
	fault.SYNACK:    analyzer.SYNAckDropped,
	fault.ACK:       analyzer.AckDropped,
	fault.Data:      analyzer.DataDropped,
	fault.LargeData: analyzer.MTUBlackhole,
	fault.Response:  analyzer.ResponseDropped,
}

// causeOf says in the analyzer's words what a fault looks like. In a host its packet
// filter stands behind its capture and before its TCP. "" is what is no cause by itself.
func causeOf(f *fault.Fault, spec *topology.Spec) analyzer.Cause {
	n, isNode := spec.Node(f.At)
	switch inHost := isNode && n.Kind == topology.KindHost; {
	case refusals[f.Name] != "":
		return refusals[f.Name]
	case f.Acts():
		return deeds[f.Do]
	case f.Resolves():
		return analyzer.NeighbourUnresolved
	case f.Do == fault.Detour:
		return analyzer.AsymmetricPath
	case f.Do == fault.Corrupt:
		return analyzer.Corrupted
	case f.Do == fault.InjectRST:
		return analyzer.ResetInjected
	case f.Do == fault.Rewrite && f.Loses():
		return analyzer.Rewritten
	case f.Do == fault.Delay:
		return analyzer.Delayed // if it outlasts somebody's patience
	case !f.Loses():
		return "" // it is late, or there twice, and that is all
	case f.Do == fault.Reject && inHost && !f.SaysICMP():
		return analyzer.PortClosed // the same on the wire
	case f.Do == fault.Reject:
		return analyzer.Rejected
	case f.Match == fault.AfterSYN:
		return analyzer.ListenQueueFull
	case inHost:
		return analyzer.NoAnswer
	}
	return losses[f.Match]
}

// waitedFor says whether a fault is a delay that everybody waits for: no cause of anything.
func waitedFor(c *sim.Config, f *fault.Fault) bool { return f.Do == fault.Delay && !c.Outlasts(f) }

// captured are the nodes that have captures; what lies between two of them is
// one link to an analyzer.
var captured = []string{topology.Client, topology.F5, topology.Firewall, topology.Server1, topology.Server2}

// project names a physical place the way captures can tell it, on the way to a
// pool member: a captured node, or the link between the two nearest ones.
func project(spec *topology.Spec, member, place string) string {
	path := spec.Path(topology.Client, member)
	at := slices.Index(path, place)
	if at < 0 || slices.Contains(captured, place) {
		return place
	}
	near, far := at, at
	for near > 0 && !slices.Contains(captured, path[near]) {
		near--
	}
	for far < len(path)-1 && !slices.Contains(captured, path[far]) {
		far++
	}
	return "link:" + path[near] + "-" + path[far]
}

// Hops lists every hop that a verdict on the scenario can name, in path order: the nodes
// that are captured, and the links between them.
func (s *Scenario) Hops() ([]string, error) {
	c := s.Config(0)
	spec, err := c.Spec()
	if err != nil {
		return nil, err
	}
	return hops(&spec), nil
}

// hops lists every hop that a verdict can name: captured nodes and the links
// between them.
func hops(spec *topology.Spec) (names []string) {
	for _, member := range []string{topology.Server1, topology.Server2} {
		for _, place := range spec.Path(topology.Client, member) {
			if hop := project(spec, member, place); !slices.Contains(names, hop) {
				names = append(names, hop)
			}
		}
	}
	return names
}

// truthPairs are the answers a fault can have, one a pool member it is on the
// way to; none if it is no cause by itself.
func truthPairs(f *fault.Fault, spec *topology.Spec) (pairs []Pair) {
	for _, member := range []string{topology.Server1, topology.Server2} {
		if !slices.Contains(spec.Path(topology.Client, member), f.At) {
			continue
		}
		p := Pair{Hop: project(spec, member, placeOf(f)), Cause: causeOf(f, spec)}
		if p.Cause != "" && !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// truths turns a run's facts into the truth of every request, by ordinal.
func truths(facts *sim.Facts, expect []Expectation) ([]Truth, error) {
	spec, err := facts.Config.Spec()
	if err != nil {
		return nil, err
	}
	faults := map[string]*fault.Fault{}
	for _, f := range facts.Config.Drops() {
		faults[f.Name] = &f
	}
	a := topology.StandardAddresses(facts.Config.Family)
	out := make([]Truth, len(facts.Requests))
	for i, r := range facts.Requests {
		out[i] = Truth{Ordinal: r.Ordinal, ID: strconv.Itoa(r.Ordinal), Client: r.Local, Server: a.VIP,
			Start: r.Start, Duration: r.End.Sub(r.Start).Seconds(), Outcome: r.Outcome, Status: r.Status}
	}
	member := map[int]string{}
	detoured := detouredRequests(facts, faults)
	for _, h := range facts.Ledger {
		if h.Ordinal < 0 || h.Ordinal >= len(out) {
			continue // the run is invalid, and says so
		}
		cause := causeOf(faults[h.Fault], &spec)
		if detoured[h.Ordinal] && h.Fault == string(firewall.NoSessionAnswers) {
			continue // of a session that it could not know
		}
		if cause == "" || waitedFor(&facts.Config, faults[h.Fault]) || tooLate(&h, &facts.Requests[h.Ordinal]) {
			continue
		}
		if h.At != topology.Client && h.At != fault.ClientLink {
			_, server := h.Ends()
			member[h.Ordinal] = nodeOf(server, a)
		}
		if faults[h.Fault].Do == fault.Detour {
			h.At = placeOf(faults[h.Fault])
		}
		if h.Fault == string(firewall.ChallengeACK) {
			h.At = member[h.Ordinal] // that the firewall dropped it is the proof that the server sent it
		}
		out[h.Ordinal].hit(h, cause)
	}
	for _, p := range facts.Planned {
		if p.Ordinal >= len(out) {
			continue // somebody else's client has not sent them all
		}
		t, cause := &out[p.Ordinal], causeOf(faults[p.Fault], &spec)
		if t.Failed() && len(t.Faults) > 0 && cause != "" && !waitedFor(&facts.Config, faults[p.Fault]) {
			// A fault that an earlier one kept from acting is as much to
			// blame: without the earlier one it would have acted.
			t.plan(p, faults[p.Fault], cause)
		}
	}
	addOwn(out, facts)
	for i := range out {
		out[i].judge(&spec, member[i], expect)
	}
	return out, nil
}

func nodeOf(a netip.AddrPort, all topology.Addresses) string {
	if a == all.Server2 {
		return topology.Server2
	}
	return topology.Server1
}

func (t *Truth) hit(h sim.Hit, cause analyzer.Cause) {
	for i := range t.Faults {
		if t.Faults[i].Fault == h.Fault && t.Faults[i].Attempt == h.Attempt {
			t.Faults[i].Packets++
			return
		}
	}
	t.Faults = append(t.Faults, TruthHit{TruthFault{h.Fault, h.At, cause}, h.Attempt, 1})
}

func (t *Truth) plan(p sim.Planned, f *fault.Fault, cause analyzer.Cause) {
	if !slices.ContainsFunc(t.Faults, func(h TruthHit) bool { return h.Fault == p.Fault }) {
		t.Faults = append(t.Faults, TruthHit{TruthFault{f.Name, placeOf(f), cause}, p.Attempt, 0})
	}
}

// judge names the right answers of a failed request.
func (t *Truth) judge(spec *topology.Spec, member string, expect []Expectation) {
	if !t.Failed() || len(t.Faults) == 0 {
		return
	}
	if len(t.Faults) == 1 {
		t.Primary = &t.Faults[0].TruthFault
	}
	for _, f := range t.Faults {
		p := Pair{Hop: project(spec, member, f.At), Cause: f.Cause}
		t.Accept = append(t.Accept, p)
		for _, e := range expect {
			if e.Pair == p {
				t.Accept = append(t.Accept, e.Accept...)
			}
		}
	}
}

// flowTruth is a line of truth/flows.ndjson.
type flowTruth struct {
	Ordinal   int            `json:"ordinal"`
	Attempt   int            `json:"attempt"`
	Client    netip.AddrPort `json:"client"`
	SNAT      netip.AddrPort `json:"snat"`
	Member    netip.AddrPort `json:"member"`
	Opened    time.Time      `json:"opened"`
	Connected *time.Time     `json:"connected"`
	Closed    time.Time      `json:"closed"`
	Tries     int            `json:"syns"`
	Reset     string         `json:"rst_cause,omitempty"`
	Peer      bool           `json:"rst_peer,omitempty"`
}

// ledgerTruth is a line of truth/ledger.ndjson.
type ledgerTruth struct {
	Time        time.Time      `json:"time"`
	Fault       string         `json:"fault"`
	At          string         `json:"at"`
	Source      netip.AddrPort `json:"source"`
	Destination netip.AddrPort `json:"destination"`
	Seq         uint32         `json:"seq"`
	IPID        uint16         `json:"ip_id"`
	Ordinal     int            `json:"ordinal"`
	Attempt     int            `json:"attempt"`
}
