package testkit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/hopblame/hopblame/analyzer"
)

// SolveEveryFailure succeeds if every request that failed, of which there must be one, has
// a right verdict, and no other request has any. Right is what the truth of that request
// says, and what the scenario accepts instead. The actual value is what [Run] returned, or
// a *scenarios.Result. A miss lists what is not right:
//
//	Expected firewall-drops-syn, seed 7, to have all 3 failed requests solved
//	but 3 failures: 2 correct, 0 acceptable, 1 wrong, 0 inconclusive, 0 missed; 0 false alarms
//	  ✗ wrong: request 17: it blamed server1 for no-answer, right is firewall for syn-dropped
func SolveEveryFailure() types.GomegaMatcher { return &solveEveryFailure{} }

type solveEveryFailure struct{}

func (*solveEveryFailure) Match(actual any) (bool, error) {
	r, err := judgeable("SolveEveryFailure", actual)
	return err == nil && r.Requests.Failed > 0 && r.Score.Passed(), err
}

func (*solveEveryFailure) FailureMessage(actual any) string {
	r, err := judgeable("SolveEveryFailure", actual)
	if err != nil {
		return err.Error()
	}
	claim := fmt.Sprintf("to have %s solved", all(r.Requests.Failed))
	if r.Requests.Failed == 0 && r.Score.Passed() {
		return r.miss(claim, noneFailed(r), nil)
	}
	return r.miss(claim, r.Score.String()+bullets(r.errors()), r.firstError())
}

func (*solveEveryFailure) NegatedFailureMessage(actual any) string {
	r, err := judgeable("SolveEveryFailure", actual)
	if err != nil {
		return err.Error()
	}
	return r.miss(fmt.Sprintf("not to have %s solved", all(r.Requests.Failed)), r.Score.String(), nil)
}

// maxErrors is how many verdicts a message lists.
const maxErrors = 5

// errors are the verdicts that are not right, one a line.
func (r *Result) errors() (lines []string) {
	for i, e := range r.Score.Errors {
		if i == maxErrors {
			return append(lines, "… and more")
		}
		var right []string
		for _, p := range e.Want {
			right = append(right, words(p))
		}
		if right == nil {
			right = []string{"no verdict"}
		}
		got := "it has no verdict"
		if e.Got != nil {
			got = "it blamed " + words(*e.Got)
		}
		lines = append(lines, fmt.Sprintf("%s: request %s: %s, right is %s", e.Kind, e.ID, got, strings.Join(right, " or ")))
	}
	return lines
}

// firstError is the verdict of the first error that has one; nil if none has.
func (r *Result) firstError() *analyzer.Verdict {
	for _, e := range r.Score.Errors {
		i := slices.IndexFunc(r.Report.Verdicts, func(v analyzer.Verdict) bool {
			return e.Got != nil && v.Request.ID == e.ID && v.Request.Client == e.Request && pairOf(&v) == *e.Got
		})
		if i >= 0 {
			return &r.Report.Verdicts[i]
		}
	}
	return nil
}
