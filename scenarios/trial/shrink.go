package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/scratch"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
)

// ErrNoMistake says that there is nothing to make smaller: the analyzer does not err.
var ErrNoMistake = errors.New("the analyzer makes no mistake")

// ShrinkOptions says who errs, and how long to look for less to err on.
type ShrinkOptions struct {
	Analyzer Analyzer // who is on trial; nil is hopblame's own
	Names    Names
	// Patience is after what time no other attempt is begun; 0 means [DefaultPatience].
	Patience time.Duration
	Progress func(Shrunk) // nil: nobody looks
}

// DefaultPatience bounds the search for a smaller run.
const DefaultPatience = 2 * time.Minute

// Shrunk is the smallest run found on which an analyzer errs.
type Shrunk struct {
	SchemaVersion int                 `json:"schema_version"`
	Scenario      *scenarios.Scenario `json:"-"`
	Seed          uint64              `json:"seed"`
	Requests      int                 `json:"requests"` // that are sent
	Faults        int                 `json:"faults"`   // observers' too
	Before        struct {
		Requests int `json:"requests"`
		Faults   int `json:"faults"`
	} `json:"before"`
	// Mistake is the one that is still made; Like what it was in the whole run.
	Mistake scenarios.ScoreError `json:"mistake"`
	Like    scenarios.ScoreError `json:"like"`
	Played  int                  `json:"played"` // runs that the search took
	Took    float64              `json:"took_s"`
}

// shrinker looks for a smaller run.
type shrinker struct {
	ShrinkOptions
	recording *scenarios.Recording
	folder    string
	until     time.Time
	best      Shrunk
}

// Shrink finds the fewest requests and faults of a recorded run on which an analyzer still
// makes a mistake of the same kind. With the same seed a request meets what it met among
// all others, so most mistakes can be had with that one alone; some need its neighbours,
// and some are chance and cannot be had again, of which the error says so.
//
// A run on which there is no mistake is [ErrNoMistake].
func Shrink(ctx context.Context, r *scenarios.Recording, o ShrinkOptions) (*Shrunk, error) {
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	begun := time.Now()
	folder, err := scratch.New()
	if err != nil {
		return nil, fmt.Errorf("shrink: %w", err)
	}
	defer folder.Close()
	s := &shrinker{ShrinkOptions: o, recording: r, folder: folder.Path, until: begun.Add(o.Patience)}
	whole, err := s.mistakes(ctx, Case{Scenario: r.Scenario, Recording: r})
	if err != nil {
		return nil, err
	}
	if len(whole) == 0 {
		return nil, fmt.Errorf("run %s: %w in it", r.Path, ErrNoMistake)
	}
	s.best = Shrunk{SchemaVersion: SchemaVersion, Seed: r.Result.Seed, Like: whole[0].Reproach()}
	s.best.Before.Requests, s.best.Before.Faults = r.Result.Requests.Sent, faultsOf(r.Scenario)
	if err := s.fewerRequests(ctx, whole); err != nil {
		return nil, err
	}
	if s.best.Scenario == nil {
		return nil, fmt.Errorf("run %s: the mistake (%s) was not made again in %d smaller runs: it is chance, or needs more of the requests than could be tried in %v",
			r.Path, s.best.Like.String(), s.best.Played, o.Patience)
	}
	if err := s.fewerFaults(ctx); err != nil {
		return nil, err
	}
	s.best.Took = time.Since(begun).Seconds()
	return &s.best, nil
}

// faultsOf counts a scenario's faults, and its observers'.
func faultsOf(s *scenarios.Scenario) int { return len(s.Faults) + len(s.Observe.Faults) }

// mistakes are what an analyzer errs in, in a case: the worst kind of it.
func (s *shrinker) mistakes(ctx context.Context, c Case) ([]scenarios.Judgement, error) {
	o := Options{Seed: s.recording.Result.Seed, Analyzer: s.Analyzer, Names: s.Names}
	folder := filepath.Join(s.folder, fmt.Sprint(s.best.Played))
	defer os.RemoveAll(folder)
	h, err := o.try(ctx, c, folder, func(Progress) {})
	switch {
	case err != nil:
		return nil, err
	case h.run.Broke != "":
		return nil, fmt.Errorf("the analyzer gave no verdicts: %s", h.run.Broke)
	case !h.run.Valid:
		return nil, nil // nobody is judged by it
	}
	worst := scenarios.Grade("")
	for i := range h.judged {
		if g := h.judged[i].Grade; !g.Right() && (worst == "" || g.Worse(worst)) {
			worst = g
		}
	}
	return slices.DeleteFunc(h.judged, func(j scenarios.Judgement) bool { return j.Grade != worst || j.Grade.Right() }), nil
}

// try plays a smaller run; true if the mistake is made in it, and it is then the best so
// far. Once patience is at an end nothing is tried any more.
func (s *shrinker) try(ctx context.Context, smaller *scenarios.Scenario) (bool, error) {
	if time.Now().After(s.until) || smaller.Validate() != nil {
		return false, nil
	}
	s.best.Played++
	found, err := s.mistakes(ctx, Case{Scenario: smaller})
	if err != nil || len(found) == 0 || found[0].Grade != s.best.Like.Kind {
		return false, err
	}
	s.best.Scenario, s.best.Requests, s.best.Faults = smaller, len(smaller.Traffic.Only), faultsOf(smaller)
	s.best.Mistake = found[0].Reproach()
	if s.Progress != nil {
		s.Progress(s.best)
	}
	return true, nil
}

