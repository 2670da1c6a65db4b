package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/firewall"
)

// ReplayOptions tunes a repetition. The zero value is the same run again.
type ReplayOptions struct {
	Without     []string // faults to take out, by name, and reasons of a stateful firewall's
	Concurrency int      // 0: as it was
	Out         string   // run directory of the repetition; "" keeps nothing
	Progress    func(Progress)
}

// UnknownFaultError says that a run had no fault of a name.
type UnknownFaultError struct {
	Run, Name string
	Known     []string // the faults that it had
}

func (e *UnknownFaultError) Error() string {
	had := "it had none"
	if len(e.Known) > 0 {
		had = "it had " + strings.Join(e.Known, ", ")
	}
	return fmt.Sprintf("run %s had no fault %q%s; %s", e.Run, e.Name, nearest.Hint(e.Name, e.Known), had)
}

// ErrNothingToCompare says that the run to be repeated is INVALID: what happened in it is
// not certain, so nothing can be held against it.
var ErrNothingToCompare = errors.New("is INVALID, so there is nothing to compare a repetition with")

// Replay compares a run with its repetition: the output of replay --json.
type Replay struct {
	SchemaVersion int      `json:"schema_version"`
	Run           string   `json:"run"` // the directory
	Scenario      string   `json:"scenario"`
	Seed          uint64   `json:"seed"`
	Concurrency   int      `json:"concurrency"` // of the repetition
	Without       []string `json:"without"`
	// Holds says that every request which the faults taken out had hit succeeds now, or is
	// hit by another fault, and that all the rest is as it was.
	Holds bool `json:"holds"`
	// Valid and InvalidBecause are the repetition's own check.
	Valid          bool     `json:"valid"`
	InvalidBecause []string `json:"invalid_because"`
	// Predictable says that who is hit follows from the seed. Where it does not — a fault
	// is per packet, the f5 goes by load — the rest need not be as it was.
	Predictable bool          `json:"predictable"`
	Hit         []HitCounts   `json:"hit"` // by fault, in the order of Without
	Rest        RestCounts    `json:"rest"`
	Digest      Digests       `json:"digest"`
	Differs     []Difference  `json:"differs"`
	Before      RequestCounts `json:"requests_before"`
	Now         RequestCounts `json:"requests_now"`
	Timing      Timing        `json:"timing_s"` // of the repetition
}

