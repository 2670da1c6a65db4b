// Package digits writes counts for people.
package digits

import "strconv"

// Group writes a number with its digits in groups of three: 100,000.
func Group(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes a number of things, of which what is one: "1 verdict", "2,000 verdicts".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Group(n) + " " + what + "s"
}
