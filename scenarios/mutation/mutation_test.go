package mutation

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// The trial's flags; make mutate sets them.
var (
	mutate  = flag.Bool("mutate", false, "try all mutants on all the catalogue")
	seed    = flag.Uint64("trial-seed", 7, "seed of the recordings")
	runsDir = flag.String("runs", "", "folder of run directories to use instead of recording some")
	only    = flag.String("only", "", "the mutants to try: a regular expression for what they say")
)

// TestMutants holds the list of defects against the catalogue; without -mutate it holds
// some of its own against one scenario, to see that it can tell.
func TestMutants(t *testing.T) {
	if *mutate {
		catalogue(t)
		return
	}
	s, err := scenarios.Find("firewall-drops-syn")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range try(t, []*scenarios.Scenario{s}, []Mutant{
		{Says: "it asks itself whether a SYN was answered, and panics", File: "rule_syn_dropped.go", Old: "\tk := synKind(v)\n", New: "\tk := synKind(nil)\n\t_ = k.terms(nil)\n"},
		{Says: "it blames whoever saw the SYN first", File: "rule_syn_dropped.go", Old: "v.furthest(k)", New: "v.origin(k)"},
		{Says: "it is as it was, but for a word", File: "rule_proxy_says.go", Old: "RST made by ", New: "RST sent by "},
	}).Rows {
		switch h := row.Harm; row.Mutant.File {
		case "rule_proxy_says.go":
			if h != nil {
				t.Errorf("%s: is caught with %s", row.Mutant.Says, h)
			}
		default:
			crashes := strings.Contains(row.Mutant.Says, "panics")
			if h == nil || h.Scenario != s.Name || crashes != strings.Contains(h.Broke, "panic") || !crashes && h.Wrong == 0 {
				t.Errorf("%s: got %+v", row.Mutant.Says, h)
			}
		}
	}
}

// catalogue tries all mutants.
func catalogue(t *testing.T) {
	begun := time.Now()
	list, err := scenarios.All()
	if err != nil {
		t.Fatal(err)
	}
	mutants := Mutants
	if *only != "" {
		chosen := regexp.MustCompile(*only)
		mutants = slices.DeleteFunc(slices.Clone(Mutants), func(m Mutant) bool { return !chosen.MatchString(m.Says) })
	}
	table := try(t, list, mutants)
	if *only != "" {
		table.Unprobed = nil // that of all mutants none probes them
	}
	t.Logf("seed %d, %.0f s\n%s", *seed, time.Since(begun).Seconds(), table)
	if *only == "" && table.Share() < aim {
		t.Errorf("%.1f %% are caught, the aim is %.0f %%", 100*table.Share(), 100*aim)
	}
	for i := range table.Rows {
		if r := &table.Rows[i]; r.Harm == nil && r.Mutant.Needs == "" {
			t.Errorf("%s: survives, and the list does not say what it would take to catch it", r.Mutant.Says)
		}
	}
}

// try holds mutants against scenarios.
func try(t *testing.T, list []*scenarios.Scenario, mutants []Mutant) *Table {
	t.Helper()
	begun := time.Now()
	trial := Trial{Module: module(t), Runs: recordings(t, list), Mutants: mutants}
	t.Logf("%d runs after %.0f s", len(trial.Runs), time.Since(begun).Seconds())
	trial.Progress = func(r *Row) { t.Logf("%4.0f s  %s", time.Since(begun).Seconds(), r) }
	table, err := trial.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// recordings returns runs of scenarios, or those of -runs.
func recordings(t *testing.T, list []*scenarios.Scenario) []*scenarios.Recording {
	t.Helper()
	dir := *runsDir
	if dir == "" {
		dir = t.TempDir()
		for _, s := range list {
			err := Record(t.Context(), dir, s, *seed)
			var unsupported *topology.UnsupportedError
			if errors.As(err, &unsupported) {
				t.Skip(unsupported)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	runs, err := Recorded(dir)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// module is the checkout's folder.
func module(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "go.mod"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEveryMutantIsADefectOfItsOwnThatCompiles(t *testing.T) {
	said := map[string]bool{}
	for _, m := range Mutants {
		if said[m.Says] {
			t.Errorf("two mutants say %q", m.Says)
		}
		said[m.Says] = true
		if _, err := scenarios.Find(m.By); m.By != "" && err != nil {
			t.Errorf("%s: is to be caught by %v", m.Says, err)
		}
	}
	for _, layer := range layers(Mutants) {
		if err := build(t.Context(), module(t), "./"+folder, "", layer...); err != nil {
			t.Error(err)
		}
	}
}
