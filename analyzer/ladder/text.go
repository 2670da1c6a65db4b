package ladder

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/locale"
)

// TextOptions tunes [Ladder.Text]. The zero value is plain text of 100 columns.
type TextOptions struct {
	Width int  // columns of the terminal; 0: 100. Where the points need more, lines are longer
	Color bool // ANSI colours, which repeat what the marks say
	ASCII bool // no character beyond ASCII in what is drawn
	// Filter has the last line say with which display filter Wireshark shows the same
	// packets: see [Ladder.Filter].
	Filter bool
}

// glyphs are the characters that a ladder is drawn with.
type glyphs struct {
	line, rail, cross, right, left, died, unknown, born rune
	cut                                                 string // the end of a name that is too long
}

var (
	unicodeGlyphs = glyphs{'─', '│', '┼', '▶', '◀', '✗', '?', '◆', "…"}
	pictureGlyphs = glyphs{died: '✗', unknown: '?', born: '◆', cross: '─'}
	asciiGlyphs   = glyphs{'-', '|', '+', '>', '<', 'X', '?', 'o', "~"}
)

// Text writes the ladder for a terminal: a line a packet, under each point the number of
// the frame in which it has it.
func (l *Ladder) Text(w io.Writer, o TextOptions) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	t := &text{w: bufio.NewWriter(w), l: l, o: o, g: unicodeGlyphs}
	if o.ASCII {
		t.g = asciiGlyphs
	}
	t.measure()
	t.preamble()
	t.header()
	for i := range l.Rows {
		t.row(&l.Rows[i])
	}
	t.legend()
	return t.w.Flush()
}

// String is the ladder as [Ladder.Text] writes it without options.
func (l *Ladder) String() string {
	var b strings.Builder
	_ = l.Text(&b, TextOptions{}) // into memory, which does not fail
	return b.String()
}

// text is a ladder that is being written.
type text struct {
	w       *bufio.Writer // keeps the first error
	l       *Ladder
	o       TextOptions
	g       glyphs
	spacing int  // between columns
	label   int  // where labels begin
	stacked bool // labels have lines of their own
}

const (
	timeColumns  = 12 // mark, seconds
	leastSpacing = 9
	mostSpacing  = 14
	leastLabel   = 18 // columns, below which labels get lines of their own
	goodLabel    = 32
)

// measure lays out the columns.
func (t *text) measure() {
	widest := 1
	for i := range t.l.Rows {
		for _, s := range t.l.Rows[i].Seen {
			widest = max(widest, len(fmt.Sprint(s.Frame)))
		}
	}
	n := max(1, len(t.l.Columns))
	least := max(leastSpacing, widest+4)
	t.spacing = max(least, min(mostSpacing, (t.o.Width-timeColumns-goodLabel)/n))
	t.label = timeColumns + n*t.spacing + 1
	t.stacked = t.o.Width-t.label < leastLabel
}

// x is where a column's rail is.
func (t *text) x(column int) int { return timeColumns + t.spacing/2 + column*t.spacing }

// plain replaces what a terminal without Unicode cannot show of our own words.
func (t *text) plain(s string) string {
	if !t.o.ASCII {
		return s
	}
	s = strings.NewReplacer("→", "->", "…", "...", "—", "-", "–", "-", "�", "?").Replace(s)
	return strings.Map(func(r rune) rune {
		if r > 126 {
			return '?'
		}
		return r
	}, s)
}

func (t *text) paint(s ink, v string) string {
	if !t.o.Color || s == "" {
		return v
	}
	return "\x1b[" + string(s) + "m" + v + "\x1b[0m"
}

// para writes words wrapped at the width; what follows the first line is indented.
func (t *text) para(s string, indent int) {
	for i, line := range locale.Wrap(t.plain(printable(s)), t.o.Width-indent) {
		if i > 0 {
			t.w.WriteString(strings.Repeat(" ", indent))
		}
		t.w.WriteString(line + "\n")
	}
}

func (t *text) preamble() {
	t.para(t.l.Title, 2)
	if t.l.Verdict != "" {
		t.para("Verdict: "+t.l.Verdict, 2)
	}
	for i := range t.l.Flows {
		t.para(t.l.describe(i), 2)
	}
	if !t.l.Start.IsZero() {
		t.para("Second 0 is "+t.l.Start.Format("2006-01-02 15:04:05.000000")+" UTC by the first point's clock.", 2)
	}
	t.w.WriteByte('\n')
}

