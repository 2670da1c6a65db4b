package trial

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/scenarios"
)

// draw gives each mistake the ladder of its request, from the captures of a folder and our
// own analyzer's report of them, which knows their order and clocks. A request that no
// capture has is left without.
func draw(ctx context.Context, captures string, report *analyzer.Report, truths []scenarios.Truth, mistakes []scenarios.ScoreError) error {
	if len(mistakes) == 0 {
		return nil
	}
	points, err := analyzer.LoadPoints(captures)
	if err != nil {
		return err
	}
	for i := range mistakes {
		q, ok := requestOf(&mistakes[i], report, truths)
		if !ok {
			continue
		}
		l, err := ladder.Build(ctx, points, report, q)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue // no packet of it was captured
		}
		l.Verdict = "" // it is our own, and not what this is about
		mistakes[i].Ladder = l.String()
	}
	return nil
}

// requestOf is the request that a mistake is about: as our own analyzer found it, or by the
// client's address.
func requestOf(m *scenarios.ScoreError, report *analyzer.Report, truths []scenarios.Truth) (q ladder.Request, ok bool) {
	v := slices.IndexFunc(report.Verdicts, func(v analyzer.Verdict) bool {
		return v.Request.ID != "" && v.Request.ID == m.ID || v.Request.ID == "" && v.Request.Client == m.Request
	})
	if v >= 0 {
		q, err := ladder.Of(&report.Verdicts[v])
		return q, err == nil
	}
	var err error
	if q.Client, err = netip.ParseAddrPort(m.Request); err != nil {
		return q, false
	}
	if t := slices.IndexFunc(truths, func(t scenarios.Truth) bool { return t.ID == m.ID }); t >= 0 && len(report.Points) > 0 {
		q.Start, q.StartPoint = truths[t].Start, report.Points[0].Name
	}
	return q, true
}
