package ablation

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
)

// The trial's flags; make ablate sets them.
var (
	ablations = flag.Int("ablations", 0, "ablations to try on all recordings; 0: a few, on two quick ones")
	trialSeed = flag.Uint64("trial-seed", 1, "what decides runs, ablations and their parameters")
	runsDir   = flag.String("runs", "", "folder of run directories to use instead of recording some")
	only      = flag.String("only", "", "the one case to try: a number, untouched/RUN or skewed/RUN/NUMBER; wants -runs")
	keepDir   = flag.String("keep", "", "folder for the files of the case of -only")
)

const (
	quickAblations = 40
	maxShown       = 25 // bad cases printed in full; the table counts all
	maxShownOfCase = 4  // bad verdicts of one case
)

// quick are the recordings that every run of the tests makes.
var quick = map[string]bool{"firewall-drops-syn-fast": true, "server-ignores-syn-fast": true}

// TestNoFlip takes things away from captures whose truth is known: no verdict may
// then name a wrong hop or cause.
func TestNoFlip(t *testing.T) {
	trial := Trial{Runs: recordings(t), Seed: *trialSeed, Ablations: *ablations, Skewed: 6, Only: *only, Keep: *keepDir}
	if trial.Ablations == 0 && trial.Only == "" {
		trial.Ablations, trial.Skewed = quickAblations, 2
		if testing.Short() {
			trial.Ablations, trial.Skewed = quickAblations/4, 1
		}
	} else if trial.Ablations == 0 {
		trial.Ablations = 1_000_000 // any number that -only may name
	}
	begin := time.Now()
	trial.Progress = func(done, all int) {
		if done%200 == 0 {
			t.Logf("%d of %d cases, %.0f s", done, all, time.Since(begin).Seconds())
		}
	}
	table, err := trial.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range table.Bad {
		if i == maxShown {
			t.Errorf("… and %d more cases with bad verdicts", len(table.Bad)-i)
			break
		}
		t.Error(describe(&table.Bad[i], filepath.Dir(trial.Runs[0])))
	}
	t.Logf("seed %d, %d runs, %.0f s\n%s", trial.Seed, len(trial.Runs), time.Since(begin).Seconds(), table)
	for _, problem := range table.Check() {
		t.Error(problem)
	}
}

// describe tells what was bad about a case, and how to have it again.
func describe(c *Case, runs string) string {
	var b strings.Builder
	fmt.Fprintln(&b, c)
	bad := 0
	for i := range c.Judged {
		if j := &c.Judged[i]; j.Grade.Bad() {
			if bad++; bad <= maxShownOfCase {
				fmt.Fprintln(&b, "  "+j.String())
			}
		}
	}
	if bad > maxShownOfCase {
		fmt.Fprintf(&b, "  … %d bad ones in all\n", bad)
	}
	for i, f := range c.Unconfirmed {
		if i == maxShownOfCase {
			fmt.Fprintf(&b, "  … %d unconfirmed statements in all\n", len(c.Unconfirmed))
			break
		}
		fmt.Fprintf(&b, "  UNCONFIRMED: verdict %d, %s: %s: %s\n", f.Verdict, f.Request, f.Statement, f.Why)
	}
	fmt.Fprintf(&b, "  again: go test ./scenarios/ablation -run TestNoFlip -count=1 -v -runs %s -trial-seed %d -only %s -keep %s",
		runs, *trialSeed, c.ID, filepath.Join(os.TempDir(), "ablation-"+strings.ReplaceAll(c.ID, "/", "-")))
	return b.String()
}

// recordings returns the runs of the trial, in the order of their names. Those
// recorded for it stay if it fails: a case cannot be had again without them.
func recordings(t *testing.T) []string {
	t.Helper()
	dir := *runsDir
	if dir == "" {
		if *only != "" {
			t.Fatal("-only wants -runs: the recordings that the case was tried on")
		}
		dir = record(t)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Recorded(dir)
	if err != nil || len(runs) == 0 {
		t.Fatalf("no run directories in %s: %v", dir, err)
	}
	return runs
}

func record(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hopblame-recordings-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the recordings are in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	list, err := Recordings()
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range list {
		if *ablations == 0 && !quick[rec.Name] {
			continue
		}
		seed, err := rec.Seed(*trialSeed + uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		err = Record(t.Context(), dir, rec, seed)
		var unsupported *topology.UnsupportedError
		if errors.As(err, &unsupported) {
			t.Skip(unsupported)
		}
		if err != nil {
			t.Fatal(err)
		}
		run, err := OpenRun(filepath.Join(dir, rec.Name))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("recorded %s: %d of %d requests failed", rec.Name, run.Failed(), len(run.Truths))
	}
	return dir
}
