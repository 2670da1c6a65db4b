package report

import (
	"slices"

	"github.com/hopblame/hopblame/analyzer"
)

// Group is failed requests that are alike: those of one hop and cause, or, where the
// captures do not decide, those last seen at the same points.
type Group struct {
	Hop      string // "" when inconclusive
	Cause    analyzer.Cause
	Verdicts []*analyzer.Verdict // at least one, by start of the request
}

// Confidence is the least and the greatest of its verdicts.
func (g *Group) Confidence() (low, high float64) {
	low, high = 1, 0
	for _, v := range g.Verdicts {
		low, high = min(low, v.Confidence), max(high, v.Confidence)
	}
	return low, high
}

// Groups sorts a report's verdicts into groups, the largest first.
func Groups(r *analyzer.Report) []Group {
	var out []Group
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		j := slices.IndexFunc(out, func(g Group) bool {
			// What would settle it depends on the points, so inconclusive ones are
			// one group only between the same points.
			return g.Hop == v.Hop && g.Cause == v.Cause && (v.Hop != "" || slices.Equal(g.Verdicts[0].Between, v.Between))
		})
		if j < 0 {
			j = len(out)
			out = append(out, Group{Hop: v.Hop, Cause: v.Cause})
		}
		out[j].Verdicts = append(out[j].Verdicts, v)
	}
	slices.SortStableFunc(out, func(a, b Group) int { return len(b.Verdicts) - len(a.Verdicts) })
	return out
}
