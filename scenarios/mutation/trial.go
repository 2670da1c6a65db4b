package mutation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
)

// Trial holds mutants against recorded runs.
type Trial struct {
	Module   string // the checkout's folder
	Runs     []*scenarios.Recording
	Mutants  []Mutant
	Progress func(*Row) // called for each mutant that is done, one at a time; nil: nobody looks
}

// patience is how long an analyzer may take for a run for which the original needs less
// than a second: more means that it hangs.
const patience = 30 * time.Second

// Run tries all mutants, as many at a time as there are processors. An original that is
// not right about every recording is an error: nothing can be worse than it then.
func (t *Trial) Run(ctx context.Context) (*Table, error) {
	dir, err := os.MkdirTemp("", "hopblame-mutants-")
	if err != nil {
		return nil, fmt.Errorf("mutation: %w", err)
	}
	defer os.RemoveAll(dir)
	original, err := t.original(ctx, dir)
	if err != nil {
		return nil, err
	}
	table := &Table{Rows: make([]Row, len(t.Mutants)), Runs: len(t.Runs)}
	if table.Unprobed, err = Unprobed(t.Module, t.Mutants); err != nil {
		return nil, err
	}
	var telling sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i := range t.Mutants {
		all.Go(func() error {
			row, err := t.try(ctx, filepath.Join(dir, fmt.Sprint(i)), t.Mutants[i], original)
			if err != nil {
				return err
			}
			table.Rows[i] = *row
			if t.Progress != nil {
				telling.Lock()
				defer telling.Unlock()
				t.Progress(row)
			}
			return nil
		})
	}
	return table, all.Wait()
}

// original judges the analyzer as it is, on every run.
func (t *Trial) original(ctx context.Context, dir string) ([][]scenarios.Judgement, error) {
	bin := filepath.Join(dir, "original")
	if err := build(ctx, t.Module, program, bin); err != nil {
		return nil, err
	}
	judged := make([][]scenarios.Judgement, len(t.Runs))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range t.Runs {
		all.Go(func() (err error) {
			if judged[i], err = judge(ctx, bin, r); err != nil {
				return fmt.Errorf("%s: the original: %w", r.Path, err)
			}
			if s := scenarios.ScoreOf(judged[i]); !s.Passed() {
				return fmt.Errorf("%s: the original is not right itself: %s", r.Path, &s)
			}
			return nil
		})
	}
	return judged, all.Wait()
}

// try builds an analyzer with a defect and has it judge the runs, up to one that shows it.
func (t *Trial) try(ctx context.Context, bin string, m Mutant, original [][]scenarios.Judgement) (*Row, error) {
	defer os.Remove(bin)
	if err := build(ctx, t.Module, program, bin, m); err != nil {
		return nil, err
	}
	row := &Row{Mutant: m}
	order := make([]int, len(t.Runs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return t.first(&m, a) - t.first(&m, b) })
	for _, i := range order {
		judged, err := judge(ctx, bin, t.Runs[i])
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		h := Harm{}
		if err != nil {
			h.Broke = err.Error()
		} else {
			h = compare(original[i], judged)
		}
		if h.Any() {
			h.Scenario = t.Runs[i].Result.Scenario
			row.Harm = &h
			break
		}
	}
	return row, nil
}

// first sorts the run that is to catch a mutant before the others.
func (t *Trial) first(m *Mutant, run int) int {
	if t.Runs[run].Result.Scenario == m.By {
		return 0
	}
	return 1
}

// judge has a program analyze a run's captures, and nothing else of it, and judges what
// it says.
func judge(ctx context.Context, bin string, r *scenarios.Recording) ([]scenarios.Judgement, error) {
	ask, err := trial.Command("'"+bin+"' "+trial.Captures, patience)
	if err != nil {
		return nil, err
	}
	v, err := ask(ctx, filepath.Join(r.Path, "captures"))
	if err != nil {
		return nil, err
	}
	return scenarios.Judge(r.Result.Truths, v.All), nil
}
