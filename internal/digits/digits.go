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
