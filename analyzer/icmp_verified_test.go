package analyzer_test

import (
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
)

func TestWhoAnswersASYNWithAnICMPErrorIsKnownByWhereItWasSeenAndVerifyConfirmsIt(t *testing.T) {
	analyzer.ICMPStories(t, func(t *testing.T, dir string, r *analyzer.Report, want analyzer.Verdict) {
		if len(r.Verdicts) != 1 {
			t.Fatalf("got %d verdicts, want 1: %+v", len(r.Verdicts), r.Verdicts)
		}
		v := r.Verdicts[0]
		if v.Hop != want.Hop || v.Cause != want.Cause || !strings.Contains(v.WouldSettle, want.WouldSettle) {
			t.Errorf("got %s %s between %v, settle %q; want %s %s, %q", v.Hop, v.Cause, v.Between, v.WouldSettle, want.Hop, want.Cause, want.WouldSettle)
		}
		cited := false
		for _, e := range v.Evidence {
			cited = cited || strings.HasPrefix(e.What, "ICMP type")
		}
		if !cited {
			t.Errorf("the error is no evidence: %+v", v.Evidence)
		}
		confirmed(t, t.Name(), dir, r)
		// What is forbidden is not what there is no way to, and the other way round.
		if v.Hop == "" {
			return
		}
		for _, wrong := range []analyzer.Cause{analyzer.Rejected, analyzer.NoRoute} {
			if wrong == v.Cause {
				continue
			}
			r.Verdicts[0].Cause = wrong
			refuted(t, dir, r)
		}
	})
}