// mostAlone are the mistakes that are tried one by one before their neighbours are.
const mostAlone = 3

// fewerRequests looks for a mistake that is made with one request alone, then for the
// smallest set in which it is made, of the failed requests about it or of all that are about
// it, in turns; and takes out of that what it can.
func (s *shrinker) fewerRequests(ctx context.Context, mistakes []scenarios.Judgement) error {
	all := s.recording.Result.Truths
	only := func(ordinals []int) *scenarios.Scenario {
		smaller := *s.recording.Scenario
		smaller.Traffic.Requests, smaller.Traffic.Only = len(all), ordinals
		return &smaller
	}
	var at []int
	for i := range mistakes {
		if o := ordinalOf(&mistakes[i], all); o >= 0 {
			at = append(at, o)
		}
	}
	for _, o := range at[:min(len(at), mostAlone)] {
		if done, err := s.try(ctx, only([]int{o})); done || err != nil {
			return err
		}
	}
	if len(at) == 0 {
		at = []int{len(all) / 2} // a verdict on nobody's request: wherever it is, it is there
	}
	for failed, size := 2, 4; ; failed, size = failed*2, size*4 {
		for _, set := range [][]int{failedAround(at[0], failed, all), around(at[0], size, all)} {
			found, err := s.try(ctx, only(set))
			if err != nil {
				return err
			}
			if found {
				return s.reduce(ctx, set, only)
			}
		}
		if size >= len(all) || time.Now().After(s.until) {
			return nil
		}
	}
}

// failedAround are so many ordinals, fewer if there are no more: one, and those of failed
// requests that are nearest to it; with the nearest that did not fail, for a capture in
// which nothing gets through proves nothing.
func failedAround(ordinal, size int, all []scenarios.Truth) []int {
	var failed, healthy []int
	for o := range all {
		switch {
		case o == ordinal || all[o].Outcome == client.NotSent:
		case all[o].Failed():
			failed = append(failed, o)
		default:
			healthy = append(healthy, o)
		}
	}
	nearest := func(of []int, n int) []int {
		slices.SortStableFunc(of, func(a, b int) int { return max(a-ordinal, ordinal-a) - max(b-ordinal, ordinal-b) })
		return of[:min(len(of), n)]
	}
	set := slices.Concat([]int{ordinal}, nearest(failed, size-1), nearest(healthy, 1))
	slices.Sort(set)
	return set
}

// reduce takes parts out of a set of requests as long as the mistake is made without them:
// delta debugging (Zeller and Hildebrandt 2002, IEEE TSE 28(2)), by complements.
func (s *shrinker) reduce(ctx context.Context, set []int, only func([]int) *scenarios.Scenario) error {
	for parts := 2; len(set) > 1; {
		size := (len(set) + parts - 1) / parts
		smaller := false
		for from := 0; from < len(set); from += size {
			rest := slices.Delete(slices.Clone(set), from, min(from+size, len(set)))
			if len(rest) == 0 {
				continue
			}
			found, err := s.try(ctx, only(rest))
			if err != nil {
				return err
			}
			if found {
				set, parts, smaller = rest, max(2, parts-1), true
				break
			}
		}
		if !smaller {
			if size == 1 || time.Now().After(s.until) {
				return nil
			}
			parts = min(2*parts, len(set))
		}
	}
	return nil
}

// ordinalOf is the request that a judgement is about; -1 if it is nobody's.
func ordinalOf(j *scenarios.Judgement, all []scenarios.Truth) int {
	if j.Truth != nil {
		return j.Truth.Ordinal
	}
	r := j.Verdict.Request
	return slices.IndexFunc(all, func(t scenarios.Truth) bool {
		return r.ID != "" && t.ID == r.ID || r.ID == "" && t.Client.String() == r.Client
	})
}

// around are so many ordinals about one, of those that were sent.
func around(ordinal, size int, all []scenarios.Truth) (window []int) {
	from := max(0, min(ordinal-size/2, len(all)-size))
	for o := from; o < min(from+size, len(all)); o++ {
		if all[o].Outcome != client.NotSent {
			window = append(window, o)
		}
	}
	return window
}

// fewerFaults takes out the faults, the network's and the observers', that the mistake can
// do without.
func (s *shrinker) fewerFaults(ctx context.Context) error {
	for i := len(s.best.Scenario.Faults) - 1; i >= 0 && len(s.best.Scenario.Faults) > 1; i-- {
		smaller := *s.best.Scenario
		smaller.Faults = slices.Delete(slices.Clone(smaller.Faults), i, i+1)
		if _, err := s.try(ctx, &smaller); err != nil {
			return err
		}
	}
	for i := len(s.best.Scenario.Observe.Faults) - 1; i >= 0; i-- {
		smaller := *s.best.Scenario
		smaller.Observe.Faults = slices.Delete(slices.Clone(smaller.Observe.Faults), i, i+1)
		if _, err := s.try(ctx, &smaller); err != nil {
			return err
		}
	}
	return nil
}
