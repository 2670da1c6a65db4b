package testkit_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
)

var update = flag.Bool("update", false, "rewrite the golden messages")

var incident = testkit.Catalogue("firewall-drops-syn")[0]

// at is a verdict's answer.
func at(hop string, cause analyzer.Cause) scenarios.Pair {
	return scenarios.Pair{Hop: hop, Cause: cause}
}

// The answers of the stories below.
var (
	right  = at("firewall", analyzer.SYNDropped)
	wrong  = at("server1", analyzer.NoAnswer)
	nobody = at("", analyzer.Inconclusive)
)

// played is a run of the incident of which the requests 17, 18 and so on failed and were
// given these answers.
func played(answers ...scenarios.Pair) *testkit.Result {
	s := incident
	r := &scenarios.Result{Scenario: s.Name, Seed: 7, Valid: true, Played: s, Report: &analyzer.Report{}}
	r.Requests = scenarios.RequestCounts{Sent: 300, OK: 300 - len(answers), Failed: len(answers)}
	r.Settings.Concurrency = 16
	for i, a := range answers {
		id, from := strconv.Itoa(17+i), netip.AddrPortFrom(netip.MustParseAddr("198.18.50.88"), uint16(32785+i))
		v := analyzer.Verdict{Hop: a.Hop, Cause: a.Cause, Outcome: analyzer.Reset, RST: &analyzer.RST{By: "f5", Cause: "TCP retransmit timeout", Peer: true},
			Request: analyzer.RequestRef{ID: id, Client: from.String()},
			Evidence: []analyzer.Evidence{
				{Kind: analyzer.KindFrame, Point: "client/eth0", Frame: uint64(55 + i), What: "the client's SYN"},
				{Kind: analyzer.KindFrame, Point: "firewall/feth11", Frame: uint64(61 + i), What: "SYN, try 1 of 4"},
				{Kind: analyzer.KindAbsence, Point: "firewall/feth10", FromFrame: 1, ToFrame: 1236, What: "no SYN of this connection"},
			}}
		r.Report.Verdicts = append(r.Report.Verdicts, v)
		r.Truths = append(r.Truths, scenarios.Truth{Ordinal: 17 + i, ID: id, Client: from, Outcome: client.Reset,
			Primary: &scenarios.TruthFault{Fault: "syn-drop", At: "firewall", Cause: analyzer.SYNDropped}, Accept: []scenarios.Pair{right}})
	}
	r.Score = scenarios.ScoreVerdicts(r.Truths, r.Report.Verdicts)
	return &testkit.Result{Result: r, Dir: "/tmp/hopblame-spec-p1-1/run",
		Repeat: []string{"hopblame run firewall-drops-syn --seed 7 --requests 300 --concurrency 16", "go test . -ginkgo.seed=1 -ginkgo.focus=' a spec$'"}}
}

// invalid is a run that nobody can be judged by.
func invalid() *testkit.Result {
	r := played(right)
	r.Valid, r.InvalidBecause = false, []string{"firewall, to-server: 400 in − 389 out = 11, and 12 are in the ledger"}
	return r
}

// alarmed is a run with a verdict on a request that did not fail.
func alarmed() *testkit.Result {
	r := played(right, right)
	r.Requests.Failed--
	r.Truths = r.Truths[:1]
	r.Score = scenarios.ScoreVerdicts(r.Truths, r.Report.Verdicts)
	return r
}

func named(name string) *scenarios.Scenario { return testkit.Catalogue(name)[0] }

// message is what an assertion prints; "" if it holds.
func message(assert func(g *gomega.WithT)) (said string) {
	g := gomega.NewGomega(func(m string, _ ...int) { said = m })
	assert(g.(*gomega.WithT))
	return said
}

