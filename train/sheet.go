package train

import (
	"strings"

	"github.com/hopblame/hopblame/scenarios"
)

// seat is a line of the trainer's sheet.
type seat struct {
	N        int
	Scenario *scenarios.Scenario
	Answer   string
}

// answerOf is the right answer, or, where it lies on the way to both pool members, both.
func answerOf(s *scenarios.Scenario) (hop string) {
	var hops []string
	for _, e := range s.Expect {
		hops = append(hops, e.Hop)
	}
	return strings.Join(hops, ", ")
}

// Sheet is what the trainer of a class needs, in Markdown: who has which exercise, what is
// right, and what to ask.
func Sheet(all []*scenarios.Scenario, seed uint64, seats int) (string, error) {
	var list []seat
	for n := range seats {
		s, err := Seat(all, seed, n+1)
		if err != nil {
			return "", err
		}
		list = append(list, seat{n + 1, s, answerOf(s)})
	}
	return say("sheet", struct {
		Seed  uint64
		Seats []seat
	}{seed, list})
}
