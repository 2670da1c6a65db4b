package report

import "unicode/utf8"

// Clip shortens a text, such as one that is somebody else's, to at most so many letters, of
// which the last says that there was more. letters must be positive.
func Clip(s string, letters int) string {
	if utf8.RuneCountInString(s) > letters {
		return string([]rune(s)[:letters-1]) + "…"
	}
	return s
}
