package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
)

// Measures of the picture of the path, in pixels at full size.
const (
	hopApart = 190 // from one hop to the next
	hopWidth = 118
	hopTall  = 40
	hopBelow = 120 // from one hop to the one below it
	hopLeft  = 20
	hopTop   = 34
	letter   = 8 // width of a letter
)

// hop is a node of the path.
type hop struct {
	name      string
	faces     []string
	packets   uint64
	x, y      int // column and row, then pixels of its middle
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

// route lays out hops from the client on, those side by side below each other.
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
	rows := map[int]int{}
	for i := range r.hops {
		for _, s := range r.segments {
			if s.to == i {
				r.hops[i].x = max(r.hops[i].x, r.hops[s.from].x+1)
			}
		}
		r.hops[i].y = rows[r.hops[i].x]
		rows[r.hops[i].x]++
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
	if len(r.hops) == 0 {
		return ""
	}
	var body strings.Builder
	wide, tall := 0, 0
	for i := range r.hops {
		h := &r.hops[i]
		h.x, h.y = hopLeft+hopWidth/2+h.x*hopApart, hopTop+hopTall/2+h.y*hopBelow
		wide, tall = max(wide, h.x+hopWidth/2+hopLeft), max(tall, h.y+hopTall/2+64)
	}
	for i := range r.segments {
		p.drawSegment(&body, r, &r.segments[i])
	}
	var names []string
	for i := range r.hops {
		p.drawHop(&body, &r.hops[i])
		names = append(names, r.hops[i].name)
	}
	return template.HTML(fmt.Sprintf(`<svg class=pic role=img viewBox="0 0 %d %d" width=%d height=%d><title>%s</title><desc>%s</desc>`+"\n%s</svg>",
		wide, tall, wide, tall, esc(p.say("where")), esc(p.say("where-desc", strings.Join(names, " — "))), body.String()))
}

func (p *page) drawSegment(out *strings.Builder, r *route, s *segment) {
	a, b := &r.hops[s.from], &r.hops[s.to]
	class := "way"
	if !s.seen {
		class = "way unseen"
	}
	x1, x2 := a.x+hopWidth/2, b.x-hopWidth/2
	if a.x == b.x {
		x1, x2 = a.x, b.x
	}
	fmt.Fprintf(out, `<path class="%s" d="M%d %dL%d %d"/>`+"\n", class, x1, a.y, x2, b.y)
	x, y := (x1+x2)/2, (a.y+b.y)/2
	if s.fault > 0 {
		fmt.Fprintf(out, `<path class=cross d="M%d %dl16 16m0-16l-16 16"/>`+"\n", x-8, y-8)
		label(out, x, y-14, "fault", p.say("between", digits.Group(s.fault)))
	}
	if s.open > 0 {
		fmt.Fprintf(out, `<circle class=open cx=%d cy=%d r=10 />`+"\n", x, y)
		label(out, x, y+5, "asks", "?")
		label(out, x, y+26, "asks", p.say("open", digits.Group(s.open)))
	}
}

// drawHop draws a box; one at fault has corners cut off and a double border.
func (p *page) drawHop(out *strings.Builder, h *hop) {
	x, y, w, t := h.x-hopWidth/2, h.y-hopTall/2, hopWidth, hopTall
	out.WriteString("<g>")
	if h.fault > 0 {
		const cut = 10
		eight := func(grow int) string {
			return fmt.Sprintf("M%d %dh%dl%d %dv%dl%d %dh%dl%d %dv%dz", x+cut, y-grow, w-2*cut, cut+grow, cut+grow, t-2*cut, -cut-grow, cut+grow, -(w - 2*cut), -cut-grow, -cut-grow, -(t - 2*cut))
		}
		fmt.Fprintf(out, `<path class="box guilty" d="%s"/><path class=rim d="%s"/>`, eight(0), eight(5))
	} else {
		fmt.Fprintf(out, `<rect class=box x=%d y=%d width=%d height=%d rx=4 />`, x, y, w, t)
	}
	label(out, h.x, h.y+5, "name", report.Clip(h.name, hopWidth/letter-1))
	below := y + t + 20
	if h.packets == 0 {
		label(out, h.x, below, "dim", p.say("no-packets"))
		below += 16
	} else if len(h.faces) > 0 {
		label(out, h.x, below, "dim", report.Clip(strings.Join(h.faces, " · "), hopApart/letter-2))
		below += 16
	}
	if h.fault > 0 {
		label(out, h.x, y-14, "fault", p.say("at-fault", digits.Group(h.fault)))
	}
	if h.open > 0 {
		label(out, h.x, below, "asks", p.say("open", digits.Group(h.open)))
		below += 16
	}
	if h.messenger {
		label(out, h.x, below, "", p.say("sends-rst"))
	}
	out.WriteString("</g>\n")
}

// label writes a line of text around x.
func label(out *strings.Builder, x, y int, class, s string) {
	if class != "" {
		class = " class=" + class
	}
	fmt.Fprintf(out, "<text x=%d y=%d text-anchor=middle%s>%s</text>", x, y, class, esc(s))
}
