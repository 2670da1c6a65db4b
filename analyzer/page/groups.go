package page

import (
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
)

// group is failed requests that are alike, and one of them in full.
type group struct {
	Title, Where, Example string
	Settle                template.HTML
	Evidence              []exhibit
	Hypotheses            []hypothesis
	Ladder                template.HTML
	NoLadder              string
	Filters               []filter
}

// exhibit is a piece of evidence.
type exhibit struct {
	Point, File, Frame string
	What               template.HTML
}

// hypothesis is an explanation and its fate.
type hypothesis struct {
	Mark, Fate string
	What, Why  template.HTML
}

// filter is a display filter, and what it is good for.
type filter struct{ What, Text string }

func (p *page) explain() []group {
	var out []group
	for i := range p.groups {
		g := &p.groups[i]
		v := g.Verdicts[0]
		of, all := digits.Group(len(g.Verdicts)), digits.Group(len(p.r.Verdicts))
		e := group{Title: p.say("group", g.Hop, g.Cause, of, all), Where: report.WhereaboutsOf(v).In(p.words), Example: p.example(v)}
		if g.Hop == "" {
			e.Title = p.say("group-open", of, all)
		} else {
			e.Where += " " + p.sure(g)
		}
		if v.WouldSettle != "" {
			e.Settle = p.html("settle", p.english(v.WouldSettle+"."))
		}
		for _, x := range v.Evidence {
			frame := strconv.FormatUint(x.Frame, 10)
			if x.Kind == analyzer.KindAbsence {
				frame = p.say("frames", x.FromFrame, x.ToFrame)
			}
			e.Evidence = append(e.Evidence, exhibit{Point: x.Point, File: x.File, Frame: frame, What: p.english(x.What)})
		}
		e.Hypotheses = p.fates(v)
		var l *ladder.Ladder
		if i < len(p.ladders) {
			l = p.ladders[i]
		}
		if l == nil {
			e.NoLadder = p.say("no-ladder", v.Request.Client)
		} else {
			e.Ladder = draw(l)
		}
		e.Filters = p.filters(v, l)
		out = append(out, e)
	}
	return out
}

func draw(l *ladder.Ladder) template.HTML {
	var svg strings.Builder
	_ = l.SVGInPage(&svg) // a builder takes everything
	return template.HTML(svg.String())
}

// example names the request that stands for its group.
func (p *page) example(v *analyzer.Verdict) string {
	s := p.say("example", v.Request.Client, v.Request.Server, clockTime(v.Request.Start), p.outcome(v.Outcome))
	if what := strings.TrimSpace(v.Request.Method + " " + clip(v.Request.Target)); what != "" {
		s += p.say("colon") + what
	}
	if v.Request.ID != "" {
		s += p.say("bracket", p.say("id")+" "+clip(v.Request.ID))
	}
	return s
}

// fates are the rival explanations and the one that is left.
func (p *page) fates(v *analyzer.Verdict) []hypothesis {
	var out []hypothesis
	for _, h := range v.Eliminated {
		out = append(out, hypothesis{"✗", p.say("fails"), p.english(h.Hypothesis), p.english(h.Why) + template.HTML(esc(p.citation(h.Evidence)))})
	}
	switch {
	case v.Hop != "":
		out = append(out, hypothesis{"✔", p.say("holds"), template.HTML(esc(report.SentenceOf(v).In(p.words))), ""})
	case len(v.Between) > 0:
		out = append(out, hypothesis{"?", p.say("stays"), p.html("open-behind", v.Between[0]), ""})
	default:
		out = append(out, hypothesis{"?", p.say("stays"), p.html("open-all"), ""})
	}
	return out
}

// filters are to be copied: a connection on each side, the evidence in each file, and what
// finds nothing where the packet should be.
func (p *page) filters(v *analyzer.Verdict, l *ladder.Ladder) []filter {
	var out []filter
	if l != nil {
		for _, f := range l.Flows {
			out = append(out, filter{p.say("filter-conn", p.say(f.Side)), ladder.ConnFilter(f.Conn)})
		}
	}
	var files []string
	frames := map[string][]string{}
	for _, e := range v.Evidence {
		if e.Kind != analyzer.KindFrame {
			continue
		}
		if frames[e.File] == nil {
			files = append(files, e.File)
		}
		if n := strconv.FormatUint(e.Frame, 10); !slices.Contains(frames[e.File], n) {
			frames[e.File] = append(frames[e.File], n)
		}
	}
	for _, f := range files {
		out = append(out, filter{p.say("filter-cited", f), "frame.number in {" + strings.Join(frames[f], ", ") + "}"})
	}
	for _, e := range v.Evidence {
		if e.Kind == analyzer.KindAbsence && e.Filter != "" {
			out = append(out, filter{p.say("filter-absent", e.FromFrame, e.ToFrame, e.File), e.Filter})
		}
	}
	return out
}

// citation lists the frames of evidence in brackets.
func (p *page) citation(es []analyzer.Evidence) string {
	var parts []string
	file := ""
	for _, e := range es {
		frame := strconv.FormatUint(e.Frame, 10)
		if e.Kind == analyzer.KindAbsence {
			frame = p.say("frames", e.FromFrame, e.ToFrame)
		}
		if e.File != file {
			file = e.File
			frame = file + " " + frame
		}
		parts = append(parts, frame)
	}
	if len(parts) == 0 {
		return ""
	}
	return p.say("bracket", p.list(parts))
}
