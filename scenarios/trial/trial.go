package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/scratch"
	"github.com/hopblame/hopblame/scenarios"
)

// SchemaVersion is the version of a [Result] as JSON.
const SchemaVersion = 1

// DefaultRequests bounds the requests of a scenario on trial: so many show its failures.
const DefaultRequests = 4000

// Result is an analyzer's trial, or its score on one run: the output of trial --json and
// of score --json.
type Result struct {
	SchemaVersion int    `json:"schema_version"`
	Analyzer      string `json:"analyzer"` // the command, or the file with its verdicts
	Runs          []Run  `json:"runs"`
	Card                 // of all valid runs
}

// Run is one scenario of a trial.
type Run struct {
	Scenario string  `json:"scenario"`
	Seed     uint64  `json:"seed"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"duration_s"` // of the run and of the analyzer on trial; 0 of one that was recorded
	// Valid and InvalidBecause are the run's own check. By one that is not valid nobody is
	// judged.
	Valid          bool     `json:"valid"`
	InvalidBecause []string `json:"invalid_because"`
	// Broke is why the analyzer gave no verdicts; all failures are missed then.
	Broke string `json:"broke,omitempty"`
	// Stderr is the end of what it wrote to standard error then.
	Stderr string `json:"stderr,omitempty"`
	// UnknownHops are what it called hops that no verdict on the scenario could name, each
	// once: words of its own, or misspelt.
	UnknownHops []string        `json:"unknown_hops,omitempty"`
	Score       scenarios.Score `json:"score"`
	Repeat      string          `json:"repeat"` // the command that plays it again
}

// Passed says whether the analyzer did all it should, in every run.
func (r *Result) Passed() bool {
	for i := range r.Runs {
		if r.Runs[i].Broke != "" {
			return false
		}
	}
	return r.Score.Passed()
}

// Invalid lists the scenarios whose runs were not valid.
func (r *Result) Invalid() (names []string) {
	for i := range r.Runs {
		if !r.Runs[i].Valid {
			names = append(names, r.Runs[i].Scenario)
		}
	}
	return names
}

// Options is who is on trial, and with what.
type Options struct {
	Cases    []Case
	Seed     uint64
	Requests int      // of a scenario, at most; 0: as many as it says
	Name     string   // what the analyzer is called in the result
	Analyzer Analyzer // who is on trial; nil is hopblame's own
	Names    Names
	Progress func(Progress) // nil: nobody looks
}

// Case is a scenario of a trial, and what it is called on a command line: its name, or its
// file's.
type Case struct {
	Called    string
	Scenario  *scenarios.Scenario
	Recording *scenarios.Recording // of its run; nil: it is to be played
}

// Catalogue is all there is in the catalogue.
func Catalogue() (all []Case, err error) {
	list, err := scenarios.All()
	for _, s := range list {
		all = append(all, Case{Called: s.Name, Scenario: s})
	}
	return all, err
}

// Progress is how far a trial has come.
type Progress struct {
	Scenario string
	Number   int // of the scenario, from 1
	Of       int
	Run      scenarios.Progress // of its run
	OnTrial  bool               // the run is over, and the analyzer at work
}

// Try plays scenarios one after the other to an analyzer and sums up. An analyzer that
// breaks down over one has missed its failures, and is asked about the others.
func Try(ctx context.Context, o Options) (*Result, error) {
	base, err := scratch.New()
	if err != nil {
		return nil, fmt.Errorf("trial: %w", err)
	}
	defer base.Close()
	result := &Result{SchemaVersion: SchemaVersion, Analyzer: o.Name, Runs: []Run{}}
	sum := newCards()
	for i, c := range o.Cases {
		h, err := o.tryAndDraw(ctx, c, filepath.Join(base.Path, fmt.Sprint(i+1)), func(p Progress) { // the folder's name tells nothing but its number
			if o.Progress != nil {
				p.Scenario, p.Number, p.Of = c.Scenario.Name, i+1, len(o.Cases)
				o.Progress(p)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Scenario.Name, err)
		}
		result.Runs = append(result.Runs, h.run)
		if h.run.Valid {
			sum.add(h.judged, h.confident)
		}
	}
	result.Card = sum.card()
	return result, nil
}

// hearing is one case, heard.
type hearing struct {
	run       Run
	judged    []scenarios.Judgement // none if the run is not valid
	confident bool
	played    *scenarios.Result
}

// tryAndDraw puts one case before the analyzer and draws what it errs about, in a folder
// that is gone afterwards.
func (o *Options) tryAndDraw(ctx context.Context, c Case, folder string, tell func(Progress)) (*hearing, error) {
	defer os.RemoveAll(folder)
	begun := time.Now()
	h, err := o.try(ctx, c, folder, tell)
	if err != nil {
		return nil, err
	}
	if h.run.Broke == "" { // else it is no mistake of its on any request
		if err := draw(ctx, filepath.Join(folder, capturesFolder), h.played.Report, h.played.Truths, h.run.Score.Errors); err != nil {
			return nil, err
		}
	}
	h.run.Seconds = time.Since(begun).Seconds()
	return h, nil
}

// try puts one case before the analyzer, in a folder, which it leaves behind.
func (o *Options) try(ctx context.Context, c Case, folder string, tell func(Progress)) (*hearing, error) {
	played, err := o.play(ctx, c, folder, tell)
	if err != nil {
		return nil, err
	}
	h := &hearing{run: newRun(c.Called, played), played: played}
	if !h.run.Valid {
		return h, nil
	}
	verdicts := &Verdicts{Confident: true}
	if o.Analyzer == nil && c.Recording == nil {
		verdicts.All = played.Report.Verdicts
	} else {
		if err := leaveCaptures(folder); err != nil {
			return nil, err
		}
		ask := o.Analyzer
		if ask == nil {
			ask = own
		}
		tell(Progress{OnTrial: true})
		verdicts, err = ask(ctx, filepath.Join(folder, capturesFolder))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			h.run.Broke, verdicts = err.Error(), &Verdicts{}
			var broken *brokenError
			if errors.As(err, &broken) {
				h.run.Stderr = broken.stderr
			}
		}
	}
	h.judged, h.confident = verdicts.judge(played.Truths, o.Names), verdicts.Confident
	h.run.Score = scenarios.ScoreOf(h.judged)
	h.run.UnknownHops, err = verdicts.unknownHops(c.Scenario)
	return h, err
}

