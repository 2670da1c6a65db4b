package testkit

import (
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// ladderOf says how one of the failed requests went: what it was, who was blamed for it,
// and the frames, or their absence, that the verdict cites.
func (r *Result) ladderOf(v *analyzer.Verdict) string {
	var b strings.Builder
	q := &v.Request
	fmt.Fprintf(&b, "request %s of %s: %s", q.ID, q.Client, v.Outcome)
	if v.RST != nil && v.RST.By != "" {
		fmt.Fprintf(&b, " by %s", v.RST.By)
		if v.RST.Cause != "" {
			fmt.Fprintf(&b, " (%s)", v.RST.Cause)
		}
	}
	fmt.Fprintf(&b, "\nverdict: %s", words(pairOf(v)))
	if v.WouldSettle != "" {
		fmt.Fprintf(&b, "; to settle it: %s", v.WouldSettle)
	}
	width := 0
	for _, e := range v.Evidence {
		width = max(width, len(e.Point))
	}
	for _, e := range v.Evidence {
		at := fmt.Sprintf("frame %d", e.Frame)
		if e.Kind == analyzer.KindAbsence {
			at = fmt.Sprintf("frames %d–%d", e.FromFrame, e.ToFrame)
		}
		fmt.Fprintf(&b, "\n  %-*s  %s: %s", width, e.Point, at, e.What)
	}
	return b.String()
}