// describe is a flow in words, numbered if there are several behind the proxy.
func (l *Ladder) describe(i int) string {
	f := &l.Flows[i]
	side := strings.ToUpper(f.Side[:1]) + f.Side[1:]
	if i > 0 && len(l.Flows) > 2 && l.Flows[0].Side == analyzer.Clientside {
		side += fmt.Sprintf(" [%d]", i)
	}
	side += ": " + f.Conn.String()
	for _, c := range f.Rewritten {
		side += ", rewritten to " + c.String()
	}
	return side
}

// header names the points.
func (t *text) header() {
	t.grid(func(g *grid) {
		g.put(4, "seconds", dim)
		for i, c := range t.l.Columns {
			g.center(t.x(i), t.fit(t.plain(printable(c.Hop))), strong)
		}
	})
	if !slices.ContainsFunc(t.l.Columns, func(c Column) bool { return c.Face != "" }) {
		return // nobody named the points
	}
	t.grid(func(g *grid) {
		for i, c := range t.l.Columns {
			g.center(t.x(i), t.fit(t.plain(printable(c.Face))), "")
		}
	})
}

// fit cuts a name to the width of a column.
func (t *text) fit(s string) string {
	r := []rune(s)
	if len(r) >= t.spacing {
		return string(r[:t.spacing-2]) + t.g.cut
	}
	return s
}

// row draws one row, its label beside it or above.
func (t *text) row(r *Row) {
	if r.Omitted > 0 {
		t.grid(func(g *grid) {
			t.rails(g)
			g.put(t.label, t.plain(r.omission()), dim)
		})
		return
	}
	label := locale.Wrap(t.plain(r.What), max(leastLabel, t.o.Width-t.label))
	style := ink("")
	if r.Cited {
		style = strong
	}
	if t.stacked {
		label = locale.Wrap(t.plain(r.What), max(leastLabel, t.o.Width-timeColumns-2))
		for _, line := range label {
			t.grid(func(g *grid) {
				g.put(timeColumns+2, line, style)
			})
		}
		label = nil
	}
	t.grid(func(g *grid) {
		if r.Cited {
			g.put(0, "*", strong)
		}
		g.put(1, fmt.Sprintf("%10.6f", r.At.Seconds()), "")
		t.rails(g)
		t.arrow(g, r)
		if len(label) > 0 {
			g.put(t.label, label[0], style)
		}
	})
	for k := 1; k < len(label); k++ {
		t.grid(func(g *grid) {
			t.rails(g)
			g.put(t.label+2, label[k], style)
		})
	}
}

// omission says what a row leaves out.
func (r *Row) omission() string {
	s := "s"
	if r.Omitted == 1 {
		s = ""
	}
	if r.What == "more" {
		return fmt.Sprintf("… %s more packet%s …", digits.Group(r.Omitted), s)
	}
	return fmt.Sprintf("… %s packet%s %s …", digits.Group(r.Omitted), s, r.What)
}

func (t *text) rails(g *grid) {
	for i := range t.l.Columns {
		g.set(t.x(i), t.g.rail, dim)
	}
}