// play plays a case, or takes the captures of its recording.
func (o *Options) play(ctx context.Context, c Case, folder string, tell func(Progress)) (*scenarios.Result, error) {
	if c.Recording != nil {
		// A copy, whose name tells nothing.
		to := filepath.Join(folder, capturesFolder)
		if err := os.CopyFS(to, os.DirFS(filepath.Join(c.Recording.Path, capturesFolder))); err != nil {
			return nil, fmt.Errorf("trial: %w", err)
		}
		return c.Recording.Result, c.Recording.ReadReport()
	}
	options := scenarios.Options{Seed: &o.Seed, Out: folder, Progress: func(p scenarios.Progress) { tell(Progress{Run: p}) }}
	if n := c.Scenario.Config(0).Requests; o.Requests > 0 && o.Requests < n {
		options.Requests = o.Requests
	}
	return scenarios.Run(ctx, c.Scenario, options)
}

// newRun is what there is to say of a run before anybody is judged by it.
func newRun(called string, r *scenarios.Result) Run {
	return Run{Scenario: r.Scenario, Seed: r.Seed, Requests: r.Requests.Sent, Failed: r.Requests.Failed,
		Valid: r.Valid, InvalidBecause: r.InvalidBecause,
		Repeat: r.Repeat(called)}
}

// own is hopblame's own analyzer.
func own(ctx context.Context, captures string) (*Verdicts, error) {
	points, err := analyzer.LoadPoints(captures)
	if err != nil {
		return nil, err
	}
	var o analyzer.Options
	keys, err := os.Open(filepath.Join(captures, keyLog))
	switch {
	case err == nil:
		defer keys.Close()
		o.KeyLog = keys
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	r, err := analyzer.Analyze(ctx, points, o)
	if err != nil {
		return nil, err
	}
	return &Verdicts{All: r.Verdicts, Confident: true}, nil
}

// keyLog is where the client's TLS secrets lie beside the captures.
const keyLog = "keys.log"

// judge grades verdicts, whose hops have names of their own.
func (v *Verdicts) judge(truths []scenarios.Truth, names Names) []scenarios.Judgement {
	names.translate(v.All)
	return scenarios.Judge(truths, v.All)
}

// unknownHops are the hops of verdicts, in our words, that a scenario's lab has not.
func (v *Verdicts) unknownHops(s *scenarios.Scenario) (unknown []string, err error) {
	known, err := s.Hops()
	if err != nil {
		return nil, err
	}
	for i := range v.All {
		if hop := v.All[i].Hop; hop != "" && !slices.Contains(known, hop) && !slices.Contains(unknown, hop) {
			unknown = append(unknown, hop)
		}
	}
	return unknown, nil
}

// capturesFolder is the part of a run directory that an analyzer may see.
const capturesFolder = "captures"

// leaveCaptures takes everything else out of a run directory: truth, our own verdicts, the
// scenario's name.
func leaveCaptures(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if e.Name() != capturesFolder {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("trial: put the truth out of reach: %w", err)
	}
	return nil
}

// Score judges an analyzer's verdicts on a recorded run.
func Score(ctx context.Context, r *scenarios.Recording, name string, v *Verdicts, names Names) (*Result, error) {
	if err := r.ReadReport(); err != nil {
		return nil, err
	}
	judged := v.judge(r.Result.Truths, names)
	sum := newCards()
	sum.add(judged, v.Confident)
	card := sum.card()
	if err := draw(ctx, filepath.Join(r.Path, capturesFolder), r.Result.Report, r.Result.Truths, card.Score.Errors); err != nil {
		return nil, err
	}
	run := newRun(filepath.Join(r.Path, "scenario.yaml"), r.Result)
	run.Score = card.Score
	var err error
	if run.UnknownHops, err = v.unknownHops(r.Scenario); err != nil {
		return nil, err
	}
	return &Result{SchemaVersion: SchemaVersion, Analyzer: name, Card: card, Runs: []Run{run}}, nil
}
