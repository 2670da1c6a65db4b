package testkit

import (
	"fmt"

	"github.com/onsi/gomega/types"
)

// BeValid succeeds if a run has passed its own checks: all that was to be hit was hit,
// ledger, counters and captures agree, and the taps lost nothing. The actual value is what
// [Run] returned, or a *scenarios.Result. A miss says what does not agree:
//
//	Expected firewall-drops-syn, seed 7, to be valid
//	but it is INVALID:
//	  ✗ firewall, to-server: 400 in − 389 out = 11, and 12 are in the ledger
func BeValid() types.GomegaMatcher { return &beValid{} }

type beValid struct{}

func (*beValid) Match(actual any) (bool, error) {
	r, err := resultOf("BeValid", actual)
	return err == nil && r.Valid, err
}

func (*beValid) FailureMessage(actual any) string {
	r, err := resultOf("BeValid", actual)
	if err != nil {
		return err.Error()
	}
	return r.miss("to be valid", "it is INVALID:"+bullets(r.InvalidBecause), nil)
}

func (*beValid) NegatedFailureMessage(actual any) string {
	r, err := resultOf("BeValid", actual)
	if err != nil {
		return err.Error()
	}
	return r.miss("not to be valid", fmt.Sprintf("it is: %d of %d requests failed, and faults account for all of them", r.Requests.Failed, r.Requests.Sent), nil)
}
