package ladder

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
)

// Measures of a picture, in its own units, which are pixels at full size.
const (
	svgLeft   = 104 // of the first column's rail
	svgApart  = 126 // between rails
	svgLabel  = 70  // from the last rail to the labels
	svgWords  = 360 // width of the labels
	svgLetter = 8   // width of a letter, to wrap by
	svgRow    = 24
	svgLine   = 16 // height of a further line of text
	svgHalf   = 5  // half of an arrow's head, of a cross, of a diamond
)

// SVGStyle is the style sheet of pictures, light or dark as the reader has it. Its names
// begin with hl, since several ladders may be in one page, with other things.
const SVGStyle = `
.hl{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.hl-paper{fill:#fff}.hl text{fill:#1b1f24}.hl .hl-dim{fill:#57606a}.hl .hl-strong{font-weight:700}
.hl-rail{stroke:#c4cad1}.hl-way{stroke:#1b1f24}.hl-head{fill:#1b1f24}
.hl-died{stroke:#b3261e;stroke-width:2.5;fill:none}.hl .hl-unknown{fill:#7d4e00;font-weight:700}.hl-born{fill:#7d4e00}
@media(prefers-color-scheme:dark){
.hl-paper{fill:#0d1117}.hl text{fill:#e6edf3}.hl .hl-dim{fill:#9aa4af}
.hl-rail{stroke:#3d444d}.hl-way{stroke:#e6edf3}.hl-head{fill:#e6edf3}
.hl-died{stroke:#ff8078}.hl .hl-unknown{fill:#e3b341}.hl-born{fill:#e3b341}
}
`

// SVG writes the ladder as a picture that needs nothing else: no script, no font, no
// style sheet. Each row has its frames in full as its title.
func (l *Ladder) SVG(w io.Writer) error {
	return l.svg(w, "<style>"+SVGStyle+"</style>\n")
}

// SVGInPage writes the picture without its style sheet, for a page that has [SVGStyle] once
// for all pictures.
func (l *Ladder) SVGInPage(w io.Writer) error { return l.svg(w, "") }

