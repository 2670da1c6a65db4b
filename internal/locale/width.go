package locale

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Wide says whether a letter takes two columns of a terminal (Unicode's UAX #11: wide and
// fullwidth). What is ambiguous there takes one.
func Wide(r rune) bool {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return true
	}
	return false
}

// Width is how many columns a text takes.
func Width(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if Wide(r) {
			n++
		}
	}
	return n
}

// Wrap breaks a text into lines of so many columns: at its spaces, and between wide
// letters. A word that is too long has a line for itself.
func Wrap(s string, columns int) []string {
	var lines []string
	line, used := "", 0
	for i, word := range strings.Fields(s) {
		for j, piece := range pieces(word) {
			gap := ""
			if i > 0 && j == 0 {
				gap = " "
			}
			n := Width(piece)
			if used > 0 && used+len(gap)+n > columns {
				lines = append(lines, line)
				line, used, gap = "", 0, ""
			}
			line += gap + piece
			used += len(gap) + n
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Marks that begin no line, and such that end none, of those that Chinese is written with
// (W3C, Requirements for Chinese Text Layout, §3.1.4).
const (
	noBegin = "，。、；：？！）》」』】…—”’"
	noEnd   = "（《「『【“‘"
)

// pieces cuts a word where a line may end within it.
func pieces(word string) (out []string) {
	begin, before := 0, rune(0)
	for i, r := range word {
		if i > 0 && Wide(before) && Wide(r) && !strings.ContainsRune(noEnd, before) && !strings.ContainsRune(noBegin, r) {
			out = append(out, word[begin:i])
			begin = i
		}
		before = r
	}
	return append(out, word[begin:])
}

// Unfold takes out the spaces that a text file's line ends leave between wide letters,
// where no space belongs.
func Unfold(s string) string {
	var b strings.Builder
	before := rune(0)
	for i, r := range s {
		if r == ' ' && Wide(before) {
			if next, _ := utf8.DecodeRuneInString(s[i+1:]); Wide(next) {
				continue
			}
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}
