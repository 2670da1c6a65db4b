package mutation

import (
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// Harm is what a defective analyzer does worse than the original on one run. The zero
// value is none.
type Harm struct {
	Scenario    string
	Wrong       int    // names a wrong hop or cause
	Missed      int    // gives no verdict
	Undecided   int    // names nothing, where the original did
	FalseAlarms int    // blames somebody for what did not fail, where the original did not
	Broke       string // why it gave no verdicts at all: it crashed, hung, or refused the input
}

// Any tells whether there is some.
func (h *Harm) Any() bool {
	return h.Wrong+h.Missed+h.Undecided+h.FalseAlarms > 0 || h.Broke != ""
}

// String says it in a few words.
func (h *Harm) String() string {
	if h.Broke != "" {
		return h.Broke
	}
	var s []string
	for _, c := range []struct {
		n    int
		what string
	}{{h.Wrong, "wrong"}, {h.FalseAlarms, "false alarms"}, {h.Missed, "missed"}, {h.Undecided, "undecided"}} {
		if c.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(s, ", ")
}

// compare sets an analyzer's judgements on a run against the original's. Both begin with
// those of the failed requests, in the same order.
func compare(original, mutant []scenarios.Judgement) (h Harm) {
	alarms := 0
	for i := range original {
		o := &original[i]
		if o.Truth == nil {
			alarms++
			continue
		}
		m := &mutant[i]
		switch {
		case !o.Grade.Right():
		case m.Grade == scenarios.Wrong:
			h.Wrong++
		case m.Grade == scenarios.Missed:
			h.Missed++
		case undecided(m) && !undecided(o): // also where that may be right
			h.Undecided++
		}
	}
	for i := range mutant {
		if mutant[i].Truth == nil {
			alarms--
		}
	}
	h.FalseAlarms = max(0, -alarms)
	return h
}

// undecided tells whether a verdict names nothing.
func undecided(j *scenarios.Judgement) bool {
	return j.Verdict != nil && j.Verdict.Cause == analyzer.Inconclusive
}
