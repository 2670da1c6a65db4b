package scenarios

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/client"
)

var (
	dropped  = Pair{"firewall", analyzer.SYNDropped}
	onTheWay = Pair{"link:f5-firewall", analyzer.SYNDropped}
	silent   = Pair{"server2", analyzer.NoAnswer}
	nobody   = Pair{"", analyzer.Inconclusive}
	noon     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("198.18.50.88"), uint16(port))
}

// failed is the truth of a request that failed for one reason. It is sent from
// the port of its ordinal, as many seconds after noon.
func failed(ordinal int, accept ...Pair) Truth {
	t := Truth{Ordinal: ordinal, ID: strconv.Itoa(ordinal), Client: at(40000 + ordinal), Start: noon.Add(time.Duration(ordinal) * time.Second),
		Outcome: client.Reset, Accept: accept}
	if len(accept) > 0 {
		t.Primary = &TruthFault{Fault: "f", At: accept[0].Hop, Cause: accept[0].Cause}
	}
	return t
}

// ambiguous is a failure with several reasons, none of them the one.
func ambiguous(ordinal int, accept ...Pair) Truth {
	t := failed(ordinal, accept...)
	t.Primary = nil
	return t
}

func succeeded(ordinal int) Truth {
	t := failed(ordinal)
	t.Outcome = client.OK
	return t
}

func fromPort(t Truth, port int) Truth {
	t.Client = at(port)
	return t
}

// named is the verdict on a request that is known by its id.
func named(ordinal int, p Pair) analyzer.Verdict {
	return analyzer.Verdict{Hop: p.Hop, Cause: p.Cause, Request: analyzer.RequestRef{ID: strconv.Itoa(ordinal),
		Client: at(40000 + ordinal).String(), Start: noon.Add(time.Duration(ordinal) * time.Second)}}
}

// addressed is the verdict on a request that is known by its client's address
// and its time alone.
func addressed(port, second int, p Pair) analyzer.Verdict {
	return analyzer.Verdict{Hop: p.Hop, Cause: p.Cause,
		Request: analyzer.RequestRef{Client: at(port).String(), Start: noon.Add(time.Duration(second) * time.Second)}}
}

