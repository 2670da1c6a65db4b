package ablation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
	"github.com/hopblame/hopblame/scenarios/observe"
)

// Trial puts the analyzer to the test with many ablations of recorded runs.
type Trial struct {
	Runs      []string // run directories; the cases drawn depend on their number and order
	Seed      uint64
	Ablations int
	Skewed    int    // times that each run is judged in the case [Skewed]
	Only      string // the one case to try; "" tries all
	Keep      string // folder for the files of that case; "" keeps none
	Workers   int    // cases at a time; 0 means 2
	// Progress is told of each case that is done; nil for nobody.
	Progress func(done, all int)
}

// job is one case: an id, and the run that it takes something away from.
type job struct {
	id  string
	run int
	do  func(r *rand.Rand, c *observe.Captures, possible []int) []observe.Fault
}

// Case is a case that was tried.
type Case struct {
	ID        string
	Run       string
	Ablations []observe.Fault
	Judged    []Judgement
	Refused   error // the analyzer would not judge these captures
	// Unconfirmed are the statements that do not bear a second look at the frames
	// they cite.
	Unconfirmed []verify.Failure
}

// Row is the row of the table that the case belongs to.
func (c *Case) Row() string {
	if strings.HasPrefix(c.ID, "skewed/") {
		return Skewed
	}
	return rowOf(c.Ablations)
}

// String names what was taken away from what.
func (c *Case) String() string {
	var s []string
	for _, a := range c.Ablations {
		s = append(s, a.String())
	}
	return fmt.Sprintf("case %s, %s: %s", c.ID, c.Run, strings.Join(s, "; "))
}

// Run tries all cases and returns the table. An error means that the trial could
// not be held; what the analyzer did wrong is in the table.
func (t *Trial) Run(ctx context.Context) (*Table, error) {
	jobs := t.jobs()
	if len(jobs) == 0 {
		return nil, fmt.Errorf("ablations: there is no case %q; it is a number, untouched/RUN or skewed/RUN/NUMBER", t.Only)
	}
	table := newTable()
	done := 0
	for i, dir := range t.Runs {
		mine := slices.DeleteFunc(slices.Clone(jobs), func(j job) bool { return j.run != i })
		if len(mine) == 0 {
			continue
		}
		run, err := OpenRun(dir)
		if err != nil {
			return nil, err
		}
		captures, err := observe.Load(dir)
		if err != nil {
			return nil, err
		}
		err = t.tryAll(ctx, run, captures, mine, func(c *Case) {
			table.add(c)
			done++
			if t.Progress != nil {
				t.Progress(done, len(jobs))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	table.sort()
	return table, nil
}

// jobs lists the cases of the trial.
func (t *Trial) jobs() (jobs []job) {
	add := func(j job) {
		if t.Only == "" || t.Only == j.id {
			jobs = append(jobs, j)
		}
	}
	for i, dir := range t.Runs {
		name := filepath.Base(dir)
		add(job{"untouched/" + name, i, func(*rand.Rand, *observe.Captures, []int) []observe.Fault { return nil }})
		for k := range t.Skewed {
			add(job{fmt.Sprintf("skewed/%s/%d", name, k), i, func(r *rand.Rand, c *observe.Captures, _ []int) []observe.Fault { return skewed(r, c) }})
		}
	}
	for k := range t.Ablations {
		id := fmt.Sprint(k)
		add(job{id, t.random("run of " + id).IntN(len(t.Runs)), ablate})
	}
	return jobs
}

// random returns the numbers of a case: the same for the same seed and id.
func (t *Trial) random(id string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(id))
	return rand.New(rand.NewPCG(t.Seed, h.Sum64()))
}

// tryAll tries cases of one run, a few at a time, and hands them to done one by one.
func (t *Trial) tryAll(ctx context.Context, run *Run, recorded *observe.Captures, jobs []job, done func(*Case)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	can := possible(recorded)
	workers := t.Workers
	if workers == 0 {
		workers = 2
	}
	var lock sync.Mutex
	var wg sync.WaitGroup
	next := make(chan job)
	for range workers {
		wg.Go(func() {
			for j := range next {
				c, err := t.try(ctx, run, recorded, j, can)
				if err != nil {
					cancel(fmt.Errorf("case %s: %w", j.id, err))
					continue
				}
				lock.Lock()
				done(c)
				lock.Unlock()
			}
		})
	}
feed:
	for _, j := range jobs {
		select {
		case next <- j:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// try tries one case.
func (t *Trial) try(ctx context.Context, run *Run, recorded *observe.Captures, j job, possible []int) (c *Case, err error) {
	captures := recorded.Clone()
	c = &Case{ID: j.id, Run: run.Name, Ablations: j.do(t.random(j.id), captures, possible)}
	dir := t.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "hopblame-ablation-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	report, err := t.analyze(ctx, c, captures, dir)
	if err != nil {
		return nil, err
	}
	c.Judged = Judge(run, recorded, captures, report)
	if t.Keep != "" {
		return c, keep(dir, run, c, report)
	}
	return c, nil
}

// analyze writes the captures of a case out and has them analyzed. What the
// analyzer cannot or will not do is noted in the case.
func (t *Trial) analyze(ctx context.Context, c *Case, captures *observe.Captures, dir string) (*analyzer.Report, error) {
	folder := filepath.Join(dir, "captures")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	points, err := captures.Write(folder, t.Keep != "")
	if err != nil {
		return nil, err
	}
	if captures.Files != nil {
		points = bare(points)
	}
	report, err := analyzer.Analyze(ctx, points, analyzer.Options{Workers: 1})
	var input *analyzer.InputError
	if errors.As(err, &input) && !errors.Is(err, analyzer.ErrIO) {
		c.Refused = err
		return &analyzer.Report{}, nil
	}
	if err != nil {
		return nil, err
	}
	checked, err := verify.Run(ctx, report, folder)
	if err != nil {
		return nil, err
	}
	c.Unconfirmed = checked.Failures
	return report, nil
}

// keep writes what there is to know about a case beside its captures.
func keep(dir string, run *Run, c *Case, report *analyzer.Report) error {
	var text strings.Builder
	fmt.Fprintln(&text, c)
	for i := range c.Judged {
		fmt.Fprintln(&text, c.Judged[i].String())
	}
	for _, f := range c.Unconfirmed {
		fmt.Fprintf(&text, "unconfirmed: verdict %d, %s: %s: %s\n", f.Verdict, f.Request, f.Statement, f.Why)
	}
	if c.Refused != nil {
		fmt.Fprintln(&text, "refused:", c.Refused)
	}
	truth := filepath.Join(dir, "truth")
	errs := []error{os.WriteFile(filepath.Join(dir, "case.txt"), []byte(text.String()), 0o644), os.MkdirAll(truth, 0o755)}
	for _, name := range []string{"requests.ndjson", "flows.ndjson", "ledger.ndjson"} {
		b, err := os.ReadFile(filepath.Join(run.Dir, "truth", name))
		errs = append(errs, err, os.WriteFile(filepath.Join(truth, name), b, 0o644))
	}
	f, err := os.Create(filepath.Join(dir, "verdicts.json"))
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, report.WriteJSON(f), f.Close())...)
}
