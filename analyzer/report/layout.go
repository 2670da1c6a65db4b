package report

import (
	"bufio"
	"strings"
	"unicode/utf8"
)

// text lays out lines.
type text struct {
	w *bufio.Writer // keeps the first error
	o TextOptions
}

type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	green  style = "32"
	yellow style = "1;33"
)

func (t *text) paint(s style, v string) string {
	if !t.o.Color {
		return v
	}
	return "\x1b[" + string(s) + "m" + v + "\x1b[0m"
}

func (t *text) blank() { t.w.WriteByte('\n') }

func (t *text) head(s string) {
	t.blank()
	t.line(0, s)
}

func (t *text) item(mark, s string) { t.line(1, mark+" "+s) }

// verbatim writes s on one line, however long.
func (t *text) verbatim(indent int, s string) {
	t.w.WriteString(strings.Repeat("  ", indent) + s + "\n")
}

// line writes s, wrapped at spaces, continuation lines a step further in.
func (t *text) line(indent int, s string) {
	pad := strings.Repeat("  ", indent)
	room := t.o.Width - len(pad)
	if t.o.Width <= 0 || room < 20 || visible(s) <= room {
		t.w.WriteString(pad + strings.TrimRight(s, " ") + "\n")
		return
	}
	used := 0
	for i, word := range strings.Split(s, " ") {
		n := visible(word)
		switch {
		case i == 0:
			t.w.WriteString(pad + word)
			used = n
		case used+1+n > room:
			t.w.WriteString("\n" + pad + "  " + word)
			used = 2 + n
		default:
			t.w.WriteString(" " + word)
			used += 1 + n
		}
	}
	t.blank()
}

// visible is the number of columns of s without its colours.
func visible(s string) int {
	n := 0
	for {
		i := strings.IndexByte(s, '\x1b')
		if i < 0 {
			return n + utf8.RuneCountInString(s)
		}
		n += utf8.RuneCountInString(s[:i])
		j := strings.IndexByte(s[i:], 'm')
		if j < 0 {
			return n
		}
		s = s[i+j+1:]
	}
}
