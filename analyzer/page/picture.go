package page

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/hopblame/hopblame/analyzer/report"
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

// Picture is a path, drawn as boxes and the lines that join them: the client's end at the
// left, and what is in one column below each other.
type Picture struct {
	Title, Description string // for who does not see it
	Boxes              []Box
	Lines              []Line
}

// Box is a hop.
type Box struct {
	Name   string
	Column int    // from 0, the client's
	Fault  string // above it: what it is at fault for; it then has another shape. "" for nothing
	Below  []Note
	x, y   int // its middle, in pixels
}

// Note is a line of text below a box, which is cut off where the next one begins.
type Note struct {
	Text string
	Kind NoteKind
}

// NoteKind is how a note looks.
type NoteKind string

// The kinds of notes. The zero value is plain text.
const (
	Dim  NoteKind = "dim"  // of less weight
	Asks NoteKind = "asks" // of something that is open
)

// Line joins two boxes.
type Line struct {
	From, To int    // places in [Picture.Boxes], From being nearer to the client
	Broken   bool   // nothing was seen to go along it
	Fault    string // beside a cross on it; "" for no cross
	Open     string // beside a question mark on it; "" for none
}

// Style is the style sheet of the page and of its pictures, which draw nothing without it.
func Style() string { return pageCSS }

// SVG draws it.
func (p *Picture) SVG() template.HTML {
	if len(p.Boxes) == 0 {
		return ""
	}
	wide, tall := p.place()
	var body strings.Builder
	for i := range p.Lines {
		p.drawLine(&body, &p.Lines[i])
	}
	for i := range p.Boxes {
		p.Boxes[i].draw(&body)
	}
	return template.HTML(fmt.Sprintf(`<svg class=pic role=img viewBox="0 0 %d %d" width=%d height=%d><title>%s</title><desc>%s</desc>`+"\n%s</svg>",
		wide, tall, wide, tall, esc(p.Title), esc(p.Description), body.String()))
}

// place gives each box its place, and returns the size of all.
func (p *Picture) place() (wide, tall int) {
	rows := map[int]int{}
	for i := range p.Boxes {
		b := &p.Boxes[i]
		b.x, b.y = hopLeft+hopWidth/2+b.Column*hopApart, hopTop+hopTall/2+rows[b.Column]*hopBelow
		rows[b.Column]++
		wide, tall = max(wide, b.x+hopWidth/2+hopLeft), max(tall, b.y+hopTall/2+64)
	}
	return wide, tall
}

func (p *Picture) drawLine(out *strings.Builder, l *Line) {
	a, b := &p.Boxes[l.From], &p.Boxes[l.To]
	class := "way"
	if l.Broken {
		class = "way unseen"
	}
	x1, x2 := a.x+hopWidth/2, b.x-hopWidth/2
	if a.x == b.x {
		x1, x2 = a.x, b.x
	}
	fmt.Fprintf(out, `<path class="%s" d="M%d %dL%d %d"/>`+"\n", class, x1, a.y, x2, b.y)
	x, y := (x1+x2)/2, (a.y+b.y)/2
	if l.Fault != "" {
		fmt.Fprintf(out, `<path class=cross d="M%d %dl16 16m0-16l-16 16"/>`+"\n", x-8, y-8)
		label(out, x, y-14, "fault", l.Fault)
	}
	if l.Open != "" {
		fmt.Fprintf(out, `<circle class=open cx=%d cy=%d r=10 />`+"\n", x, y)
		label(out, x, y+5, "asks", "?")
		label(out, x, y+26, "asks", l.Open)
	}
}

// draw draws a box; one at fault has corners cut off and a double border.
func (b *Box) draw(out *strings.Builder) {
	x, y, w, t := b.x-hopWidth/2, b.y-hopTall/2, hopWidth, hopTall
	out.WriteString("<g>")
	if b.Fault != "" {
		const cut = 10
		eight := func(grow int) string {
			return fmt.Sprintf("M%d %dh%dl%d %dv%dl%d %dh%dl%d %dv%dz", x+cut, y-grow, w-2*cut, cut+grow, cut+grow, t-2*cut, -cut-grow, cut+grow, -(w - 2*cut), -cut-grow, -cut-grow, -(t - 2*cut))
		}
		fmt.Fprintf(out, `<path class="box guilty" d="%s"/><path class=rim d="%s"/>`, eight(0), eight(5))
	} else {
		fmt.Fprintf(out, `<rect class=box x=%d y=%d width=%d height=%d rx=4 />`, x, y, w, t)
	}
	label(out, b.x, b.y+5, "name", report.Clip(b.Name, hopWidth/letter-1))
	for i, n := range b.Below {
		label(out, b.x, y+t+20+16*i, string(n.Kind), report.Clip(n.Text, hopApart/letter-2))
	}
	if b.Fault != "" {
		label(out, b.x, y-14, "fault", b.Fault)
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
