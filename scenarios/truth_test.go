package scenarios

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func drop(name, place string) fault.Fault {
	return fault.Fault{Name: name, At: place, Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: fault.PerConnection, Probability: 0.5}
}

func TestAFaultsPlaceIsNamedTheWayTheCapturesCanTellIt(t *testing.T) {
	for _, row := range []struct {
		name, place string
		want        []Pair
	}{
		{"a node that forwards drops what it was given", "firewall", []Pair{{"firewall", analyzer.SYNDropped}}},
		{"a link between two captured nodes is itself", "link:f5-firewall", []Pair{{"link:f5-firewall", analyzer.SYNDropped}}},
		{"a link to the uncaptured switch is a segment to each server", "link:firewall-switch",
			[]Pair{{"link:firewall-server1", analyzer.SYNDropped}, {"link:firewall-server2", analyzer.SYNDropped}}},
		{"a link behind the switch is a segment to its server", "link:switch-server1", []Pair{{"link:firewall-server1", analyzer.SYNDropped}}},
		{"and so is the other", "link:switch-server2", []Pair{{"link:firewall-server2", analyzer.SYNDropped}}},
		{"a server that drops has not answered", "server1", []Pair{{"server1", analyzer.NoAnswer}}},
		{"and so the other", "server2", []Pair{{"server2", analyzer.NoAnswer}}},
		{"a link that the client's connections cross is itself", "link:client-f5", []Pair{{"link:client-f5", analyzer.SYNDropped}}},
		{"a response that is lost on it", "response on link:client-f5", []Pair{{"link:client-f5", analyzer.ResponseDropped}}},
		{"an answer that is lost behind the switch is lost on the segment", "syn-ack on link:firewall-switch",
			[]Pair{{"link:firewall-server1", analyzer.SYNAckDropped}, {"link:firewall-server2", analyzer.SYNAckDropped}}},
		{"an answer that a node does not forward", "syn-ack on firewall", []Pair{{"firewall", analyzer.SYNAckDropped}}},
		{"data that a node does not forward", "data on firewall", []Pair{{"firewall", analyzer.DataDropped}}},
		{"a response that a cable loses", "response on link:switch-server2", []Pair{{"link:firewall-server2", analyzer.ResponseDropped}}},
		{"an ACK that a node does not forward", "ack on firewall", []Pair{{"firewall", analyzer.AckDropped}}},
		{"a SYN that a node rejects", "reject on firewall", []Pair{{"firewall", analyzer.Rejected}}},
		{"a server that rejects a SYN has its port closed", "reject on server2", []Pair{{"server2", analyzer.PortClosed}}},
		{"a server that resets", "reset on server2", []Pair{{"server2", analyzer.AppReset}}},
		{"a server that dies is seen to reset", "die on server1", []Pair{{"server1", analyzer.AppReset}}},
		{"a server that breaks off", "cut-response on server1", []Pair{{"server1", analyzer.AppTruncated}}},
		{"a server that reads nothing", "never-read on server1", []Pair{{"server1", analyzer.ZeroWindow}}},
		{"a server that says nothing", "stay-silent on server1", []Pair{{"server1", analyzer.AppSilent}}},
		{"a server that says it too late", "answer-slowly on server1", []Pair{{"server1", analyzer.AppSilent}}},
		{"a server that cannot", "answer-error on server1", []Pair{{"server1", analyzer.AppError}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
				f := drop("f", row.place)
				if what, place, ok := strings.Cut(row.place, " on "); ok {
					f.At = place
					switch what {
					case "reject":
						f.Do = fault.Reject
					case "data", "ack":
						f.Match = fault.Match(what)
					case "syn-ack", "response":
						f.Match, f.Direction = fault.Match(what), fault.ToClient
					default:
						f.Do, f.Match, f.Direction = fault.Do(what), "", ""
					}
				}
				c := sim.Config{Family: family, Faults: []fault.Fault{f}}
				spec, err := c.Spec() // with the middle that the fault needs
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(row.want, truthPairs(&f, &spec)); diff != "" {
					t.Errorf("%s: want - got +\n%s", family, diff)
				}
			}
		})
	}
}

