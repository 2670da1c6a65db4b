package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/scenarios"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// solved is a run in which all went well.
func solved() *scenarios.Result {
	planned := 2
	verdict := analyzer.Verdict{
		Request: analyzer.RequestRef{Client: "198.18.50.88:54373", Server: "198.18.50.67:8165", Start: time.Date(2026, 11, 22, 20, 57, 9, 0, time.UTC),
			StartPoint: "client/eth0", Method: "POST", Target: "/batch", ID: "17"},
		Outcome: analyzer.Reset, RST: &analyzer.RST{By: "f5", Cause: "TCP retransmit timeout", Peer: true},
		Hop: "firewall", Between: []string{"firewall/feth11", "firewall/feth10"}, Direction: analyzer.ToServer,
		Cause: analyzer.SYNDropped, Confidence: 0.9999,
	}
	second := verdict
	second.Request.Client, second.Request.ID = "198.18.50.88:54400", "44"
	return &scenarios.Result{
		SchemaVersion: 1, Scenario: "firewall-drops-syn", Seed: 7, Valid: true, InvalidBecause: []string{},
		Requests: scenarios.RequestCounts{Sent: 20000, OK: 19998, Failed: 2},
		Score:    scenarios.Score{Failures: 2, Correct: 2},
		Captures: []scenarios.CaptureResult{{Point: "client/eth0", Packets: 160000}, {Point: "firewall/feth11", Packets: 159992}},
		Ledger:   scenarios.LedgerResult{Packets: 8, Counter: 8, Connections: 2, Planned: &planned},
		Balances: []scenarios.BalanceResult{
			{Where: "firewall", Direction: "to-server", In: 100008, Out: 100000, Ledger: 8},
			{Where: "firewall", Direction: "to-client", In: 80000, Out: 80000},
		},
		Timing:   scenarios.Timing{Build: 0.012, Traffic: 9.14, Analyze: 0.61, Teardown: 0.2},
		Settings: scenarios.Settings{Family: "ipv4", Concurrency: 256, SYNMaxRetrans: 3, SYNRTOBase: 1, SYNBackoff: "constant"},
		Played:   &scenarios.Scenario{Name: "firewall-drops-syn", Title: "The firewall swallows one connection in 150"},
		Report: &analyzer.Report{SchemaVersion: 1, Requests: analyzer.RequestCounts{Seen: 20000, OK: 19998, Failed: 2},
			Verdicts: []analyzer.Verdict{verdict, second}},
	}
}

