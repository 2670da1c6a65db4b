package serve

import (
	"html/template"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/fault"
)

// picture is an SVG.
type picture = template.HTML

// draw draws a scenario's lab with what was counted: packets below each hop, what faults
// did above it or on the cable.
func (s *Server) draw(sc *scenarios.Scenario, c *sim.Counts) picture {
	config := sc.Config(0)
	spec, err := config.Spec()
	if err != nil {
		return "" // it is valid, or it would not have been started
	}
	pic := page.Picture{Title: s.pages.say("lab")}
	var names []string
	for _, n := range spec.Nodes {
		b := page.Box{Name: n.Name, Fault: s.hits(c, n.Name, true)}
		for _, p := range c.Points {
			if hop, face, _ := strings.Cut(p.Point, "/"); hop == n.Name {
				b.Below = append(b.Below, page.Note{Text: face + "  " + digits.Group(int(p.Packets)), Kind: page.Dim})
			}
		}
		pic.Boxes = append(pic.Boxes, b)
		names = append(names, n.Name)
	}
	for _, l := range spec.Links {
		from, to := slices.Index(names, l.A.Node), slices.Index(names, l.B.Node)
		if l.Detour { // it has no place in a picture of one dimension
			continue
		}
		pic.Lines = append(pic.Lines, page.Line{From: from, To: to, Fault: s.hits(c, l.Name(), false)})
		pic.Boxes[to].Column = max(pic.Boxes[to].Column, pic.Boxes[from].Column+1)
	}
	pic.Description = s.pages.say("lab-desc", strings.Join(names, " — "))
	return pic.SVG()
}

// hits says how often faults have struck at a place; "" for never. In words where there is
// room for them.
func (s *Server) hits(c *sim.Counts, at string, words bool) string {
	lost, other := uint64(0), uint64(0)
	for _, f := range c.Faults {
		switch {
		case f.Fault.At != at:
		case f.Fault.Loses():
			lost += f.Hits
		default:
			other += f.Hits
		}
	}
	switch {
	case lost+other == 0:
		return ""
	case !words:
		return s.pages.say("struck", digits.Group(int(lost+other)))
	case other == 0:
		return s.pages.say("struck-lost", digits.Group(int(lost)))
	case lost == 0:
		return s.pages.say("struck-other", digits.Group(int(other)))
	}
	return s.pages.say("struck-both", digits.Group(int(lost)), digits.Group(int(other)))
}

// does says what a fault does, in the scenario file's words.
func (s *Server) does(f *fault.Fault) string {
	if f.Acts() {
		return string(f.Do)
	}
	return string(f.Do) + " " + string(f.Match) + " " + string(f.Direction)
}
