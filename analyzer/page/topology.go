package page

import (
	"html/template"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/internal/digits"
)

// hop is a node of the path.
type hop struct {
	name      string
	faces     []string
	packets   uint64
	column    int
	joined    bool
	fault     int // requests that died in it
	open      int // requests last seen at it, and nothing else known
	messenger bool
}

// segment joins two hops.
type segment struct {
	from, to    int // indexes of hops
	seen        bool
	fault, open int
}

// route is the path as the captures show it.
type route struct {
	hops     []hop
	segments []segment
}

func (r *route) hop(name string) int {
	return slices.IndexFunc(r.hops, func(h hop) bool { return h.name == name })
}

// between is the segment of two hops, whichever comes first, and is made if there is none.
func (r *route) between(a, b int) *segment {
	if a > b {
		a, b = b, a
	}
	i := slices.IndexFunc(r.segments, func(s segment) bool { return s.from == a && s.to == b })
	if i < 0 {
		i = len(r.segments)
		r.segments = append(r.segments, segment{from: a, to: b})
	}
	return &r.segments[i]
}

// route lays out hops from the client on, those side by side in one column.
func (p *page) route() *route {
	r := &route{}
	for i := range p.r.Points {
		at := r.hop(hopOf(p.r.Points[i].Name))
		if at < 0 {
			at = len(r.hops)
			r.hops = append(r.hops, hop{name: hopOf(p.r.Points[i].Name)})
		}
		if _, face, named := strings.Cut(p.r.Points[i].Name, "/"); named {
			r.hops[at].faces = append(r.hops[at].faces, face)
		}
		r.hops[at].packets += p.r.Points[i].Packets
	}
	for _, l := range p.r.Links {
		a, b := r.hop(hopOf(p.r.Points[l[0]].Name)), r.hop(hopOf(p.r.Points[l[1]].Name))
		if a < b { // else it is the hop itself, or a way that turns back
			r.between(a, b).seen = true
			r.hops[b].joined = true
		}
	}
	for i := 1; i < len(r.hops); i++ {
		if !r.hops[i].joined {
			r.between(i-1, i)
		}
	}
	for i := range r.hops {
		for _, s := range r.segments {
			if s.to == i {
				r.hops[i].column = max(r.hops[i].column, r.hops[s.from].column+1)
			}
		}
	}
	p.blame(r)
	return r
}

// blame marks hops and segments.
func (p *page) blame(r *route) {
	for i := range p.groups {
		g := &p.groups[i]
		n := len(g.Verdicts)
		var ends []int
		for _, b := range g.Verdicts[0].Between {
			if at := r.hop(hopOf(b)); at >= 0 {
				ends = append(ends, at)
			}
		}
		at := r.hop(g.Hop)
		switch {
		case g.Hop != "" && at >= 0:
			r.hops[at].fault += n
		case g.Hop != "" && len(ends) == 2 && ends[0] != ends[1]:
			r.between(ends[0], ends[1]).fault += n
		case g.Hop == "" && len(ends) == 2 && ends[0] != ends[1]:
			r.between(ends[0], ends[1]).open += n
		case g.Hop == "" && len(ends) > 0:
			r.hops[ends[0]].open += n
		}
		for _, v := range g.Verdicts {
			if at := r.hop(messenger(v)); at >= 0 {
				r.hops[at].messenger = true
			}
		}
	}
}

// topology draws the path.
func (p *page) topology() template.HTML {
	r := p.route()
	pic := Picture{Title: p.say("where")}
	var names []string
	for i := range r.hops {
		h := &r.hops[i]
		b := Box{Name: h.name, Column: h.column}
		if h.fault > 0 {
			b.Fault = p.say("at-fault", digits.Group(h.fault))
		}
		if h.packets == 0 {
			b.Below = append(b.Below, Note{p.say("no-packets"), Dim})
		} else if len(h.faces) > 0 {
			b.Below = append(b.Below, Note{strings.Join(h.faces, " · "), Dim})
		}
		if h.open > 0 {
			b.Below = append(b.Below, Note{p.say("open", digits.Group(h.open)), Asks})
		}
		if h.messenger {
			b.Below = append(b.Below, Note{p.say("sends-rst"), ""})
		}
		pic.Boxes = append(pic.Boxes, b)
		names = append(names, h.name)
	}
	for _, s := range r.segments {
		l := Line{From: s.from, To: s.to, Broken: !s.seen}
		if s.fault > 0 {
			l.Fault = p.say("between", digits.Group(s.fault))
		}
		if s.open > 0 {
			l.Open = p.say("open", digits.Group(s.open))
		}
		pic.Lines = append(pic.Lines, l)
	}
	pic.Description = p.say("where-desc", strings.Join(names, " — "))
	return pic.SVG()
}