func TestEveryBehaviourHasACause(t *testing.T) {
	for _, do := range fault.Behaviours(topology.Server1) {
		if c := deeds[do]; !c.Valid() {
			t.Errorf("%s is %q to an analyzer", do, c)
		}
	}
	for _, do := range fault.Behaviours(topology.Client) {
		own := map[fault.Do]analyzer.Cause{fault.Abort: analyzer.ClientAbort, fault.GiveUp: analyzer.ClientAbort, fault.DistrustCertificate: analyzer.TLSFailure}
		if c := deeds[do]; c != own[do] {
			t.Errorf("%s is %q to an analyzer, want %q; what the f5 ends is for the f5 to tell", do, c, own[do])
		}
	}
}

func TestEveryPlaceAFaultCanBeAtProjectsToAHopOfTheLab(t *testing.T) {
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	known := hops(&spec)
	for _, place := range fault.Places(&spec, fault.SYN) {
		f := drop("f", place)
		for _, p := range truthPairs(&f, &spec) {
			if found := p.validate(&spec, "$"); len(found) > 0 {
				t.Errorf("%s: %v; the hops are %v", place, found, known)
			}
		}
	}
}

// played makes up the facts of a run of four requests: 0 and 2 went to server1,
// 1 and 3 to server2.
func played(faults []fault.Fault, outcomes ...client.Outcome) *sim.Facts {
	f := &sim.Facts{Config: sim.Config{Requests: len(outcomes), Concurrency: 1, Faults: faults}}
	for i, o := range outcomes {
		f.Requests = append(f.Requests, client.Record{Ordinal: i, Local: at(40000 + i), Start: noon, End: noon.Add(250 * time.Millisecond), Outcome: o})
	}
	return f
}

func hit(f *sim.Facts, name string, ordinal int) {
	a := topology.StandardAddresses(topology.IPv4)
	member := a.Server1
	if ordinal%2 == 1 {
		member = a.Server2
	}
	var place string
	for _, x := range f.Config.Drops() {
		if x.Name == name {
			place = x.At
		}
	}
	f.Ledger = append(f.Ledger, sim.Hit{Ordinal: ordinal, Entry: fault.Entry{Fault: name, At: place, Time: noon,
		Source: netip.AddrPortFrom(a.SNAT, 50000), Destination: member}})
}

