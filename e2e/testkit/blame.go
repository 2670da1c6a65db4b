package testkit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/scenarios"
)

// Blame succeeds if the analyzer blames a hop ("firewall", "link:f5-firewall", "server2")
// for every request that failed, of which there must be one; [BlameMatcher.For] says for
// what. The actual value is what [Run] returned, or a *scenarios.Result. A miss says who
// was blamed instead, and shows one of those verdicts:
//
//	Expected firewall-drops-syn, seed 7, to blame firewall for syn-dropped in all 3 failed requests
//	but it blamed firewall for syn-dropped in 2, nobody (inconclusive) in 1
//
//	request 17 of 198.18.50.88:32785: reset by f5 (TCP retransmit timeout)
//	verdict: nobody (inconclusive)
//	  client/eth0      frame 55: the client's SYN
//	  firewall/feth10  frames 1–1236: no SYN of this connection
//
// NotTo(Blame(…)) wants it blamed for none. What lies between, some and not all, satisfies
// neither: say how many with [BlameMatcher.Requests] or [BlameMatcher.Share].
func Blame(hop string) *BlameMatcher { return &BlameMatcher{hop: hop} }

// BlameMatcher is what [Blame] returns.
type BlameMatcher struct {
	hop   string
	cause analyzer.Cause

	requests types.GomegaMatcher // nil: not asked for
	number   any                 // what was asked for, for the message
	share    *float64            // nil: not asked for
}

// For narrows the blame to a cause: "syn-dropped", "mtu-blackhole", any of
// [analyzer.Causes].
func (m *BlameMatcher) For(cause analyzer.Cause) *BlameMatcher {
	m.cause = cause
	return m
}

// Requests says for how many failed requests it is blamed: a number, or a matcher of one,
// such as BeNumerically(">=", 3).
func (m *BlameMatcher) Requests(n any) *BlameMatcher {
	m.number = n
	if is, isMatcher := n.(types.GomegaMatcher); isMatcher {
		m.requests = is
	} else {
		m.requests = gomega.BeEquivalentTo(n)
	}
	return m
}

// Share says for which part of the failed requests it is blamed at least: above 0, and at
// most 1. There must be one.
func (m *BlameMatcher) Share(least float64) *BlameMatcher {
	m.share = &least
	return m
}

// Match implements [types.GomegaMatcher].
func (m *BlameMatcher) Match(actual any) (bool, error) {
	r, err := judgeable("Blame", actual)
	if err == nil {
		err = m.check(r)
	}
	if err != nil {
		return false, err
	}
	hits, failed := m.hits(r), r.Requests.Failed
	switch {
	case m.requests != nil:
		return m.requests.Match(hits)
	case m.share != nil:
		return failed > 0 && float64(hits) >= *m.share*float64(failed), nil
	case hits > 0 && (hits < failed || hits < len(r.Report.Verdicts)):
		return false, errors.New(m.message(actual, "", func(n int) string { return all(n) + " (NotTo: in none)" }))
	}
	return failed > 0 && hits == failed, nil
}

// check reports a question that has no sense: it would be a miss for ever, and its
// negation no assertion at all.
func (m *BlameMatcher) check(r *Result) error {
	if m.cause != "" && !m.cause.Valid() {
		return fmt.Errorf("Blame: unknown cause %q%s", m.cause, nearest.HintOrAll(m.cause, slices.Collect(maps.Keys(analyzer.Causes))))
	}
	if m.share != nil && !(*m.share > 0 && *m.share <= 1) { // NaN too
		return fmt.Errorf("Blame: share %v: must be above 0 and at most 1", *m.share)
	}
	if m.hop == "" {
		return errors.New("Blame: which hop is meant? Verdicts that name none have the cause inconclusive")
	}
	if r.Played == nil {
		return nil // a result that was read from its file
	}
	asked := *r.Played
	pair := scenarios.Pair{Hop: m.hop, Cause: m.cause}
	if pair.Cause == "" {
		pair.Cause = analyzer.Inconclusive
	}
	asked.Expect = append(slices.Clone(asked.Expect), scenarios.Expectation{Pair: pair})
	if err := asked.Validate(); err != nil {
		return fmt.Errorf("Blame: %s", strings.TrimPrefix(err.Error(), "expect: "))
	}
	return nil
}

// blames says whether a verdict is as asked for.
func (m *BlameMatcher) blames(v analyzer.Verdict) bool {
	return v.Hop == m.hop && (m.cause == "" || v.Cause == m.cause)
}

func (m *BlameMatcher) hits(r *Result) (n int) {
	for _, v := range r.Report.Verdicts {
		if m.blames(v) {
			n++
		}
	}
	return n
}

// wanted is what was claimed of the failed requests that are meant by of: all, or none.
func (m *BlameMatcher) wanted(r *Result, of string) string {
	claim, failed := "to blame "+words(scenarios.Pair{Hop: m.hop, Cause: m.cause}), failures(r.Requests.Failed)
	_, isMatcher := m.number.(types.GomegaMatcher)
	switch {
	case isMatcher:
		return claim + ", in as many of " + failed + " as match:\n" + strings.TrimPrefix(m.requests.FailureMessage(m.hits(r)), "Expected\n")
	case m.requests != nil:
		return fmt.Sprintf("%s in %v of %s", claim, m.number, failed)
	case m.share != nil:
		return fmt.Sprintf("%s in at least %g %% of %s", claim, 100**m.share, failed)
	}
	return claim + " in " + of
}

// FailureMessage implements [types.GomegaMatcher].
func (m *BlameMatcher) FailureMessage(actual any) string { return m.message(actual, "", all) }

// NegatedFailureMessage implements [types.GomegaMatcher].
func (m *BlameMatcher) NegatedFailureMessage(actual any) string {
	not := "not "
	if m.requests == nil && m.share == nil {
		not = ""
	}
	return m.message(actual, not, func(n int) string { return "none of " + failures(n) })
}

// message is what is printed of a miss.
func (m *BlameMatcher) message(actual any, not string, of func(int) string) string {
	r, err := judgeable("Blame", actual)
	if err != nil {
		return err.Error()
	}
	claim := not + m.wanted(r, of(r.Requests.Failed))
	if r.Requests.Failed == 0 && len(r.Report.Verdicts) == 0 {
		return r.miss(claim, noneFailed(r), nil)
	}
	return r.miss(claim, blamed(r.Report.Verdicts), m.example(r))
}

// example is the first verdict that is not as asked for; else the first of all.
func (m *BlameMatcher) example(r *Result) *analyzer.Verdict {
	for i, v := range r.Report.Verdicts {
		if !m.blames(v) {
			return &r.Report.Verdicts[i]
		}
	}
	if len(r.Report.Verdicts) > 0 {
		return &r.Report.Verdicts[0]
	}
	return nil
}

// noneFailed says that there was nothing to judge, and what may change that.
func noneFailed(r *Result) string {
	return fmt.Sprintf("none of %d requests failed, so there was nothing to judge: send more, or make the fault more probable", r.Requests.Sent)
}