// HitCounts are the requests that a fault had hit which is taken out.
type HitCounts struct {
	Fault    string `json:"fault"`
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`               // of them, before
	OK       int    `json:"ok_now"`               // of them, now
	Others   int    `json:"failed_by_others_now"` // of them, now, for another fault hits them too
}

// RestCounts are the requests that no fault had hit which is taken out.
type RestCounts struct {
	Requests  int `json:"requests"`
	Unchanged int `json:"unchanged"` // the same outcome, and hit by the same faults at the same attempts
}

// Digests sum up what the faults that are left hit of the rest, as [LedgerResult.Digest] does.
type Digests struct {
	Hits   int    `json:"hits"` // before: a fault at an attempt of a request each
	Before string `json:"before"`
	Now    string `json:"now"`
}

// Difference is a request that is not what it is to be after the faults are gone.
type Difference struct {
	Ordinal int  `json:"ordinal"`
	Before  Fate `json:"before"`
	Now     Fate `json:"now"`
	// Because says why that is no contradiction; "" where it is one.
	Because string `json:"because"`
}

// ByChance explains a difference where it does not follow from the seed who is hit.
const ByChance = "whom this scenario hits is chance"

// Fate is what became of a request.
type Fate struct {
	Outcome client.Outcome `json:"outcome"`
	Status  int            `json:"status,omitempty"`
	Faults  []string       `json:"faults,omitempty"` // that hit it
}

// Replay repeats the run with the same seed, and without some of its faults. Those get
// the probability 0, rather than being left out: links keep their middles, stacks their
// settings, and nothing can make a difference but the hits that there are no more. What
// is left is hit as before, for the fate of a connection is a function of seed, fault,
// request and attempt: one fault's does not depend on what others there are.
//
// What a stateful firewall refuses by itself can be taken out by its reason, as the ledger
// names it: the firewall's limit is then out of reach. Whom it hits is chance before and
// after, so only those that it had hit are held to anything.
//
// An unknown fault is an [UnknownFaultError], a run that is no measure
// [ErrNothingToCompare]. A repetition that is INVALID is compared all the same, and the
// comparison says so.
func (r *Recording) Replay(ctx context.Context, o ReplayOptions) (*Replay, error) {
	if err := r.Check(o); err != nil {
		return nil, err
	}
	without := r.without(o.Without)
	options := Options{Seed: &r.Result.Seed, Concurrency: o.Concurrency, Out: o.Out, Progress: o.Progress}
	config := without.With(options).Config(r.Result.Seed)
	_, predictable, err := config.Plan()
	if err != nil {
		return nil, err
	}
	// Whom the firewall's limits hit the first time was chance, out of reach as they may be now.
	predictable = predictable && !r.Scenario.Firewall.Limited()
	again, err := Run(ctx, without, options)
	if err != nil {
		return nil, err
	}
	if len(again.Truths) != len(r.Result.Truths) {
		return nil, fmt.Errorf("run %s: the repetition has %d requests of %d", r.Path, len(again.Truths), len(r.Result.Truths))
	}
	return compare(r, again, unique(o.Without), predictable), nil
}

// Check reports, without running anything, why a run cannot be repeated so.
func (r *Recording) Check(o ReplayOptions) error {
	known := r.faultNames()
	for _, name := range o.Without {
		if !slices.Contains(known, name) {
			return &UnknownFaultError{Run: r.Path, Name: name, Known: known}
		}
	}
	if !r.Result.Valid {
		return fmt.Errorf("run %s %w: %s", r.Path, ErrNothingToCompare, strings.Join(r.Result.InvalidBecause, "; "))
	}
	return nil
}

// without returns the scenario with some faults taken out, and with a firewall that drops
// nothing for some reasons.
func (r *Recording) without(names []string) *Scenario {
	s := *r.Scenario
	s.Faults = slices.Clone(s.Faults)
	for i := range s.Faults {
		if slices.Contains(names, s.Faults[i].Name) {
			s.Faults[i].Probability = 0
		}
	}
	for _, name := range names {
		s.Firewall = s.Firewall.Without(firewall.Reason(name))
	}
	return &s
}

// unique returns words without those that are said again, in their order.
func unique(words []string) []string {
	out := []string{}
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// compare sets a repetition against the run.
func compare(r *Recording, again *Result, without []string, predictable bool) *Replay {
	before := r.Result
	c := &Replay{SchemaVersion: SchemaVersion, Run: r.Path, Scenario: before.Scenario, Seed: before.Seed, Without: without,
		Concurrency: again.Settings.Concurrency, Valid: again.Valid, InvalidBecause: again.InvalidBecause, Predictable: predictable,
		Hit: []HitCounts{}, Differs: []Difference{}, Before: before.Requests, Now: again.Requests, Timing: again.Timing}
	for _, name := range without {
		c.Hit = append(c.Hit, HitCounts{Fault: name})
	}
	was, is := byRequest(before), byRequest(again)
	var wereHit, areHit []Hit // of the rest
	for i := range before.Truths {
		t, now := &before.Truths[i], &again.Truths[i]
		if t.Outcome == client.NotSent {
			continue
		}
		others := whyNow(now, is[i])
		if c.countHit(t, now, was[i], others != "") {
			if now.Failed() {
				c.differ(t, now, was[i], is[i], others)
			}
			continue
		}
		c.Rest.Requests++
		wereHit, areHit = append(wereHit, was[i]...), append(areHit, is[i]...)
		if t.Outcome == now.Outcome && t.Status == now.Status && slices.Equal(was[i], is[i]) {
			c.Rest.Unchanged++
			continue
		}
		because := ""
		if !predictable {
			because = ByChance
		}
		c.differ(t, now, was[i], is[i], because)
	}
	c.Digest = Digests{len(wereHit), digestOf(wereHit), digestOf(areHit)}
	c.Holds = !slices.ContainsFunc(c.Differs, func(d Difference) bool { return d.Because == "" })
	return c
}

// byRequest lists the hits of each request.
func byRequest(r *Result) [][]Hit {
	of := make([][]Hit, len(r.Truths))
	for _, h := range r.Hits {
		if h.Ordinal < len(of) {
			of[h.Ordinal] = append(of[h.Ordinal], h)
		}
	}
	return of
}

// countHit counts a request with each fault that had hit it and is taken out; false if
// there is none.
func (c *Replay) countHit(before, now *Truth, was []Hit, byOthers bool) (hit bool) {
	for i := range c.Hit {
		h := &c.Hit[i]
		if !slices.ContainsFunc(was, func(w Hit) bool { return w.Fault == h.Fault }) {
			continue
		}
		hit = true
		h.Requests++
		if before.Failed() {
			h.Failed++
		}
		switch {
		case !now.Failed():
			h.OK++
		case byOthers:
			h.Others++
		}
	}
	return hit
}

// whyNow says what a request is hit by in the repetition; "" if by nothing. The truth of
// one that failed has the f5's own doing too.
func whyNow(now *Truth, is []Hit) string {
	names := faultsOf(is)
	for _, f := range now.Faults {
		names = append(names, f.Fault)
	}
	if len(names) == 0 {
		return ""
	}
	return "hit by " + strings.Join(unique(names), " and ") + " as well"
}

// differ notes a request that is not what it is to be.
func (c *Replay) differ(before, now *Truth, was, is []Hit, because string) {
	c.Differs = append(c.Differs, Difference{Ordinal: before.Ordinal, Because: because,
		Before: Fate{before.Outcome, before.Status, faultsOf(was)}, Now: Fate{now.Outcome, now.Status, faultsOf(is)}})
}

// faultsOf names the faults of some hits.
func faultsOf(hits []Hit) (names []string) {
	for _, h := range hits {
		names = append(names, h.Fault)
	}
	return unique(names)
}
