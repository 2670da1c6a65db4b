package trial

import (
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of the equal parts that a matrix of CI jobs divides a trial into. The zero
// value is all of it.
type Shard struct{ Index, Of int } // Index is from 1

// ParseShard reads "2/5".
func ParseShard(text string) (s Shard, err error) {
	i, n, ok := strings.Cut(text, "/")
	if ok {
		s.Index, err = strconv.Atoi(i)
	}
	if ok && err == nil {
		s.Of, err = strconv.Atoi(n)
	}
	if !ok || err != nil || s.Index < 1 || s.Index > s.Of {
		return Shard{}, fmt.Errorf("shard %q: give I/N, such as 1/4 to 4/4", text)
	}
	return s, nil
}

// Part takes a shard's part of a list: every n-th, so that neighbours, which are alike and
// take as long, are spread.
func (s Shard) Part(cases []Case) (part []Case) {
	if s.Of == 0 {
		return cases
	}
	for i := s.Index - 1; i < len(cases); i += s.Of {
		part = append(part, cases[i])
	}
	return part
}
