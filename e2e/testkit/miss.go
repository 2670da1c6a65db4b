package testkit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onsi/gomega/format"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
)

// resultOf takes what a matcher is given. Anything but a run is a mistake in the suite.
func resultOf(matcher string, actual any) (*Result, error) {
	switch r := actual.(type) {
	case *Result:
		if r != nil && r.Result != nil {
			return r, nil
		}
	case *scenarios.Result:
		if r != nil {
			return &Result{Result: r, Repeat: []string{r.Repeat(r.Scenario)}}, nil
		}
	}
	return nil, fmt.Errorf("%s matcher expects a *testkit.Result or a *scenarios.Result, got:\n%s", matcher, format.Object(actual, 1))
}

// judgeable takes what a matcher is given and refuses, whichever way the assertion goes,
// to judge anybody by a run that is INVALID.
func judgeable(matcher string, actual any) (*Result, error) {
	r, err := resultOf(matcher, actual)
	switch {
	case err != nil:
		return nil, err
	case !r.Valid:
		return nil, fmt.Errorf("%s: nobody can be judged by this run, which is INVALID:%s%s", matcher, bullets(r.InvalidBecause), r.trailer(nil))
	case r.Report == nil:
		return nil, fmt.Errorf("%s: this result has no verdicts, as one that was read from its file", matcher)
	}
	return r, nil
}

// miss is what a matcher prints: the claim, what came instead, how one of the requests
// went, and how to play it again.
func (r *Result) miss(claim, got string, example *analyzer.Verdict) string {
	return fmt.Sprintf("Expected %s, seed %d, %s\nbut %s%s", r.Scenario, r.Seed, claim, got, r.trailer(example))
}

// trailer is what every message ends with.
func (r *Result) trailer(example *analyzer.Verdict) string {
	var b strings.Builder
	b.WriteString("\n")
	if example != nil {
		r.told = true
		b.WriteString("\n" + r.ladderOf(example) + "\n")
	}
	for i, command := range r.Repeat {
		b.WriteString("\n" + cmp.Or(map[int]string{0: "Repeat: "}[i], "    or: ") + command)
	}
	if r.Dir != "" {
		b.WriteString("\n Files: " + r.Dir)
	}
	return b.String()
}

func bullets(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("\n  ✗ " + l)
	}
	return b.String()
}

// blamed tells how often which hop was blamed for what, the most frequent first.
func blamed(verdicts []analyzer.Verdict) string {
	n := map[scenarios.Pair]int{}
	for i := range verdicts {
		n[pairOf(&verdicts[i])]++
	}
	if len(n) == 0 {
		return "no verdict was given"
	}
	pairs := slices.SortedFunc(maps.Keys(n), func(a, b scenarios.Pair) int {
		return cmp.Or(n[b]-n[a], cmp.Compare(words(a), words(b)))
	})
	var parts []string
	for _, p := range pairs {
		parts = append(parts, fmt.Sprintf("%s in %s", words(p), digits.Group(n[p])))
	}
	return "it blamed " + strings.Join(parts, ", ")
}

func pairOf(v *analyzer.Verdict) scenarios.Pair { return scenarios.Pair{Hop: v.Hop, Cause: v.Cause} }

// words is a hop and a cause, or that there is none.
func words(p scenarios.Pair) string {
	switch {
	case p.Hop == "":
		return "nobody (" + string(p.Cause) + ")"
	case p.Cause == "":
		return p.Hop
	}
	return p.Hop + " for " + string(p.Cause)
}

// failures is a number of failed requests, in words.
func failures(n int) string {
	if n == 1 {
		return "1 failed request"
	}
	return digits.Group(n) + " failed requests"
}

// all are as many failed requests as there are.
func all(n int) string {
	switch n {
	case 0:
		return "all failed requests"
	case 1:
		return "the one failed request"
	}
	return "all " + failures(n)
}
