package analyzer_test

import (
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
)

// TestVerdictsInsideTLSAreConfirmed: verify has no keys, and confirms what was said with
// them as far as frames can.
func TestVerdictsInsideTLSAreConfirmed(t *testing.T) {
	analyzer.TLSStories(t, func(name, dir string, r *analyzer.Report) {
		result, err := verify.Run(t.Context(), r, dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range result.Failures {
			t.Errorf("%s: verdict %d, %s: %s: %s", name, f.Verdict, f.Request, f.Statement, f.Why)
		}
	})
}