func TestTheStoryOfARun(t *testing.T) {
	right := scenarios.Pair{Hop: "firewall", Cause: analyzer.SYNDropped}
	for _, row := range []struct {
		golden, name, out string
		edit              func(*scenarios.Result)
	}{
		{"valid", "firewall-drops-syn", "", func(*scenarios.Result) {}},
		{"valid-kept", "my/own.yaml", "out", func(*scenarios.Result) {}},
		{"per-packet", "firewall-drops-syn", "", func(r *scenarios.Result) { r.Ledger.Planned = nil }},
		{"invalid", "firewall-drops-syn", "", func(r *scenarios.Result) {
			planned := 3
			r.Valid, r.Ledger.Planned, r.Ledger.Packets = false, &planned, 7
			r.Captures[1].Dropped = 12
			r.Balances[1].Out = 80012 // more came out than went in
			r.InvalidBecause = []string{
				"capture firewall/feth11 lost 12 packets: the machine was too busy; repeat with fewer requests in flight",
				"fault syn-drop: request 99 was to be hit and was not",
			}
		}},
		{"rejected", "firewall-rejects-syn", "", func(r *scenarios.Result) {
			r.Ledger.Packets, r.Ledger.Counter = 2, 2
			r.Balances[0].Out, r.Balances[0].Ledger = 100006, 2
			r.Balances[1].Out, r.Balances[1].Made = 80002, 2
		}},
		{"observed", "my/own.yaml", "", func(r *scenarios.Result) {
			r.Observers = []scenarios.ObserverResult{
				{Point: "firewall/feth10", Do: scenarios.Lose, What: "5 % of packets lost at firewall/feth10", Before: 100000, After: 95011},
				{Point: "firewall/feth11", Do: scenarios.Duplicate, What: "30 % of frames twice at firewall/feth11", Before: 100000, After: 130123},
				{Point: "firewall/feth11", Do: scenarios.CutFrames, What: "snaplen 96 at firewall/feth11", Before: 130123, After: 130123, Changed: 40044},
			}
		}},
		{"misbehaved", "server-resets", "", func(r *scenarios.Result) {
			r.Ledger.Packets, r.Ledger.Counter, r.Ledger.Deeds = 0, 0, 2
			r.Balances[0].Out, r.Balances[0].Ledger = 100008, 0
		}},
		{"failed-score", "firewall-drops-syn", "", func(r *scenarios.Result) {
			r.Score = scenarios.Score{Failures: 3, Wrong: 1, Inconclusive: 1, Missed: 1, FalseAlarms: 1, Errors: []scenarios.ScoreError{
				{Kind: "wrong", ID: "17", Request: "198.18.50.88:54373", Want: []scenarios.Pair{right, {Hop: "link:f5-firewall", Cause: analyzer.SYNDropped}},
					Got: &scenarios.Pair{Hop: "server1", Cause: analyzer.NoAnswer}},
				{Kind: "false-alarm", ID: "5", Request: "198.18.50.88:54361", Got: &right},
				{Kind: "missed", ID: "44", Request: "198.18.50.88:54400", Want: []scenarios.Pair{right}},
				{Kind: "inconclusive", ID: "45", Request: "198.18.50.88:54401", Want: []scenarios.Pair{right}, Got: &scenarios.Pair{Cause: analyzer.Inconclusive}},
			}}
		}},
		{"nothing-failed", "no-fault", "", func(r *scenarios.Result) {
			planned := 0
			*r = scenarios.Result{Seed: 7, Valid: true, Requests: scenarios.RequestCounts{Sent: 20000, OK: 20000}, Captures: r.Captures,
				Ledger: scenarios.LedgerResult{Planned: &planned}, Balances: r.Balances[1:], Settings: r.Settings,
				Played: &scenarios.Scenario{Name: "no-fault", Title: "Nothing is broken"},
				Report: &analyzer.Report{Requests: analyzer.RequestCounts{Seen: 20000, OK: 20000}}}
		}},
	} {
		t.Run(row.golden, func(t *testing.T) {
			r := solved()
			row.edit(r)
			var got bytes.Buffer
			if err := writeResult(&got, r, row.name, row.out); err != nil {
				t.Fatal(err)
			}
			story := withoutReport(t, r, got.String())
			golden := filepath.Join("testdata", row.golden+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(story), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), story); diff != "" {
				t.Errorf("run with -update if this is right; want - got +\n%s", diff)
			}
		})
	}
}

func TestTheExitCodeOfARun(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*scenarios.Result)
		want int
		says string
	}{
		{"valid and solved", func(*scenarios.Result) {}, 0, ""},
		{"valid and one verdict wrong", func(r *scenarios.Result) { r.Score.Wrong = 1 }, 1, ""},
		{"valid and one failure missed", func(r *scenarios.Result) { r.Score.Missed = 1 }, 1, ""},
		{"valid and one false alarm", func(r *scenarios.Result) { r.Score.FalseAlarms = 1 }, 1, ""},
		{"valid and one inconclusive that is not accepted", func(r *scenarios.Result) { r.Score.Inconclusive = 1 }, 1, ""},
		{"valid and one acceptable", func(r *scenarios.Result) { r.Score.Acceptable = 1 }, 0, ""},
		{"invalid and solved", func(r *scenarios.Result) { r.Valid, r.InvalidBecause = false, []string{"x", "y"} }, 4, "the run is INVALID: x; y"},
		{"invalid outranks wrong", func(r *scenarios.Result) { r.Valid, r.InvalidBecause, r.Score.Wrong = false, []string{"x"}, 1 }, 4, "the run is INVALID: x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := solved()
			row.edit(r)
			err := outcome(r)
			if got := exitCode(t.Context(), err); got != row.want {
				t.Errorf("got exit code %d, want %d", got, row.want)
			}
			if row.says != "" && err.Error() != row.says {
				t.Errorf("got %q, want %q", err, row.says)
			}
		})
	}
}

// withoutReport puts a word for the analyzer's own text, which has golden files
// of its own.
func withoutReport(t *testing.T, r *scenarios.Result, story string) string {
	t.Helper()
	var text bytes.Buffer
	if err := report.WriteText(&text, r.Report, report.TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(story, text.String())
	if !found || text.Len() == 0 {
		t.Fatalf("the analyzer's text\n%s\nis not in\n%s", text.String(), story)
	}
	return before + "{the analyzer's report}\n" + after
}

func TestAStoryThatCannotBeWrittenIsAnError(t *testing.T) {
	for room := range 8 {
		if err := writeResult(&full{room: room}, solved(), "x", "out"); err == nil || err.Error() != unix.ENOSPC.Error() {
			t.Errorf("after %d writes: got %v", room, err)
		}
	}
}
