// Package report shows the result of an analysis to people.
//
// The text reads like the answer of the engineer who solved the case by hand:
// what failed and how often, who sent the RST and why, and for each group of
// failures one worked example with the frames that prove it and the fate of
// every rival explanation.
package report

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
)

// TextOptions tunes WriteText. The zero value is plain text without wrapping.
type TextOptions struct {
	Width   int  // columns to wrap at; 0: never
	Color   bool // ANSI colours
	Verbose int  // 1: also one line for each failed request, and the points; 2: with all evidence
}

// WriteText writes a report as text.
func WriteText(w io.Writer, r *analyzer.Report, o TextOptions) error {
	t := &text{w: bufio.NewWriter(w), o: o}
	t.unnamed(r)
	t.summary(r)
	for _, g := range Groups(r) {
		t.group(&g, len(r.Verdicts))
	}
	if len(r.Findings) > 0 {
		t.head("Findings")
		for _, f := range r.Findings {
			t.item("•", f.What+cite(f.Evidence))
		}
	}
	if o.Verbose > 0 {
		t.points(r)
		t.all(r)
	}
	if len(r.Warnings) > 0 {
		t.head("Warnings")
		for _, s := range r.Warnings {
			t.item("!", s)
		}
	}
	return t.w.Flush()
}

// Examples are the first failed requests of all groups, that of the largest group first.
// A group is what failed at one hop for one cause.
func Examples(r *analyzer.Report) []*analyzer.Verdict {
	var out []*analyzer.Verdict
	for _, g := range Groups(r) {
		out = append(out, g.Verdicts[0])
	}
	return out
}

// unnamed says which capture is which, where nobody had said where any was taken.
func (t *text) unnamed(r *analyzer.Report) {
	var list []string
	for _, p := range r.Points {
		if !strings.Contains(p.Name, "/") {
			of := path.Base(filepath.ToSlash(p.File))
			if p.Interface != "" {
				of += "#" + p.Interface
			}
			list = append(list, p.Name+" "+of)
		}
	}
	if len(list) > 0 {
		t.line(0, "Captures that nobody named, from the client on: "+strings.Join(list, ", ")+".")
	}
}

func (t *text) summary(r *analyzer.Report) {
	n := r.Requests
	if n.Failed == 0 {
		t.line(0, t.paint(green, fmt.Sprintf("None of %s failed.", digits.Plural(n.Seen, "request"))))
		return
	}
	outcomes := tally(r, func(v *analyzer.Verdict) string { return string(v.Outcome) })
	t.line(0, t.paint(bold, fmt.Sprintf("%s of %s failed (%s)", digits.Group(n.Failed), digits.Plural(n.Seen, "request"), percent(n.Failed, n.Seen)))+
		": "+strings.Join(outcomes, ", ")+".")
	for _, s := range tally(r, rstSentence) {
		t.line(0, s)
	}
	messenger := func(v *analyzer.Verdict) bool {
		return v.RST != nil && v.RST.By != "" && v.Hop != "" && v.Hop != v.RST.By
	}
	if i := slices.IndexFunc(r.Verdicts, func(v analyzer.Verdict) bool { return messenger(&v) }); i >= 0 {
		t.line(0, fmt.Sprintf("Who sends the RST is not who is at fault: %s is the messenger.", r.Verdicts[i].RST.By))
	}
}

// rstSentence says who sent the RST; "" without one.
func rstSentence(v *analyzer.Verdict) string {
	if v.RST == nil {
		return ""
	}
	s := "reset in the name of " + v.Request.Server + " (its sender was not captured)"
	if v.RST.By != "" {
		s = "reset by " + v.RST.By
	}
	if v.RST.Cause != "" {
		s += ": " + v.RST.Cause
		if v.RST.Peer {
			s += ", on the other side of the proxy (peer)"
		}
	}
	return s + "."
}

// tally counts what f says of each verdict, most frequent first.
func tally(r *analyzer.Report, f func(*analyzer.Verdict) string) []string {
	n := map[string]int{}
	var order []string
	for i := range r.Verdicts {
		s := f(&r.Verdicts[i])
		if s == "" {
			continue
		}
		if n[s]++; n[s] == 1 {
			order = append(order, s)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return n[b] - n[a] })
	for i, s := range order {
		order[i] = fmt.Sprintf("%s %s", digits.Group(n[s]), s)
	}
	return order
}

