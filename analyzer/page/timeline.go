package page

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
)

// Measures of the picture of times, in pixels at full size.
const (
	steps    = 96 // into which the time is cut
	stepWide = 7
	laneTall = 34
	laneWord = 18 // height of a lane's words, above it
	laneLeft = 12
)

// maxLanes is how many kinds have a line of their own.
const maxLanes = 8

// lane is one kind of failure over time.
type lane struct {
	what string
	n    [steps]int
}

// timeline draws how many requests of each kind began when.
func (p *page) timeline() template.HTML {
	if len(p.r.Verdicts) == 0 {
		return ""
	}
	from, step := p.span()
	lanes := p.lanes(from, step)
	most := 1
	for _, l := range lanes {
		for _, n := range l.n {
			most = max(most, n)
		}
	}
	wide, tall := steps*stepWide+2*laneLeft, len(lanes)*(laneTall+laneWord)+30
	var out strings.Builder
	end := from.Add(steps * step)
	fmt.Fprintf(&out, `<svg class=pic role=img viewBox="0 0 %d %d" width=%d height=%d><title>%s</title><desc>%s</desc>`+"\n", wide, tall, wide, tall,
		esc(p.say("when")), esc(p.say("when-desc", clockTime(from), clockTime(end), step)))
	y := 0
	for i := range lanes {
		y += laneWord
		fmt.Fprintf(&out, "<text x=%d y=%d>%s</text>\n", laneLeft, y-4, esc(lanes[i].what))
		y += laneTall
		for k, n := range lanes[i].n {
			if n == 0 {
				continue
			}
			high := max(3, n*(laneTall-4)/most)
			a := from.Add(time.Duration(k) * step)
			fmt.Fprintf(&out, `<rect class=bar x=%d y=%d width=%d height=%d><title>%s</title></rect>`+"\n", laneLeft+k*stepWide, y-high, stepWide-1, high,
				esc(p.say("when-bar", clockTime(a), clockTime(a.Add(step)), digits.Group(n))))
		}
		fmt.Fprintf(&out, `<path class=way d="M%d %dH%d"/>`+"\n", laneLeft, y, laneLeft+steps*stepWide)
	}
	for k := 0; k <= 3; k++ {
		x, anchor := laneLeft+k*steps*stepWide/3, []string{"start", "middle", "middle", "end"}[k]
		fmt.Fprintf(&out, "<text class=dim x=%d y=%d text-anchor=%s>%s</text>\n", x, y+18, anchor, clockTime(from.Add(time.Duration(k)*steps*step/3)))
	}
	out.WriteString("</svg>")
	return template.HTML(out.String())
}

// span is what the start point covers, in steps that hold every failed request.
func (p *page) span() (from time.Time, step time.Duration) {
	v := p.r.Verdicts
	from, to := v[0].Request.Start, v[0].Request.Start
	stretch := func(t time.Time) {
		if t.Before(from) {
			from = t
		}
		if t.After(to) {
			to = t
		}
	}
	for i := range v {
		stretch(v[i].Request.Start)
	}
	for _, r := range p.r.Points {
		if r.Name == v[0].Request.StartPoint && !r.First.IsZero() {
			stretch(r.First)
			stretch(r.Last)
		}
	}
	step = (to.Sub(from)/steps + time.Millisecond).Truncate(time.Millisecond)
	return from, max(step, time.Millisecond)
}

func (p *page) lanes(from time.Time, step time.Duration) []lane {
	var out []lane
	for i := range p.groups {
		g := &p.groups[i]
		if i >= maxLanes {
			if i == maxLanes {
				out = append(out, lane{what: p.say("others")})
			}
		} else {
			out = append(out, lane{what: p.kind(g.Hop, g.Cause, len(g.Verdicts))})
		}
		l := &out[len(out)-1]
		for _, v := range g.Verdicts {
			l.n[min(steps-1, max(0, int(v.Request.Start.Sub(from)/step)))]++
		}
	}
	return out
}

// kind names a group with its size.
func (p *page) kind(hop string, cause analyzer.Cause, n int) string {
	all := digits.Group(len(p.r.Verdicts))
	if hop == "" {
		return p.say("group-open", digits.Group(n), all)
	}
	return p.say("group", hop, cause, digits.Group(n), all)
}
