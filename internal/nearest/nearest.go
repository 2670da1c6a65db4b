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
	best, distance := T(""), 1+len(word)/2
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

// distanceOf is Levenshtein's.
func distanceOf(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