func (t *text) group(g *Group, all int) {
	v := g.Verdicts[0]
	share := fmt.Sprintf("%s of %s", digits.Group(len(g.Verdicts)), digits.Plural(all, "failure"))
	if g.Hop == "" {
		t.head(t.paint(yellow, "inconclusive") + " — " + share)
	} else {
		t.head(t.paint(red, g.Hop) + " — " + string(g.Cause) + " — " + share + confidence(g))
	}
	t.line(1, Whereabouts(v))
	if v.WouldSettle != "" {
		t.line(1, "To settle it: "+v.WouldSettle+".")
	}
	t.blank()
	t.example(v)
}

func confidence(g *Group) string {
	low, high := g.Confidence()
	if low == high {
		return fmt.Sprintf(" — confidence %.4g", low)
	}
	return fmt.Sprintf(" — confidence %.4g to %.4g", low, high)
}

func (t *text) example(v *analyzer.Verdict) {
	q := v.Request
	what := strings.TrimSpace(q.Method + " " + q.Target)
	if q.ID != "" {
		what = strings.TrimSpace(what + " (id " + q.ID + ")")
	}
	if what != "" {
		what = ", " + what
	}
	t.line(1, t.paint(bold, "Example")+fmt.Sprintf(": %s → %s%s, begun at %s UTC, %s", q.Client, q.Server, what, q.Start.Format("15:04:05.000"), v.Outcome))
	t.evidence(2, v.Evidence)
	if len(v.Eliminated) == 0 {
		return
	}
	t.line(1, t.paint(bold, "Explanations"))
	for _, h := range v.Eliminated {
		t.line(2, t.paint(dim, "✗ ")+h.Hypothesis)
		t.line(4, h.Why+cite(h.Evidence))
	}
	switch {
	case v.Hop != "":
		t.line(2, t.paint(green, "✔ ")+Sentence(v))
	case len(v.Between) > 0:
		t.line(2, t.paint(yellow, "? ")+"open: whatever lies behind "+v.Between[0])
	}
}

func (t *text) evidence(indent int, es []analyzer.Evidence) {
	width := 0
	for _, e := range es {
		width = max(width, len(e.Point))
	}
	for _, e := range es {
		if e.Kind == analyzer.KindFrame {
			t.line(indent, fmt.Sprintf("%-*s  frame %d: %s", width, e.Point, e.Frame, e.What))
			continue
		}
		t.line(indent, fmt.Sprintf("%-*s  %s in frames %d–%d", width, e.Point, e.What, e.FromFrame, e.ToFrame))
		t.verbatim(indent, fmt.Sprintf("%-*s  %s", width, "", t.paint(dim, e.Filter))) // to be copied, so not wrapped
	}
}

// cite lists the frames of evidence, in brackets.
func cite(es []analyzer.Evidence) string {
	var parts []string
	point := ""
	for _, e := range es {
		switch {
		case e.Kind == analyzer.KindAbsence:
			parts = append(parts, fmt.Sprintf("none in frames %d–%d of %s", e.FromFrame, e.ToFrame, e.File))
		case e.Point == point:
			parts = append(parts, fmt.Sprint(e.Frame))
		default:
			parts = append(parts, fmt.Sprintf("frame %d", e.Frame))
			if point = e.Point; e.File != "" {
				parts[len(parts)-1] = fmt.Sprintf("%s frame %d", e.File, e.Frame)
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (t *text) points(r *analyzer.Report) {
	t.head("Points")
	for _, p := range r.Points {
		clock := "clock unknown"
		if o := p.ClockOffset; o != nil {
			clock = fmt.Sprintf("clock %+.3f to %+.3f ms", float64(o[0])/1e6, float64(o[1])/1e6)
		}
		t.line(1, fmt.Sprintf("%s: %s, %s to %s, %s, misses %s to %s %%", p.Name, digits.Plural(int(p.Packets), "packet"),
			p.First.Format("15:04:05.000"), p.Last.Format("15:04:05.000"), clock, Percent(p.Loss[0]), Percent(p.Loss[1])))
	}
}

func (t *text) all(r *analyzer.Report) {
	if len(r.Verdicts) == 0 {
		return
	}
	t.head("Failed requests")
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		place := v.Hop + " " + string(v.Cause)
		if v.Hop == "" {
			place = string(v.Cause) + " " + strings.Join(v.Between, "…")
		}
		t.line(1, fmt.Sprintf("%s %s id %s: %s, %s", v.Request.Start.Format("15:04:05.000"), v.Request.Client, v.Request.ID, v.Outcome, place))
		if t.o.Verbose > 1 {
			t.evidence(3, v.Evidence)
		}
	}
}

// percent writes a share as people do: 0.62 %, 100 %.
func percent(n, of int) string {
	share := 100 * float64(n) / float64(max(of, 1))
	if share >= 10 {
		return fmt.Sprintf("%.0f %%", share)
	}
	return fmt.Sprintf("%.2g %%", share)
}
