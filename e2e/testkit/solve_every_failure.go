package testkit

import (
	"fmt"
	"slices"

	"github.com/onsi/gomega/types"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// SolveEveryFailure succeeds if every request that failed, of which there must be one, has
// a right verdict, and no other request has any. Right is what the truth of that request
// says, and what the scenario accepts instead. The actual value is what [Run] returned, or
// a *scenarios.Result. A miss lists what is not right:
//
//	Expected firewall-drops-syn, seed 7, to have all 3 failed requests solved
//	but 3 failures: 2 correct, 0 acceptable, 1 wrong, 0 inconclusive, 0 missed; 0 false alarms
//	  ✗ wrong: request 17 (198.18.50.88:32785): got server1 no-answer, want firewall syn-dropped
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

// errors are the verdicts that are not right, one a line, the worst first.
func (r *Result) errors() (lines []string) {
	for i := range r.Score.Errors {
		if i == maxErrors {
			return append(lines, "… and more")
		}
		lines = append(lines, r.Score.Errors[i].String())
	}
	return lines
}

// firstError is the worst verdict that is not right; nil if there is none.
func (r *Result) firstError() *analyzer.Verdict {
	all := scenarios.Judge(r.Truths, r.Report.Verdicts)
	for _, grade := range []scenarios.Grade{scenarios.Wrong, scenarios.FalseAlarm, scenarios.Inconclusive} {
		if i := slices.IndexFunc(all, func(j scenarios.Judgement) bool { return j.Grade == grade }); i >= 0 {
			return all[i].Verdict
		}
	}
	return nil
}
