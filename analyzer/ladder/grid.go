package ladder

// ink is how a character looks on a terminal: an SGR parameter.
type ink string

const (
	strong ink = "1"
	dim    ink = "2"
	alarm  ink = "1;31"
	warn   ink = "1;33"
)

// grid is a line that is drawn in any order.
type grid struct {
	chars []rune
	inks  []ink
}

// set draws one character; beyond the left edge there is none.
func (g *grid) set(x int, r rune, s ink) {
	if x < 0 {
		return
	}
	for len(g.chars) <= x {
		g.chars, g.inks = append(g.chars, ' '), append(g.inks, "")
	}
	g.chars[x], g.inks[x] = r, s
}

func (g *grid) put(x int, s string, style ink) {
	for _, r := range s {
		g.set(x, r, style)
		x++
	}
}

// center puts s so that its middle is at x.
func (g *grid) center(x int, s string, style ink) { g.put(x-len([]rune(s))/2, s, style) }

// grid draws a line and writes it without the blanks at its end.
func (t *text) grid(draw func(*grid)) {
	var g grid
	draw(&g)
	end := len(g.chars)
	for end > 0 && g.chars[end-1] == ' ' {
		end--
	}
	for i := 0; i < end; {
		j := i
		for j < end && g.inks[j] == g.inks[i] {
			j++
		}
		t.w.WriteString(t.paint(g.inks[i], string(g.chars[i:j])))
		i = j
	}
	t.w.WriteString("\n")
}