func TestWhatAMatcherPrintsOfAMiss(t *testing.T) {
	for _, test := range []struct {
		name   string
		got    any
		is     bool // To; else NotTo
		should types.GomegaMatcher
	}{
		{"a run that is not valid", invalid(), true, testkit.BeValid()},
		{"a run that is valid and should not be", played(right), false, testkit.BeValid()},
		{"something else than a run", "a string", true, testkit.BeValid()},
		{"nothing", (*testkit.Result)(nil), true, testkit.Blame("firewall")},

		{"another hop was blamed", played(wrong, wrong), true, testkit.Blame("firewall").For("syn-dropped")},
		{"another cause was blamed", played(at("firewall", analyzer.Rejected)), true, testkit.Blame("firewall").For("syn-dropped")},
		{"some were blamed and not all", played(right, wrong, nobody), true, testkit.Blame("firewall").For("syn-dropped")},
		{"some were blamed and none should be", played(right, wrong, nobody), false, testkit.Blame("firewall").For("syn-dropped")},
		{"all were blamed and none should be", played(right, right), false, testkit.Blame("firewall")},
		{"fewer were blamed than asked for", played(right, wrong, nobody), true, testkit.Blame("firewall").Requests(2)},
		{"a number that does not match", played(right, wrong), true, testkit.Blame("firewall").Requests(gomega.BeNumerically(">", 1))},
		{"less than the share", played(right, wrong, nobody), true, testkit.Blame("firewall").For("syn-dropped").Share(0.9)},
		{"no request failed", played(), true, testkit.Blame("firewall").For("syn-dropped")},
		{"a request that did not fail was blamed on somebody", alarmed(), true, testkit.Blame("firewall").For("syn-dropped")},
		{"a hop that there is not", played(right), false, testkit.Blame("firewal")},
		{"a cause that there is not", played(right), false, testkit.Blame("firewall").For("syn-droped")},
		{"no hop", played(nobody), true, testkit.Blame("")},
		{"a result without verdicts", &scenarios.Result{Scenario: "no-fault", Valid: true}, true, testkit.SolveEveryFailure()},
		{"a share that is none", played(right), true, testkit.Blame("firewall").Share(90)},
		{"blame in a run that is not valid", invalid(), true, testkit.Blame("firewall")},
		{"no blame in a run that is not valid", invalid(), false, testkit.Blame("server1")},

		{"a failure is solved wrongly", played(right, wrong, nobody), true, testkit.SolveEveryFailure()},
		{"a false alarm", alarmed(), true, testkit.SolveEveryFailure()},
		{"nothing to solve", played(), true, testkit.SolveEveryFailure()},
		{"all is solved and should not be", played(right), false, testkit.SolveEveryFailure()},
		{"solved in a run that is not valid", invalid(), true, testkit.SolveEveryFailure()},

		{"not as the scenario expects", played(right, wrong), true, testkit.MatchExpectations(incident)},
		{"right by the truth and not listed", played(right), true, testkit.MatchExpectations(named("server-ignores-syn"))},
		{"somebody is blamed where nobody should be", played(right), true, testkit.MatchExpectations(named("no-fault"))},
		{"nothing failed where something should", played(), true, testkit.MatchExpectations(incident)},
		{"as the scenario expects and should not be", played(right), false, testkit.MatchExpectations(incident)},
		{"no scenario to expect anything", played(right), true, testkit.MatchExpectations(nil)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := message(func(g *gomega.WithT) {
				if test.is {
					g.Expect(test.got).To(test.should)
				} else {
					g.Expect(test.got).NotTo(test.should)
				}
			})
			if got == "" {
				t.Fatal("the assertion holds")
			}
			file := filepath.Join("testdata", strings.ReplaceAll(test.name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got+"\n" != string(want) {
				t.Errorf("run with -update if this is right\ngot\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWhatAMatcherTakesForAHit(t *testing.T) {
	for _, test := range []struct {
		name   string
		got    any
		is     bool
		should types.GomegaMatcher
	}{
		{"a run that is valid", played(right), true, testkit.BeValid()},
		{"a run that is not, where that is asked for", invalid(), false, testkit.BeValid()},
		{"a result without a suite", played(right).Result, true, testkit.BeValid()},
		{"every failure blamed on the hop", played(right, right), true, testkit.Blame("firewall")},
		{"every failure blamed on the hop for the cause", played(right, right), true, testkit.Blame("firewall").For(analyzer.SYNDropped)},
		{"no failure blamed on the hop", played(right, nobody), false, testkit.Blame("f5")},
		{"no failure at all", played(), false, testkit.Blame("f5")},
		{"the number of requests", played(right, wrong), true, testkit.Blame("firewall").Requests(1)},
		{"no request, as a number", played(right, wrong), true, testkit.Blame("f5").Requests(0)},
		{"a number that matches", played(right, right, wrong), true, testkit.Blame("firewall").Requests(gomega.BeNumerically(">", 1))},
		{"the share", played(right, right, nobody), true, testkit.Blame("firewall").For("syn-dropped").Share(0.6)},
		{"every failure solved", played(right, right), true, testkit.SolveEveryFailure()},
		{"one that is not", played(right, nobody), false, testkit.SolveEveryFailure()},
		{"none that could be solved", played(), false, testkit.SolveEveryFailure()},
		{"what the scenario expects", played(right), true, testkit.MatchExpectations(incident)},
		{"nothing, where nothing is expected", played(), true, testkit.MatchExpectations(named("no-fault"))},
		{"what it does not expect", played(wrong), false, testkit.MatchExpectations(incident)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := message(func(g *gomega.WithT) {
				if test.is {
					g.Expect(test.got).To(test.should)
				} else {
					g.Expect(test.got).NotTo(test.should)
				}
			}); got != "" {
				t.Error(got)
			}
		})
	}
}
