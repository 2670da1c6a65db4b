package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { topology.Main(m) }

var (
	dropped = scenarios.Pair{Hop: "firewall", Cause: analyzer.SYNDropped}
	reset   = scenarios.Pair{Hop: "server2", Cause: analyzer.AppReset}
	nobody  = scenarios.Pair{Cause: analyzer.Inconclusive}
)

// failed is the truth of a request that failed, with its right answers.
func failed(id string, accept ...scenarios.Pair) scenarios.Truth {
	t := scenarios.Truth{ID: id, Outcome: client.Reset, Accept: accept}
	if len(accept) > 0 {
		t.Primary = &scenarios.TruthFault{At: accept[0].Hop, Cause: accept[0].Cause}
	}
	return t
}

func says(id string, p scenarios.Pair, confidence float64) analyzer.Verdict {
	return analyzer.Verdict{Request: analyzer.RequestRef{ID: id}, Hop: p.Hop, Cause: p.Cause, Confidence: confidence}
}

func TestACardSaysWhatWasTakenForWhat(t *testing.T) {
	sum := newCards()
	sum.add(scenarios.Judge(
		[]scenarios.Truth{failed("1", dropped), failed("2", dropped), failed("3", reset), failed("4", reset), failed("5", dropped, nobody), failed("6", reset), failed("7")},
		[]analyzer.Verdict{says("1", dropped, 0.9), says("2", dropped, 0.9), says("3", dropped, 0.6), says("4", nobody, 0), says("5", nobody, 0), says("99", dropped, 1)}), true)
	got := sum.card()
	half, whole, none := 0.5, 1.0, 0.0
	want := Card{
		Hops: []Word{
			{"firewall", 2, 4, 2, &half, &whole},
			{"server2", 3, 0, 0, nil, &none},
		},
		Causes: []Word{
			{"app-reset", 3, 0, 0, nil, &none},
			{"syn-dropped", 2, 4, 2, &half, &whole},
		},
	}
	want.Confusion.Hops = []Cell{
		{"firewall", "firewall", 2}, {NotKnown, NoVerdict, 1}, {NothingFailed, "firewall", 1},
		{"firewall", RightlyNone, 1}, {"server2", NoVerdict, 1}, {"server2", Undecided, 1}, {"server2", "firewall", 1},
	}
	if diff := cmp.Diff(want.Hops, got.Hops); diff != "" {
		t.Errorf("hops, want - got +\n%s", diff)
	}
	if diff := cmp.Diff(want.Causes, got.Causes); diff != "" {
		t.Errorf("causes, want - got +\n%s", diff)
	}
	if diff := cmp.Diff(want.Confusion.Hops, got.Confusion.Hops); diff != "" {
		t.Errorf("confusion of hops, want - got +\n%s", diff)
	}
	sure, unsure := Bucket{0.9, 0.99, 2, 0.9, 1}, Bucket{0.5, 0.8, 1, 0.6, 0}
	calibration := &Calibration{4, (0.01 + 0.01 + 0.36 + 1) / 4, []Bucket{unsure, sure, {0.999, 1, 1, 1, 0}}}
	if diff := cmp.Diff(calibration, got.Calibration, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("calibration, want - got +\n%s", diff)
	}
	if s := got.Score; s.Failures != 7 || s.Correct != 2 || s.Acceptable != 1 || s.Wrong != 1 || s.Inconclusive != 1 || s.Missed != 2 || s.FalseAlarms != 1 {
		t.Errorf("the score is %s", s.String())
	}
}

func TestNamesOfHops(t *testing.T) {
	names, err := ParseNames([]string{"p1=client/eth0", "p2=f5/0.0", "p3=firewall/feth11", "p4=firewall/feth10", "p5=server1/eth0", "big-ip=f5"})
	if err != nil {
		t.Fatal(err)
	}
	for theirs, want := range map[string]string{
		"p2":               "f5",
		"link:p3-p4":       "firewall", // both faces of one hop
		"link:p2-p3":       "link:f5-firewall",
		"link:p4-p5":       "link:firewall-server1",
		"link:big-ip-p3":   "link:f5-firewall",
		"link:p4-server2":  "link:firewall-server2",
		"link:client-p2":   "link:client-f5",
		"link:client-f5":   "link:client-f5",
		"firewall":         "firewall",
		"big-ip":           "f5",
		"":                 "",
		"link:":            "link:",
		"link:no-hyphened": "link:no-hyphened",
	} {
		if got := names.Hop(theirs); got != want {
			t.Errorf("%q is %q, want %q", theirs, got, want)
		}
	}
	for _, broken := range [][]string{{"p1"}, {"=f5"}, {"p1="}, {"p1=f5", "p1=client"}} {
		if _, err := ParseNames(broken); err == nil {
			t.Errorf("%v is taken", broken)
		}
	}
}