// arrow draws a packet's way over the points.
func (t *text) arrow(g *grid, r *Row) {
	step := 1
	head := t.g.right
	if !r.ToServer {
		step, head = -1, t.g.left
	}
	first, last := r.Seen[0].Column, r.Seen[len(r.Seen)-1].Column
	from, to := t.x(first), t.x(last)
	for x := from; x != to; x += step {
		g.set(x, t.g.line, "")
	}
	for i := range t.l.Columns {
		if x := t.x(i); i != first && i != last && (x-from)*(x-to) < 0 {
			g.set(x, t.g.cross, "")
		}
	}
	edge := func(column int, frame uint64, ahead int) int { // the place beside a number
		n := len(fmt.Sprint(frame))
		start := t.x(column) - n/2
		if ahead > 0 {
			return start + n
		}
		return start - 1
	}
	for k, s := range r.Seen {
		g.center(t.x(s.Column), fmt.Sprint(s.Frame), strong)
		behind := edge(s.Column, s.Frame, -step)
		switch {
		case k > 0:
			g.set(behind, ' ', "")
			g.set(behind-step, head, "")
		case r.Born || len(r.Seen) == 1 && r.Fate == Arrived: // it comes from somewhere
			g.set(behind, ' ', "")
			g.set(behind-step, head, "")
			g.set(behind-2*step, t.g.line, "")
			if r.Born {
				g.set(behind-3*step, t.g.born, warn)
			}
		}
		if k < len(r.Seen)-1 {
			g.set(edge(s.Column, s.Frame, step), ' ', "")
		}
	}
	if r.Fate == Arrived {
		return
	}
	mark, style := t.g.died, alarm
	if r.Fate == Unknown {
		mark, style = t.g.unknown, warn
	}
	x := edge(last, r.Seen[len(r.Seen)-1].Frame, step) + step
	end := (t.x(last) + t.x(r.Next)) / 2
	if (end-x)*step < 0 {
		end = x
	}
	for ; x != end; x += step {
		g.set(x, t.g.line, "")
	}
	g.set(end, mark, style)
}

// legend explains the marks that were used, and where the numbers are from.
func (t *text) legend() {
	t.w.WriteByte('\n')
	if marks := t.l.marks(t.g); len(marks) > 0 {
		t.para("Marks: "+strings.Join(marks, "; ")+".", 2)
	}
	t.para("Numbers are Wireshark's frame numbers in "+t.l.files()+".", 2)
	for _, n := range t.l.Notes {
		t.para("Note: "+n+".", 2)
	}
	if t.o.Filter {
		t.w.WriteString("In Wireshark: " + t.l.Filter() + "\n") // on one line, to be copied
	}
}

// ConnFilter is the display filter of a connection's packets in both directions.
func ConnFilter(c analyzer.Conn) string {
	var terms []string
	for _, end := range []netip.AddrPort{c.Client, c.Server} {
		ip := "ip"
		if end.Addr().Is6() {
			ip = "ipv6"
		}
		terms = append(terms, fmt.Sprintf("%s.addr==%s && tcp.port==%d", ip, end.Addr(), end.Port()))
	}
	return strings.Join(terms, " && ")
}

// Filter is the display filter with which Wireshark shows the packets of the ladder's
// connections, in the capture of any point; and those of others, if their ports came round.
func (l *Ladder) Filter() string {
	var conns []string
	add := func(c analyzer.Conn) { conns = append(conns, "("+ConnFilter(c)+")") }
	for i := range l.Flows {
		add(l.Flows[i].Conn)
		for _, c := range l.Flows[i].Rewritten {
			add(c)
		}
	}
	return strings.Join(conns, " || ")
}

// marks says what the marks mean that are used.
func (l *Ladder) marks(g glyphs) (out []string) {
	used := func(mark rune, means string, by func(*Row) bool) {
		if slices.ContainsFunc(l.Rows, func(r Row) bool { return r.Omitted == 0 && by(&r) }) {
			out = append(out, string(mark)+" "+means)
		}
	}
	used(g.died, "died between these points", func(r *Row) bool { return r.Fate == Died })
	used(g.unknown, "the next point cannot tell", func(r *Row) bool { return r.Fate == Unknown })
	used(g.born, "made here, no earlier point has it", func(r *Row) bool { return r.Born })
	used(g.cross, "passed, and is not in the capture", l.crosses)
	used('*', "cited by the verdict", func(r *Row) bool { return r.Cited })
	return out
}

// crosses tells whether a packet was seen on both sides of a point that has it not.
func (l *Ladder) crosses(r *Row) bool {
	for i := range l.Columns {
		low, high, own := false, false, false
		for _, s := range r.Seen {
			low, high, own = low || s.Column < i, high || s.Column > i, own || s.Column == i
		}
		if low && high && !own {
			return true
		}
	}
	return false
}

// files names the captures, each by its point.
func (l *Ladder) files() string {
	var out []string
	for _, c := range l.Columns {
		name := path.Base(filepath.ToSlash(c.Files[0]))
		if n := len(c.Files); n > 1 {
			name += fmt.Sprintf(" and %d more", n-1)
		}
		out = append(out, fmt.Sprintf("%s (%s)", printable(name), printable(c.Point)))
	}
	return strings.Join(out, ", ")
}
