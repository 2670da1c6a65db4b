package testkit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// MatchExpectations succeeds if a run came out as a scenario says under expect: every
// request that failed, of which there must be one, is solved, each by an answer that is
// listed there; and where nothing is listed, no verdict was given. The actual value is
// what [Run] returned, or a *scenarios.Result. A miss says who was blamed instead:
//
//	Expected firewall-drops-syn, seed 7, to blame firewall for syn-dropped, in all 3 failed requests
//	but it blamed firewall for syn-dropped in 2, server1 for no-answer in 1
//	  ✗ wrong: request 17 (198.18.50.88:32785): got server1 no-answer, want firewall syn-dropped
func MatchExpectations(s *scenarios.Scenario) types.GomegaMatcher { return &matchExpectations{s} }

type matchExpectations struct{ s *scenarios.Scenario }

func (m *matchExpectations) Match(actual any) (bool, error) {
	r, err := judgeable("MatchExpectations", actual)
	switch {
	case err != nil:
		return false, err
	case m.s == nil:
		return false, fmt.Errorf("MatchExpectations matcher expects a *scenarios.Scenario, got nil")
	case len(m.s.Expect) == 0:
		return len(r.Report.Verdicts) == 0 && r.Score.Passed(), nil
	}
	return r.Requests.Failed > 0 && r.Score.Passed() && m.unlisted(r) == nil, nil
}

// listed are the answers that are right.
func (m *matchExpectations) listed() (pairs []scenarios.Pair) {
	for _, e := range m.s.Expect {
		pairs = append(append(pairs, e.Pair), e.Accept...)
	}
	return pairs
}

// unlisted is the first verdict that is none of the right answers; nil if all are.
func (m *matchExpectations) unlisted(r *Result) *analyzer.Verdict {
	listed := m.listed()
	for i := range r.Report.Verdicts {
		if v := &r.Report.Verdicts[i]; !slices.Contains(listed, pairOf(v)) {
			return v
		}
	}
	return nil
}

func (m *matchExpectations) claim(r *Result) string {
	if len(m.s.Expect) == 0 {
		return "to blame nobody"
	}
	var right []string
	for _, p := range m.listed() {
		if w := words(p); !slices.Contains(right, w) {
			right = append(right, w)
		}
	}
	return fmt.Sprintf("to blame %s, in %s", strings.Join(right, ", or "), all(r.Requests.Failed))
}

func (m *matchExpectations) FailureMessage(actual any) string {
	r, err := judgeable("MatchExpectations", actual)
	if err != nil {
		return err.Error()
	}
	if len(m.s.Expect) > 0 && r.Requests.Failed == 0 && len(r.Report.Verdicts) == 0 {
		return r.miss(m.claim(r), noneFailed(r), nil)
	}
	example := m.unlisted(r)
	if example == nil {
		example = r.firstError()
	}
	return r.miss(m.claim(r), blamed(r.Report.Verdicts)+bullets(r.errors()), example)
}

func (m *matchExpectations) NegatedFailureMessage(actual any) string {
	r, err := judgeable("MatchExpectations", actual)
	if err != nil {
		return err.Error()
	}
	return r.miss("not "+m.claim(r), blamed(r.Report.Verdicts), nil)
}