func TestWhatAnAnalyzerSaysIsReadLeniently(t *testing.T) {
	v, err := Decode("f", strings.NewReader(`{"tool": {"version": 3}, "verdicts": [
		{"request": {"id": "17", "mood": "bad"}, "hop": "firewall", "cause": "syn-dropped", "why": ["x"], "evidence": "frame 12"},
		{"request": {"client": "198.18.50.88:40000", "start": "2026-11-22T20:57:09.1Z"}, "hop": "", "cause": "inconclusive", "confidence": 0}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.All) != 2 || v.All[0].Request.ID != "17" || v.All[1].Request.Start.IsZero() || !v.Confident {
		t.Errorf("got %+v", v)
	}
	if v, err := Decode("f", strings.NewReader(`{"verdicts": [{"request": {"id": "1"}, "hop": "f5", "cause": "no-route"}]}`)); err != nil || v.Confident {
		t.Errorf("an analyzer without confidence has one: %v", err)
	}
}

func TestWhatCannotBeJudgedIsRefusedInOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "f: is empty",
		"[]":                                    `f: is an array; write {"schema_version"`,
		"{\n\n  oops":                           "line 3 is not JSON",
		"{}":                                    `has no list "verdicts"; where nothing failed it is empty`,
		`{"schema_version": 2, "verdicts": []}`: "has schema_version 2, this program reads 1",
		`{"verdicts": [{"request": {"id": "1"}, "hop": "firewall"}]}`:                                    `verdicts[0]: has no cause; where nothing can be named it is "inconclusive"`,
		`{"verdicts": [{"request": {"id": "1"}, "hop": "firewall", "cause": "syn-droped"}]}`:             `verdicts[0]: cause "syn-droped" is none; did you mean "syn-dropped"?`,
		`{"verdicts": [{"hop": "firewall", "cause": "syn-dropped"}]}`:                                    "verdicts[0]: request: has neither id nor client",
		`{"verdicts": [{"request": {"id": 17}, "hop": "firewall", "cause": "syn-dropped"}]}`:             `"request.id" is a number`,
		`{"verdicts": [{"request": {"id": "1"}, "hop": "f5", "cause": "no-route", "confidence": 99.5}]}`: "verdicts[0]: confidence 99.5 is no probability",
	} {
		_, err := Decode("f", strings.NewReader(text))
		if !errors.Is(err, analyzer.ErrMalformed) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q in one line", text, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema_version":1,"verdicts":[{"request":{"id":"17"},"hop":"firewall","cause":"syn-dropped","confidence":0.99}]}`))
	f.Add([]byte(`{"verdicts":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Decode("f", strings.NewReader(string(text)))
		if err != nil && !errors.Is(err, analyzer.ErrMalformed) {
			t.Errorf("an error of another kind: %v", err)
		}
		for i := 0; err == nil && i < len(v.All); i++ {
			if !v.All[i].Cause.Valid() {
				t.Errorf("cause %q is taken", v.All[i].Cause)
			}
		}
	})
}

func TestAProgramIsHeldToItsPart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, command, want string }{
		{"what it says is read", `test -d {captures} && echo '{"verdicts": []}'`, ""},
		{"it may complain", `echo hm >&2; echo '{"verdicts": []}' # {captures}`, ""},
		{"it has failed", "echo first >&2; echo 'no captures, sorry' >&2; exit 3 # {captures}", "exit status 3: no captures, sorry"},
		{"it is a Go program that has panicked", "printf 'panic: oh\\n\\ngoroutine 1 [running]:\\n\\tmain.go:24 +0xae\\n' >&2; exit 2 # {captures}", "exit status 2: panic: oh"},
		{"it says nonsense", "echo hello {captures}", "its output"},
		{"it is not there", "/no/such/program {captures}", "exit status 127"},
		{"it takes too long, and what it started with it", "sleep 1000 & echo $! >{captures}/child; wait", "took longer than 300ms and was killed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			timeout := time.Minute
			if strings.Contains(row.want, "longer") {
				timeout = 300 * time.Millisecond
			}
			ask, err := Command(row.command, timeout)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ask(t.Context(), folder)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(folder, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); unix.Kill(child, 0) == nil; time.Sleep(time.Millisecond) {
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); strings.Contains(string(stat), ") Z ") {
			break // dead, and nobody has asked yet how
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives the program that started it", child)
		}
	}
	for name, script := range map[string]string{
		"it fails":         `seq 1 30 >&2; printf 'a\033[31m\n' >&2; exit 3 # {captures}`,
		"it says nonsense": `seq 1 30 >&2; printf 'a\033[31m\n' >&2; echo hello {captures}`,
	} {
		ask, err := Command(script, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ask(t.Context(), folder)
		var broken *brokenError
		if !errors.As(err, &broken) {
			t.Fatalf("%s: got %v", name, err)
		}
		if lines := strings.Split(broken.stderr, "\n"); len(lines) != mostComplaints || lines[0] != "12" || lines[len(lines)-1] != "a\uFFFD[31m" {
			t.Errorf("%s: of its complaints these are kept: %q", name, lines)
		}
	}
	if _, err := Command("tcpdump -r file", 0); err == nil {
		t.Error("a command without captures is taken")
	}
}

func TestAWrongAnalyzerGetsWhatItDeserves(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed (Debian: apt-get install tshark)")
	}
	var list []Case
	for _, name := range []string{"firewall-drops-syn", "server-port-closed"} {
		s, err := scenarios.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		s.Faults[0].Probability = 0.05
		list = append(list, Case{Called: name, Scenario: s})
	}
	ask, err := Command("../../examples/blame.sh "+Captures, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Cases: list, Seed: 7, Requests: 300, Name: "prejudiced"}
	o.Analyzer = func(ctx context.Context, captures string) (*Verdicts, error) {
		// All there is to be seen.
		if beside := names(t, filepath.Dir(captures)); !slices.Equal(beside, []string{"captures"}) {
			t.Errorf("beside the captures lie %v", beside)
		}
		return ask(ctx, captures)
	}
	r, err := Try(t.Context(), o)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if invalid := r.Invalid(); len(invalid) > 0 {
		t.Fatalf("INVALID: %v", invalid)
	}
	incident, closed := r.Runs[0].Score, r.Runs[1].Score
	if n := r.Runs[0].Failed; n < 5 || incident.Correct != n || !incident.Passed() {
		t.Errorf("where it is right: %d failed: %s", n, incident.String())
	}
	if n := r.Runs[1].Failed; n < 3 || closed.Wrong != n {
		t.Errorf("where it is wrong: %d failed: %s", n, closed.String())
	}
	if r.Passed() || r.Score.Failures != incident.Failures+closed.Failures {
		t.Errorf("all: %s", r.Score.String())
	}

	// One that breaks down has missed everything, and the trial goes on.
	o.Analyzer = func(context.Context, string) (*Verdicts, error) { return nil, errors.New("out of order") }
	r, err = Try(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Broke != "out of order" || run.Score.Missed != run.Failed {
			t.Errorf("%s: broke %q, %s", run.Scenario, run.Broke, run.Score.String())
		}
	}
	if r.Passed() {
		t.Error("one that breaks down passes")
	}
}

// names lists a folder.
func names(t *testing.T, folder string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestCompareSaysWhatGotWorse(t *testing.T) {
	run := func(name string, s scenarios.Score) Run { return Run{Scenario: name, Valid: true, Score: s} }
	before := &Result{Runs: []Run{
		run("a", scenarios.Score{Failures: 10, Correct: 10}), run("b", scenarios.Score{Failures: 10, Correct: 5, Inconclusive: 5}),
		run("same", scenarios.Score{Failures: 10, Correct: 10}), run("gone", scenarios.Score{}),
		run("bold", scenarios.Score{Failures: 20, Inconclusive: 9, Correct: 11})}}
	now := &Result{Runs: []Run{
		run("b", scenarios.Score{Failures: 20, Correct: 20}), run("a", scenarios.Score{Failures: 10, Correct: 9, Missed: 1}),
		run("same", scenarios.Score{Failures: 30, Correct: 30}), run("new", scenarios.Score{Failures: 1, Wrong: 1}),
		run("bold", scenarios.Score{Failures: 20, Correct: 19, Wrong: 1}), {Scenario: "gone"}}}
	var got []string
	for _, c := range Compare(before, now) {
		got = append(got, map[bool]string{true: "+", false: "-"}[c.Better]+c.Scenario)
	}
	if want := []string{"-a", "-bold", "+b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCompareIsSilentWhereNothingFailedInOneOfTheTwo(t *testing.T) {
	of := func(failures, wrong int) *Result {
		return &Result{Runs: []Run{{Scenario: "a", Valid: true, Score: scenarios.Score{Failures: failures, Wrong: wrong, Correct: failures - wrong}}}}
	}
	if got := Compare(of(1, 1), of(0, 0)); len(got) > 0 {
		t.Errorf("with no failure to err on it is %+v", got)
	}
	if got := Compare(of(0, 0), of(1, 1)); len(got) > 0 {
		t.Errorf("with a failure to err on it is %+v", got)
	}
}

func TestTwoTrialsOfOtherRunsSaySo(t *testing.T) {
	before := &Result{Runs: []Run{{Scenario: "a", Seed: 7, Requests: 300}, {Scenario: "b", Seed: 7, Requests: 300}, {Scenario: "c", Seed: 7, Requests: 300}}}
	now := &Result{Runs: []Run{{Scenario: "a", Seed: 7, Requests: 300}, {Scenario: "b", Seed: 8, Requests: 300}, {Scenario: "c", Seed: 7, Requests: 400}, {Scenario: "d", Seed: 7, Requests: 300}}}
	if diff := cmp.Diff(Difference{New: []string{"d"}, Otherwise: []string{"b", "c"}}, DifferenceOf(before, now)); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func TestABaselineThatIsNoneSaysWhatToGive(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                                 "is no result of a trial: is not JSON: ",
		`{"schema_version": 1, "verdicts": []}`: "is no result of a trial: it has no runs",
	} {
		file := filepath.Join(t.TempDir(), "before.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadResult(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), "; give what hopblame trial --json or score --json has written") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestHopsThatNoVerdictCanNameAreListedOnce(t *testing.T) {
	s, err := scenarios.Find("firewall-drops-syn")
	if err != nil {
		t.Fatal(err)
	}
	v := &Verdicts{}
	for _, hop := range []string{"firewall", "firewal", "", "link:f5-firewall", "p3", "firewal"} {
		v.All = append(v.All, analyzer.Verdict{Hop: hop})
	}
	got, err := v.unknownHops(s)
	if want := []string{"firewal", "p3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestPartsOfATrialMakeTheWhole(t *testing.T) {
	truths := func(prefix string) []scenarios.Truth {
		return []scenarios.Truth{failed(prefix+"1", dropped), failed(prefix+"2", reset), failed(prefix+"3", dropped, nobody), failed(prefix + "4")}
	}
	verdicts := func(prefix string, sure float64) []analyzer.Verdict {
		return []analyzer.Verdict{says(prefix+"1", dropped, sure), says(prefix+"2", dropped, 0.6), says(prefix+"3", nobody, 0), says("99", reset, 1)}
	}
	part := func(scenario, prefix string, sure float64) (*Result, []scenarios.Judgement) {
		judged := scenarios.Judge(truths(prefix), verdicts(prefix, sure))
		sum := newCards()
		sum.add(judged, true)
		card := sum.card()
		return &Result{SchemaVersion: 1, Analyzer: "x", Card: card, Runs: []Run{{Scenario: scenario, Valid: true, Score: card.Score}}}, judged
	}
	a, ofA := part("a", "a", 0.95)
	b, ofB := part("b", "b", 0.85)
	got, err := Merge([]*Result{a, b})
	if err != nil {
		t.Fatal(err)
	}
	sum := newCards()
	sum.add(ofA, true)
	sum.add(ofB, true)
	if diff := cmp.Diff(sum.card(), got.Card, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("of one piece - of parts +\n%s", diff)
	}
	if _, err := Merge([]*Result{a, a}); err == nil {
		t.Error("a part counts twice")
	}
	other := *b
	other.Analyzer = "y"
	if _, err := Merge([]*Result{a, &other}); err == nil {
		t.Error("two analyzers are taken for one")
	}
}

func TestShardsAreAPartitionOfTheCatalogue(t *testing.T) {
	all, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 9; n++ {
		seen := map[string]int{}
		for i := 1; i <= n; i++ {
			s, err := ParseShard(fmt.Sprintf("%d/%d", i, n))
			if err != nil {
				t.Fatal(err)
			}
			part := s.Part(all)
			if len(part) < len(all)/n || len(part) > len(all)/n+1 {
				t.Errorf("%d/%d has %d of %d", i, n, len(part), len(all))
			}
			for _, c := range part {
				seen[c.Called]++
			}
		}
		for _, c := range all {
			if seen[c.Called] != 1 {
				t.Errorf("of %d shards %s is in %d", n, c.Called, seen[c.Called])
			}
		}
	}
	for _, broken := range []string{"", "1", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/4/2"} {
		if _, err := ParseShard(broken); err == nil {
			t.Errorf("%q is taken", broken)
		}
	}
}

// A mistake that needs three failures at once, of one fault of two.
func TestTheFailedRequestsAboutAMistakeAreFoundHoweverFarTheyAre(t *testing.T) {
	all := make([]scenarios.Truth, 1000)
	for o := range all {
		all[o] = scenarios.Truth{Ordinal: o, Outcome: client.OK}
	}
	for _, o := range []int{18, 165, 458, 707, 999} {
		all[o].Outcome = client.Reset
	}
	all[166].Outcome = client.NotSent
	for _, row := range []struct {
		name string
		size int
		want []int
	}{
		{"the nearest, and one that went well", 2, []int{18, 164, 165}},
		{"on both sides", 4, []int{18, 164, 165, 458, 707}},
		{"no more than there are", 64, []int{18, 164, 165, 458, 707, 999}},
	} {
		if got := failedAround(165, row.size, all); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestShrinkFindsTheFewestOnWhichAnAnalyzerErrs(t *testing.T) {
	s, err := scenarios.Load("f.yaml", []byte(`name: f
title: Two faults share the blame
f5: {serverside: {syn-rto-base: 20ms}}
traffic: {requests: 40}
faults:
  - {name: syn-drop, at: firewall, direction: to-server, match: syn, do: drop, per: connection, probability: 0.3}
  - {name: abrupt, at: server1, do: reset, per: connection, probability: 0.2}
expect:
  - {hop: firewall, cause: syn-dropped}
  - {hop: server1, cause: app-reset}
`))
	if err != nil {
		t.Fatal(err)
	}
	seed, out := uint64(7), filepath.Join(t.TempDir(), "out")
	_, err = scenarios.Run(t.Context(), s, scenarios.Options{Seed: &seed, Out: out})
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := scenarios.OpenRecording(out)
	if err != nil {
		t.Fatal(err)
	}
	// It blames the server for the last of three dropped SYNs.
	hasty := func(ctx context.Context, captures string) (*Verdicts, error) {
		v, err := own(ctx, captures)
		n := 0
		for i := 0; err == nil && i < len(v.All); i++ {
			if v.All[i].Cause == analyzer.SYNDropped {
				if n++; n == 3 {
					v.All[i].Hop = topology.Server2
				}
			}
		}
		return v, err
	}
	got, err := Shrink(t.Context(), r, ShrinkOptions{Analyzer: hasty})
	if err != nil {
		t.Fatal(err)
	}
	// A fourth one must succeed: where nothing gets through, the capture behind is empty and
	// proves nothing.
	if got.Requests != 4 || got.Faults != 1 || got.Before.Requests != 40 || got.Before.Faults != 2 || got.Scenario.Faults[0].Name != "syn-drop" {
		t.Errorf("%d requests and %d faults (%v) are left of %d and %d", got.Requests, got.Faults, got.Scenario.Faults, got.Before.Requests, got.Before.Faults)
	}
	if got.Mistake.Kind != scenarios.Wrong || got.Mistake.Got.Hop != topology.Server2 {
		t.Errorf("the mistake is %s", got.Mistake.String())
	}
	// What is left is a scenario as any other.
	text, err := got.Scenario.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := scenarios.Load("again.yaml", text); err != nil || len(again.Traffic.Only) != 4 {
		t.Errorf("it cannot be played: %v\n%s", err, text)
	}

	if _, err := Shrink(t.Context(), r, ShrinkOptions{}); !errors.Is(err, ErrNoMistake) {
		t.Errorf("of our own analyzer: %v, want %v", err, ErrNoMistake)
	}
	// A mistake that is not made twice is no scenario.
	first := true
	once := func(ctx context.Context, captures string) (*Verdicts, error) {
		v, err := own(ctx, captures)
		if first && err == nil {
			v.All[0].Hop = topology.Server2
		}
		first = false
		return v, err
	}
	if _, err := Shrink(t.Context(), r, ShrinkOptions{Analyzer: once, Patience: 5 * time.Second}); err == nil || !strings.Contains(err.Error(), "was not made again") {
		t.Errorf("of a mistake that is not made twice: %v", err)
	}
}
