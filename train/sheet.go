package train

import "github.com/hopblame/hopblame/scenarios"

// seat is a line of the trainer's sheet.
type seat struct {
	N        int
	Scenario *scenarios.Scenario
	Hops     []string // each right: it may lie on the way to either pool member
}

// hopsOf are the hops of a scenario, each of which is right.
func hopsOf(s *scenarios.Scenario) (hops []string) {
	for _, e := range s.Expect {
		hops = append(hops, e.Hop)
	}
	return hops
}

// Sheet is what the trainer of a class needs, in Markdown: who has which exercise, what is
// right, and what to ask.
func Sheet(lang string, all []*scenarios.Scenario, seed uint64, seats int) (string, error) {
	var list []seat
	for n := range seats {
		s, err := Seat(all, seed, n+1)
		if err != nil {
			return "", err
		}
		shown, _ := s.In(lang) // or in English
		list = append(list, seat{n + 1, shown, hopsOf(s)})
	}
	return say(lang, "sheet", struct {
		Seed  uint64
		Seats []seat
	}{seed, list})
}