func TestTruths(t *testing.T) {
	first, second := drop("first", "link:f5-firewall"), drop("second", "firewall")
	behind := drop("behind", "link:firewall-switch")
	type answer struct {
		Primary string // the fault's name; "" for none
		Accept  []Pair
		Packets []int // by fault that hit it
	}
	for _, row := range []struct {
		name    string
		faults  []fault.Fault
		outcome client.Outcome
		ordinal int
		hits    []string
		planned []string
		expect  []Expectation
		want    answer
	}{
		{name: "a request that no fault touched has no culprit", faults: []fault.Fault{second}, outcome: client.Timeout, want: answer{}},
		{name: "one fault is the one to blame, however many packets it took", faults: []fault.Fault{second}, outcome: client.Reset,
			hits: []string{"second", "second", "second"}, planned: []string{"second"},
			want: answer{"second", []Pair{dropped}, []int{3}}},
		{name: "a slow success has no culprit", faults: []fault.Fault{second}, outcome: client.OK, hits: []string{"second"}, planned: []string{"second"},
			want: answer{"", nil, []int{1}}},
		{name: "a fault that an earlier one shadowed is as much to blame", faults: []fault.Fault{first, second}, outcome: client.Reset,
			hits: []string{"first", "first"}, planned: []string{"first", "second"},
			want: answer{"", []Pair{onTheWay, dropped}, []int{2, 0}}},
		{name: "a fault that was not to hit this request is not", faults: []fault.Fault{first, second}, outcome: client.Reset,
			hits: []string{"first"}, planned: []string{"first"},
			want: answer{"first", []Pair{onTheWay}, []int{1}}},
		{name: "a plan alone blames nobody", faults: []fault.Fault{second}, outcome: client.Timeout, planned: []string{"second"}, want: answer{}},
		{name: "two faults that both took packets are both to blame", faults: []fault.Fault{first, second}, outcome: client.Reset,
			hits: []string{"first", "second"}, planned: nil, want: answer{"", []Pair{onTheWay, dropped}, []int{1, 1}}},
		{name: "behind the switch the segment to server1 is meant", faults: []fault.Fault{behind}, outcome: client.Reset, ordinal: 0,
			hits: []string{"behind"}, planned: []string{"behind"},
			want: answer{"behind", []Pair{{"link:firewall-server1", analyzer.SYNDropped}}, []int{1}}},
		{name: "or the segment to server2", faults: []fault.Fault{behind}, outcome: client.Reset, ordinal: 1,
			hits: []string{"behind"}, planned: []string{"behind"},
			want: answer{"behind", []Pair{{"link:firewall-server2", analyzer.SYNDropped}}, []int{1}}},
		{name: "what the scenario accepts as well is accepted as well", faults: []fault.Fault{second}, outcome: client.Reset,
			hits: []string{"second"}, planned: []string{"second"}, expect: []Expectation{{Pair: dropped, Accept: []Pair{nobody}}, {Pair: silent, Accept: []Pair{onTheWay}}},
			want: answer{"second", []Pair{dropped, nobody}, []int{1}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			outcomes := []client.Outcome{client.OK, client.OK, client.OK, client.OK}
			outcomes[row.ordinal] = row.outcome
			facts := played(row.faults, outcomes...)
			for _, h := range row.hits {
				hit(facts, h, row.ordinal)
			}
			for _, p := range row.planned {
				facts.Planned = append(facts.Planned, sim.Planned{Fault: p, Ordinal: row.ordinal})
			}
			all, err := truths(facts, row.expect)
			if err != nil {
				t.Fatal(err)
			}
			tr := all[row.ordinal]
			got := answer{Accept: tr.Accept}
			if tr.Primary != nil {
				got.Primary = tr.Primary.Fault
			}
			for _, f := range tr.Faults {
				got.Packets = append(got.Packets, f.Packets)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			for i, other := range all {
				if i != row.ordinal && (other.Primary != nil || len(other.Faults) > 0) {
					t.Errorf("request %d is blamed on %+v", i, other.Faults)
				}
			}
		})
	}
}

// Foreign clients may send less than they should, and a ledger may hold packets
// of no request: the run is invalid then, and must be able to say so.
func TestTruthsOfABrokenRun(t *testing.T) {
	facts := played([]fault.Fault{drop("second", "firewall")}, client.OK)
	hit(facts, "second", 0)
	facts.Ledger[0].Ordinal = -1
	facts.Ledger = append(facts.Ledger, facts.Ledger[0])
	facts.Ledger[1].Ordinal = 17
	facts.Planned = []sim.Planned{{Fault: "second", Ordinal: 17}}
	if all, err := truths(facts, nil); err != nil || len(all) != 1 {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestATruthAsALine(t *testing.T) {
	facts := played([]fault.Fault{drop("second", "firewall")}, client.Reset, client.OK)
	hit(facts, "second", 0)
	facts.Planned = []sim.Planned{{Fault: "second"}}
	facts.Requests[1].Status = 200
	all, err := truths(facts, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"ordinal":0,"id":"0","client":"198.18.50.88:40000","server":"198.18.50.67:8165","start":"2026-11-22T12:00:00Z","duration_s":0.25,"outcome":"reset",` +
			`"faults":[{"fault":"second","at":"firewall","cause":"syn-dropped","attempt":0,"packets":1}],` +
			`"primary":{"fault":"second","at":"firewall","cause":"syn-dropped"},"accept":[{"hop":"firewall","cause":"syn-dropped"}]}`,
		`{"ordinal":1,"id":"1","client":"198.18.50.88:40001","server":"198.18.50.67:8165","start":"2026-11-22T12:00:00Z","duration_s":0.25,"outcome":"ok","status":200}`,
	} {
		got, err := json.Marshal(&all[i])
		if err != nil || string(got) != want {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}