func TestScore(t *testing.T) {
	type truths = []Truth
	type verdicts = []analyzer.Verdict
	for _, row := range []struct {
		name     string
		truths   truths
		verdicts verdicts
		want     Score
		errors   []string // kind and request
	}{
		{"nothing failed and nothing is said", truths{succeeded(1)}, nil, Score{}, nil},
		{"hop and cause are right", truths{failed(1, dropped)}, verdicts{named(1, dropped)}, Score{Failures: 1, Correct: 1}, nil},
		{"another answer that is listed", truths{failed(1, dropped, onTheWay)}, verdicts{named(1, onTheWay)}, Score{Failures: 1, Acceptable: 1}, nil},
		{"one of two faults that are both to blame", truths{ambiguous(1, dropped, silent)}, verdicts{named(1, dropped)}, Score{Failures: 1, Acceptable: 1}, nil},
		{"the other of the two", truths{ambiguous(1, dropped, silent)}, verdicts{named(1, silent)}, Score{Failures: 1, Acceptable: 1}, nil},
		{"another hop with the right cause", truths{failed(1, dropped)}, verdicts{named(1, onTheWay)}, Score{Failures: 1, Wrong: 1}, []string{"wrong 1"}},
		{"the right hop with another cause", truths{failed(1, dropped)}, verdicts{named(1, Pair{"firewall", analyzer.Rejected})}, Score{Failures: 1, Wrong: 1}, []string{"wrong 1"}},
		{"hop of one and cause of the other", truths{ambiguous(1, dropped, silent)}, verdicts{named(1, Pair{"server2", analyzer.SYNDropped})}, Score{Failures: 1, Wrong: 1}, []string{"wrong 1"}},
		{"inconclusive where it could be known", truths{failed(1, dropped)}, verdicts{named(1, nobody)}, Score{Failures: 1, Inconclusive: 1}, []string{"inconclusive 1"}},
		{"inconclusive where it cannot be known", truths{failed(1, dropped, nobody)}, verdicts{named(1, nobody)}, Score{Failures: 1, Acceptable: 1}, nil},
		{"inconclusive as the right answer", truths{failed(1, nobody)}, verdicts{named(1, nobody)}, Score{Failures: 1, Correct: 1}, nil},
		{"no verdict", truths{failed(1, dropped)}, nil, Score{Failures: 1, Missed: 1}, []string{"missed 1"}},
		{"a verdict on a request there never was", truths{succeeded(1)}, verdicts{named(7, dropped)}, Score{FalseAlarms: 1}, []string{"false-alarm 7"}},
		{"a verdict on a request that went well", truths{succeeded(1)}, verdicts{named(1, dropped)}, Score{FalseAlarms: 1}, []string{"false-alarm 1"}},
		{"an unknown id is not made good by a known address", truths{fromPort(failed(1, dropped), 40007)}, verdicts{named(7, dropped)},
			Score{Failures: 1, Missed: 1, FalseAlarms: 1}, []string{"false-alarm 7", "missed 1"}},
		{"two verdicts on one request, the second is too many", truths{failed(1, dropped)}, verdicts{named(1, dropped), named(1, dropped)},
			Score{Failures: 1, Correct: 1, FalseAlarms: 1}, []string{"false-alarm 1"}},
		{"a failure that no fault explains", truths{failed(1)}, verdicts{named(1, dropped)}, Score{Failures: 1, Wrong: 1}, []string{"wrong 1"}},

		{"without id, by the client's address", truths{failed(1, dropped), failed(2, silent)}, verdicts{addressed(40002, 2, silent), addressed(40001, 1, dropped)},
			Score{Failures: 2, Correct: 2}, nil},
		{"without id, from an address nothing failed at", truths{failed(1, dropped), succeeded(2)}, verdicts{addressed(40002, 2, dropped)},
			Score{Failures: 1, Missed: 1, FalseAlarms: 1}, []string{"false-alarm ", "missed 1"}},
		{"a port that came round, in the order of time", truths{fromPort(failed(1, dropped), 50000), fromPort(failed(9, silent), 50000)},
			verdicts{addressed(50000, 9, silent), addressed(50000, 1, dropped)}, Score{Failures: 2, Correct: 2}, nil},
		{"a port that came round, with clocks hours apart", truths{fromPort(failed(1, dropped), 50000), fromPort(failed(9, silent), 50000)},
			verdicts{addressed(50000, 7209, silent), addressed(50000, 7201, dropped)}, Score{Failures: 2, Correct: 2}, nil},
		{"a port that came round, without times", truths{fromPort(failed(1, dropped), 50000), fromPort(failed(9, silent), 50000)},
			verdicts{{Hop: dropped.Hop, Cause: dropped.Cause, Request: analyzer.RequestRef{Client: at(50000).String()}},
				{Hop: silent.Hop, Cause: silent.Cause, Request: analyzer.RequestRef{Client: at(50000).String()}}}, Score{Failures: 2, Correct: 2}, nil},
		{"a port that came round, one verdict too many", truths{fromPort(failed(1, dropped), 50000)},
			verdicts{addressed(50000, 1, dropped), addressed(50000, 9, dropped)}, Score{Failures: 1, Correct: 1, FalseAlarms: 1}, []string{"false-alarm "}},
		{"one connection's streams, of which some have no verdict: those nearest in time",
			truths{fromPort(failed(1, dropped), 50000), fromPort(failed(4, silent), 50000), fromPort(failed(5, dropped), 50000), fromPort(failed(9, silent), 50000)},
			verdicts{addressed(50000, 4, silent), addressed(50000, 9, silent)}, Score{Failures: 4, Correct: 2, Missed: 2}, []string{"missed 1", "missed 5"}},
		{"and one verdict too many", truths{fromPort(failed(4, silent), 50000), fromPort(failed(9, dropped), 50000)},
			verdicts{addressed(50000, 1, dropped), addressed(50000, 4, silent), addressed(50000, 9, dropped)}, Score{Failures: 2, Correct: 2, FalseAlarms: 1}, []string{"false-alarm "}},
		{"one with its id leaves the other to the address", truths{fromPort(failed(1, dropped), 50000), fromPort(failed(9, silent), 50000)},
			verdicts{addressed(50000, 9, silent), named(1, dropped)}, Score{Failures: 2, Correct: 2}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ScoreVerdicts(row.truths, row.verdicts)
			var errors []string
			for _, e := range got.Errors {
				errors = append(errors, string(e.Kind)+" "+e.ID)
			}
			if diff := cmp.Diff(row.errors, errors); diff != "" {
				t.Errorf("errors, want - got +\n%s", diff)
			}
			got.Errors = nil
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			if clean := len(row.errors) == 0; got.Passed() != clean {
				t.Errorf("passed is %v with errors %v", got.Passed(), row.errors)
			}
		})
	}
}

