package trial

import (
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/scenarios"
)

// Merge puts the parts of a trial together: those of a matrix's jobs. They must be of one
// analyzer, and no scenario may be in two with the same seed.
func Merge(parts []*Result) (*Result, error) {
	type once struct {
		scenario string
		seed     uint64
	}
	in := map[once]bool{}
	all := &Result{SchemaVersion: SchemaVersion, Runs: []Run{}}
	sum := sums{hops: map[Cell]int{}, causes: map[Cell]int{}}
	for i, p := range parts {
		if i > 0 && p.Analyzer != all.Analyzer {
			return nil, fmt.Errorf("these are not parts of one trial: %q was on trial in one, and %q in another", all.Analyzer, p.Analyzer)
		}
		all.Analyzer = p.Analyzer
		for _, r := range p.Runs {
			if in[once{r.Scenario, r.Seed}] {
				return nil, fmt.Errorf("scenario %s with seed %d is in two of them, and would count twice", r.Scenario, r.Seed)
			}
			in[once{r.Scenario, r.Seed}] = true
			all.Runs = append(all.Runs, r)
			if r.Valid {
				sum.score(&r.Score)
			}
		}
		sum.card(&p.Card)
	}
	all.Card = sum.result()
	return all, nil
}

// sums adds cards up.
type sums struct {
	total        scenarios.Score
	hops, causes map[Cell]int
	calibration  *Calibration
}

func (s *sums) score(add *scenarios.Score) {
	for _, n := range []struct {
		sum *int
		n   int
	}{{&s.total.Failures, add.Failures}, {&s.total.Correct, add.Correct}, {&s.total.Acceptable, add.Acceptable}, {&s.total.Wrong, add.Wrong},
		{&s.total.Inconclusive, add.Inconclusive}, {&s.total.Missed, add.Missed}, {&s.total.FalseAlarms, add.FalseAlarms}} {
		*n.sum += n.n
	}
	s.total.Errors = append(s.total.Errors, add.Errors...)
}

func (s *sums) card(add *Card) {
	for _, k := range []struct {
		sum  map[Cell]int
		more []Cell
	}{{s.hops, add.Confusion.Hops}, {s.causes, add.Confusion.Causes}} {
		for _, c := range k.more {
			k.sum[Cell{Truth: c.Truth, Said: c.Said}] += c.Failures
		}
	}
	s.calibration = together(s.calibration, add.Calibration)
}

func (s *sums) result() Card {
	s.total.Errors = scenarios.Worst(s.total.Errors)
	c := cardOf(s.total, s.hops, s.causes)
	c.Calibration = s.calibration
	return c
}

// together adds two calibrations up, of which one or both may be nil.
func together(a, b *Calibration) *Calibration {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	n, m := float64(a.Verdicts), float64(b.Verdicts)
	sum := &Calibration{Verdicts: a.Verdicts + b.Verdicts, Brier: (a.Brier*n + b.Brier*m) / max(1, n+m), Buckets: []Bucket{}}
	for i := range edges[1:] {
		both := Bucket{From: edges[i], To: edges[i+1]}
		for _, k := range slices.Concat(a.Buckets, b.Buckets) {
			if k.From == both.From {
				v := float64(k.Verdicts)
				both.Verdicts, both.Said, both.Right = both.Verdicts+k.Verdicts, both.Said+k.Said*v, both.Right+k.Right*v
			}
		}
		if v := float64(both.Verdicts); v > 0 {
			both.Said, both.Right = both.Said/v, both.Right/v
			sum.Buckets = append(sum.Buckets, both)
		}
	}
	return sum
}
