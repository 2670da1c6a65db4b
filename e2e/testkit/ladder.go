package testkit

import (
	"context"
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
)

// ladderOf says how one of the failed requests went: what it was, who was blamed for it,
// and its ladder; where there are no captures, the frames that the verdict cites.
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
	if drawn, err := r.draw(v); err == nil {
		return b.String() + "\n" + strings.TrimRight(drawn, "\n")
	}
	width := 0 // without its captures: what the verdict cites
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

// draw is the ladder of a verdict's request.
func (r *Result) draw(v *analyzer.Verdict) (string, error) {
	points, err := analyzer.LoadPoints(r.Dir)
	if err != nil {
		return "", err
	}
	q, err := ladder.Of(v)
	if err != nil {
		return "", err
	}
	l, err := ladder.Build(context.Background(), points, r.Report, q)
	if err != nil {
		return "", err
	}
	l.Verdict = "" // it is said before
	return l.String(), nil
}