func (l *Ladder) svg(w io.Writer, style string) error {
	p := &picture{w: bufio.NewWriter(w), l: l}
	body := &strings.Builder{}
	p.body = body
	p.draw()
	width := p.labels() + svgWords
	fmt.Fprintf(p.w, `<svg xmlns="http://www.w3.org/2000/svg" class="hl" role="img" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, p.y, width, p.y)
	fmt.Fprintf(p.w, "<title>%s</title>\n<desc>%s</desc>\n%s", escape("Ladder of "+l.Title), escape(l.inWords()), style)
	fmt.Fprintf(p.w, `<rect class="hl-paper" width="%d" height="%d"/>`+"\n", width, p.y)
	for i := range l.Columns {
		fmt.Fprintf(p.w, `<path class="hl-rail" d="M%d %dV%d"/>`+"\n", p.x(i), p.top, p.bottom)
	}
	_, _ = p.w.WriteString(body.String()) // Flush tells
	_, _ = p.w.WriteString("</svg>\n")
	return p.w.Flush()
}

// picture is a ladder that is being drawn.
type picture struct {
	w           *bufio.Writer // keeps the first error
	body        *strings.Builder
	l           *Ladder
	y           int // how far it is drawn
	top, bottom int // of the rails
}

func (p *picture) x(column int) int { return svgLeft + svgApart/2 + column*svgApart }

// labels is where labels begin.
func (p *picture) labels() int { return p.x(max(0, len(p.l.Columns)-1)) + svgLabel }

// inWords says what the ladder shows.
func (l *Ladder) inWords() string {
	var out []string
	if l.Verdict != "" {
		out = append(out, "Verdict: "+l.Verdict+".")
	}
	for i := range l.Flows {
		out = append(out, l.describe(i)+".")
	}
	packets, died := 0, 0
	for i := range l.Rows {
		packets += max(1, l.Rows[i].Omitted)
		if l.Rows[i].Fate == Died && l.Rows[i].Omitted == 0 {
			died++
		}
	}
	return strings.Join(append(out, fmt.Sprintf("%d packets, %d of which died between two points of capture.", packets, died)), " ")
}

func (p *picture) draw() {
	p.y = 10
	wide := (p.labels() + svgWords - 20) / svgLetter
	p.para(10, p.l.Title, "hl-strong", wide)
	if p.l.Verdict != "" {
		p.para(10, "Verdict: "+p.l.Verdict, "", wide)
	}
	for i := range p.l.Flows {
		p.para(10, p.l.describe(i), "", wide)
	}
	if !p.l.Start.IsZero() {
		p.para(10, "Second 0 is "+p.l.Start.Format("2006-01-02 15:04:05.000000")+" UTC by the first point's clock.", "hl-dim", wide)
	}
	p.y += 2 * svgLine
	p.text(svgLeft-10, p.y, "end", "hl-dim", "seconds")
	for i, c := range p.l.Columns {
		p.text(p.x(i), p.y, "middle", "hl-strong", cutAt(printable(c.Hop), svgApart/svgLetter-1))
		p.text(p.x(i), p.y+svgLine, "middle", "", cutAt(printable(c.Face), svgApart/svgLetter-1))
	}
	p.y += svgLine + 8
	p.top = p.y
	for i := range p.l.Rows {
		p.row(&p.l.Rows[i])
	}
	p.y += 6
	p.bottom = p.y
	for _, s := range p.l.marks(pictureGlyphs) {
		p.para(10, s, "", wide)
	}
	p.para(10, "Numbers are Wireshark's frame numbers in "+p.l.files()+".", "hl-dim", wide)
	for _, n := range p.l.Notes {
		p.para(10, "Note: "+n+".", "", wide)
	}
	p.y += 10
}

// cutAt shortens a name to so many letters.
func cutAt(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// para writes wrapped lines and moves down.
func (p *picture) para(x int, s, class string, letters int) {
	for _, line := range locale.Wrap(s, letters) {
		p.y += svgLine
		p.text(x, p.y, "start", class, line)
	}
	p.y += 4
}

// text writes one line.
func (p *picture) text(x, y int, anchor, class, s string) {
	attributes := ""
	if anchor != "start" {
		attributes += fmt.Sprintf(` text-anchor="%s"`, anchor)
	}
	if class != "" {
		attributes += fmt.Sprintf(` class="%s"`, class)
	}
	fmt.Fprintf(p.body, `<text x="%d" y="%d"%s>%s</text>`+"\n", x, y, attributes, escape(s))
}

// row draws one row.
func (p *picture) row(r *Row) {
	p.y += svgRow
	y := p.y
	if r.Omitted > 0 {
		p.text(p.labels(), y, "start", "hl-dim", r.omission())
		return
	}
	fmt.Fprintf(p.body, "<g><title>%s</title>\n", escape(p.l.sentence(r)))
	mark, class := "", ""
	if r.Cited {
		mark, class = "* ", "hl-strong"
	}
	p.text(svgLeft-10, y, "end", class, fmt.Sprintf("%s%.6f", mark, r.At.Seconds()))
	p.arrow(r, y-4)
	for _, s := range r.Seen {
		p.number(p.x(s.Column), y, s.Frame)
	}
	for i, line := range locale.Wrap(r.What, svgWords/svgLetter-2) {
		if i > 0 {
			p.y += svgLine
		}
		p.text(p.labels(), p.y, "start", class, line)
	}
	p.body.WriteString("</g>\n")
}

// number writes a frame number over its rail.
func (p *picture) number(x, y int, frame uint64) {
	s := fmt.Sprint(frame)
	n := len(s)*svgLetter + 8
	fmt.Fprintf(p.body, `<rect class="hl-paper" x="%d" y="%d" width="%d" height="16"/>`+"\n", x-n/2, y-12, n)
	p.text(x, y, "middle", "hl-strong", s)
}

// beside is the edge of a number, on the side where step goes.
func (p *picture) beside(s Seen, step int) int {
	return p.x(s.Column) + step*((len(fmt.Sprint(s.Frame))*svgLetter+8)/2)
}

// arrow draws a packet's way at height y.
func (p *picture) arrow(r *Row, y int) {
	step := 1
	if !r.ToServer {
		step = -1
	}
	line := func(from, to int) {
		fmt.Fprintf(p.body, `<path class="hl-way" d="M%d %dH%d"/>`+"\n", from, y, to)
	}
	head := func(tip int) {
		fmt.Fprintf(p.body, `<path class="hl-head" d="M%d %dL%d %dV%dZ"/>`+"\n", tip, y, tip-step*2*svgHalf, y-svgHalf, y+svgHalf)
	}
	for k := 1; k < len(r.Seen); k++ {
		tip := p.beside(r.Seen[k], -step)
		line(p.beside(r.Seen[k-1], step), tip-step*svgHalf)
		head(tip)
	}
	first, last := r.Seen[0], r.Seen[len(r.Seen)-1]
	if r.Born || len(r.Seen) == 1 && r.Fate == Arrived {
		tip := p.beside(first, -step)
		from := tip - step*4*svgHalf
		if r.Born {
			from = (p.x(r.From) + p.x(first.Column)) / 2
		}
		line(from, tip-step*svgHalf)
		head(tip)
		if r.Born {
			fmt.Fprintf(p.body, `<path class="hl-born" d="M%d %dl%d %dl%d %dl%d %dz"/>`+"\n", from-svgHalf, y, svgHalf, -svgHalf, svgHalf, svgHalf, -svgHalf, svgHalf)
		}
	}
	if r.Fate == Arrived {
		return
	}
	end := (p.x(last.Column) + p.x(r.Next)) / 2
	line(p.beside(last, step), end-step*svgHalf)
	if r.Fate == Unknown {
		p.text(end, y+4, "middle", "hl-unknown", "?")
		return
	}
	fmt.Fprintf(p.body, `<path class="hl-died" d="M%d %dl%d %dm0 %dl%d %d"/>`+"\n", end-svgHalf, y-svgHalf, 2*svgHalf, 2*svgHalf, -2*svgHalf, -2*svgHalf, 2*svgHalf)
}

// sentence says all of a row in words.
func (l *Ladder) sentence(r *Row) string {
	way := analyzer.ToServer
	if !r.ToServer {
		way = analyzer.ToClient
	}
	var seen []string
	for _, s := range r.Seen {
		seen = append(seen, fmt.Sprintf("%s frame %d at %s", l.Columns[s.Column].Point, s.Frame, s.Time.Format("15:04:05.000000")))
	}
	out := fmt.Sprintf("%s, %s %s: %s", r.What, l.Flows[r.Flow].Side, way, strings.Join(seen, ", "))
	if r.Born {
		out += "; made behind " + l.Columns[r.From].Point + ", which does not have it"
	}
	switch r.Fate {
	case Died:
		out += "; died before " + l.Columns[r.Next].Point
	case Unknown:
		out += fmt.Sprintf("; whether it came to %s is not known: it %s", l.Columns[r.Next].Point, r.Why)
	}
	return out
}

// escape makes text fit for XML; what XML cannot hold is replaced.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(printable(s))) // a Builder does not fail
	return b.String()
}
