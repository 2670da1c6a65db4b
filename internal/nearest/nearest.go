// Package nearest finds the word that somebody meant who wrote one that there is not.
package nearest

import (
	"cmp"
	"fmt"
	"slices"
)

// Hint returns `; did you mean "x"?` with the nearest known word, to put behind an error;
// "" if none is near, which is when more than half of it would have to be changed.
func Hint[T ~string](word T, known []T) string {
	best, distance := T(""), 1+(len(word)+1)/3
	if len(word) < 3 {
		distance = 1 // half of it is as far as any other word
	}
	for _, k := range slices.SortedFunc(slices.Values(known), cmp.Compare[T]) {
		if d := distanceOf(string(word), string(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// HintOrAll returns what [Hint] does, or, where none is near, all the known words.
func HintOrAll[T ~string](word T, known []T) string {
	if hint := Hint(word, known); hint != "" {
		return hint
	}
	all := ""
	for i, k := range slices.SortedFunc(slices.Values(known), cmp.Compare[T]) {
		if i > 0 {
			all += ", "
		}
		all += string(k)
	}
	return "; there are " + all
}

// distanceOf counts what has to be put in, taken out, replaced or, of two neighbours,
// swapped (the optimal string alignment distance).
func distanceOf(a, b string) int {
	row := func() []int { return make([]int, len(b)+1) }
	before, last, this := row(), row(), row() // of the matrix
	for j := range this {
		this[j] = j
	}
	for i := range len(a) {
		before, last, this = last, this, before
		this[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			this[j+1] = min(last[j+1]+1, this[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				this[j+1] = min(this[j+1], before[j-1]+1)
			}
		}
	}
	return this[len(b)]
}
