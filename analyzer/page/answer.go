package page

import (
	"html/template"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
)

// answer is the sentence at the head of the page.
func (p *page) answer() string {
	n := p.r.Requests
	failed, seen := digits.Group(n.Failed), digits.Group(n.Seen)
	open := 0
	for _, g := range p.groups {
		if g.Hop == "" {
			open += len(g.Verdicts)
		}
	}
	switch {
	case n.Seen == 0 && n.Failed == 0:
		return p.say("none-seen")
	case n.Failed == 0 || len(p.groups) == 0:
		return p.say("none-failed", seen)
	case open == len(p.r.Verdicts):
		return p.say("undecided", failed, seen)
	case len(p.groups) == 1:
		g := &p.groups[0]
		name := "one"
		if n.Failed == 1 {
			name = "one-single"
		}
		return p.say(name, g.Hop, failed, seen, report.SentenceOf(g.Verdicts[0]).In(p.words), p.sure(g))
	}
	var parts []string
	for _, g := range p.groups {
		if g.Hop != "" {
			parts = append(parts, p.say("part", g.Hop, digits.Group(len(g.Verdicts)), g.Cause))
		}
	}
	if open > 0 {
		parts = append(parts, p.say("part-open", digits.Group(open)))
	}
	return p.say("several", failed, seen, p.list(parts))
}

// mark is what stands beside the answer, for those who read shapes.
func (p *page) mark() string {
	switch {
	case p.r.Requests.Seen == 0 && len(p.groups) == 0:
		return "?"
	case len(p.groups) == 0:
		return "✔"
	case slices.ContainsFunc(p.groups, func(g report.Group) bool { return g.Hop != "" }):
		return "✗"
	}
	return "?"
}

// sure is how sure the verdicts of a group are.
func (p *page) sure(g *report.Group) string {
	low, high := g.Confidence()
	if low == high {
		return p.say("sure", low)
	}
	return p.say("sure-between", low, high)
}

// more are the sentences below the answer.
func (p *page) more() []template.HTML {
	var out []template.HTML
	if n := p.counted(func(v *analyzer.Verdict) string { return string(v.Outcome) }); len(n) > 0 {
		var parts []string
		for _, c := range n {
			parts = append(parts, p.say("outcome", digits.Group(c.n), p.outcome(analyzer.Outcome(c.what))))
		}
		out = append(out, p.html("outcomes", p.list(parts)))
	}
	for _, c := range p.counted(messenger) {
		out = append(out, p.html("messenger", c.what))
	}
	for _, g := range p.groups { // what would settle it is alike in a group; its first has it in full
		if v := g.Verdicts[0]; v.Hop == "" && v.WouldSettle != "" {
			out = append(out, p.html("settles", digits.Group(len(g.Verdicts)), p.english(v.WouldSettle+".")))
		}
	}
	var bare []string
	for _, r := range p.r.Points {
		if !strings.Contains(r.Name, "/") {
			bare = append(bare, r.Name+" "+path.Base(filepath.ToSlash(r.File)))
		}
	}
	if len(bare) > 0 {
		out = append(out, p.html("unnamed", p.list(bare)))
	}
	return out
}

// messenger is who sent the RST of another's fault; "" if it is nobody, or the fault is
// open.
func messenger(v *analyzer.Verdict) string {
	if v.RST == nil || v.Hop == "" || v.RST.By == v.Hop {
		return ""
	}
	return v.RST.By
}

type counted struct {
	what string
	n    int
}

// counted counts what f says of each verdict, "" left out, the most frequent first.
func (p *page) counted(f func(*analyzer.Verdict) string) []counted {
	var out []counted
	at := map[string]int{}
	for i := range p.r.Verdicts {
		what := f(&p.r.Verdicts[i])
		if what == "" {
			continue
		}
		k, known := at[what]
		if !known {
			k = len(out)
			at[what] = k
			out = append(out, counted{what: what})
		}
		out[k].n++
	}
	slices.SortStableFunc(out, func(a, b counted) int { return b.n - a.n })
	return out
}