func TestAFalseAlarmSaysWhyItIsOne(t *testing.T) {
	sent := []Truth{failed(1, dropped), succeeded(2)}
	for _, row := range []struct {
		name     string
		verdicts []analyzer.Verdict
		want     string
	}{
		{"a request that went well, by id", []analyzer.Verdict{named(2, dropped)}, "false-alarm: request 2 (198.18.50.88:40002): got firewall syn-dropped, want no verdict: it did not fail"},
		{"a request that went well, by address", []analyzer.Verdict{addressed(40002, 2, dropped)}, "false-alarm: request of 198.18.50.88:40002: got firewall syn-dropped, want no verdict: it did not fail"},
		{"a second verdict", []analyzer.Verdict{named(1, dropped), named(1, dropped)}, "false-alarm: request 1 (198.18.50.88:40001): got firewall syn-dropped, want no verdict: it has a verdict already"},
		{"a request there never was", []analyzer.Verdict{named(7, dropped)}, "false-alarm: request 7 (198.18.50.88:40007): got firewall syn-dropped, want no verdict: the run has no such request"},
		{"an address without a port", []analyzer.Verdict{{Hop: "firewall", Cause: analyzer.SYNDropped, Request: analyzer.RequestRef{Client: "198.18.50.88"}}},
			"false-alarm: request of 198.18.50.88: got firewall syn-dropped, want no verdict: the run has no such request; a client is ADDRESS:PORT"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := ScoreVerdicts(sent, row.verdicts)
			if got := s.Errors[0].String(); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// Whatever an analyzer says, nothing is counted twice or forgotten.
func TestThePartsOfAScoreAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pairs := []Pair{dropped, onTheWay, silent, nobody, {"", ""}, {"firewall", analyzer.NoAnswer}}
	anyPair := func() Pair { return pairs[rng.IntN(len(pairs))] }
	for round := range 3000 {
		var truths []Truth
		var verdicts []analyzer.Verdict
		failures := 0
		for o := range rng.IntN(12) {
			tr := succeeded(o)
			if rng.IntN(3) > 0 {
				failures++
				tr = ambiguous(o, anyPair(), anyPair())
				if rng.IntN(2) == 0 {
					tr = failed(o, anyPair())
				}
			}
			if rng.IntN(2) == 0 {
				tr = fromPort(tr, 50000+rng.IntN(2))
			}
			truths = append(truths, tr)
		}
		for range rng.IntN(16) {
			v := named(rng.IntN(14), anyPair())
			if rng.IntN(2) == 0 {
				v = addressed([]int{50000, 50001, 40000 + rng.IntN(12)}[rng.IntN(3)], rng.IntN(12), anyPair())
			}
			verdicts = append(verdicts, v)
		}
		s := ScoreVerdicts(truths, verdicts)
		if s.Failures != failures {
			t.Fatalf("round %d: %d failures, want %d", round, s.Failures, failures)
		}
		if sum := s.Correct + s.Acceptable + s.Wrong + s.Inconclusive + s.Missed; sum != s.Failures {
			t.Fatalf("round %d: %d failures, and the parts add up to %d: %s", round, s.Failures, sum, s.String())
		}
		if used := s.Failures - s.Missed + s.FalseAlarms; used != len(verdicts) {
			t.Fatalf("round %d: %d verdicts, and %d of them counted: %s", round, len(verdicts), used, s.String())
		}
		if want := min(maxScoreErrors, s.Wrong+s.Inconclusive+s.Missed+s.FalseAlarms); len(s.Errors) != want {
			t.Fatalf("round %d: %d errors listed, want %d", round, len(s.Errors), want)
		}
	}
}

func TestTheListOfErrorsIsBoundedAndTheWorstComeFirst(t *testing.T) {
	var truths []Truth
	for o := range 2 * maxScoreErrors {
		truths = append(truths, failed(o, dropped))
	}
	s := ScoreVerdicts(truths, []analyzer.Verdict{named(3, nobody), named(99, dropped), named(5, silent)})
	if s.Missed != 2*maxScoreErrors-2 || len(s.Errors) != maxScoreErrors {
		t.Errorf("got %d missed and %d errors, want %d and %d", s.Missed, len(s.Errors), 2*maxScoreErrors-2, maxScoreErrors)
	}
	var kinds []string
	for _, e := range s.Errors[:3] {
		kinds = append(kinds, string(e.Kind))
	}
	if diff := cmp.Diff([]string{"wrong", "false-alarm", "missed"}, kinds); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	want := ScoreError{Kind: "wrong", ID: "5", Request: "198.18.50.88:40005", Want: []Pair{dropped}, Got: &silent}
	if diff := cmp.Diff(want, s.Errors[0]); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func ExampleScore_String() {
	s := ScoreVerdicts([]Truth{failed(1, dropped), failed(2, dropped)}, []analyzer.Verdict{named(1, dropped), named(2, nobody)})
	fmt.Println(s.String())
	// Output: 2 failures: 1 correct, 0 acceptable, 0 wrong, 1 inconclusive, 0 missed; 0 false alarms
}
