package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Clip shortens a text, such as one that is somebody else's, to at most so many letters, of
// which the last says that there was more. letters must be positive.
func Clip(s string, letters int) string {
	if utf8.RuneCountInString(s) > letters {
		return string([]rune(s)[:letters-1]) + "…"
	}
	return s
}

// Percent writes a share of one in per cent, with two digits that count: 0.37, 12, 100.
func Percent(share float64) string {
	s := fmt.Sprintf("%.2g", 100*share)
	if strings.Contains(s, "e+") { // 100 has three
		s = fmt.Sprintf("%.0f", 100*share)
	}
	return s
}
