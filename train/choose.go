package train

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// Exercises are the scenarios of the catalogue that have one answer: those in which
// something fails, nobody tampers with the captures, and no second cause is accepted. Where
// it lies on the way to both pool members the hop may be either's.
func Exercises() ([]*scenarios.Scenario, error) {
	all, err := scenarios.All()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s *scenarios.Scenario) bool { return !isExercise(s) }), nil
}

// isExercise says whether a scenario has one answer.
func isExercise(s *scenarios.Scenario) bool {
	if len(s.Expect) == 0 || len(s.Observe.Faults) > 0 {
		return false
	}
	return !slices.ContainsFunc(s.Expect, func(e scenarios.Expectation) bool {
		return e.Hop == "" || e.Cause == analyzer.Inconclusive || len(e.Accept) > 0 || e.Cause != causeOf(s)
	})
}

// Check says why a scenario is no exercise, with a [FileError]; nil if it is one.
func Check(s *scenarios.Scenario) error {
	if !isExercise(s) {
		return &FileError{s.Name, "is no exercise, for it has not one answer; hopblame train list --names shows those that have"}
	}
	return nil
}

// causeOf is the cause of an exercise.
func causeOf(s *scenarios.Scenario) analyzer.Cause { return s.Expect[0].Cause }

// Pick chooses one by a seed. Another scenario in the catalogue seldom changes the choice:
// each one draws a number, and the least wins.
func Pick(all []*scenarios.Scenario, seed uint64) *scenarios.Scenario {
	return slices.MinFunc(all, func(a, b *scenarios.Scenario) int {
		return cmp.Compare(draw(seed, a.Name), draw(seed, b.Name))
	})
}

// Seat chooses the exercise of a seat, from 1, in a class that has a seed. All of a class
// have the same symptom. Neighbours have different causes, as long as no cause has more
// than half of the scenarios with that symptom; once all are given out they come round again.
func Seat(all []*scenarios.Scenario, seed uint64, seat int) (*scenarios.Scenario, error) {
	if seat < 1 {
		return nil, fmt.Errorf("seat %d: seats are counted from 1", seat)
	}
	twins := classes(all)
	if len(twins) == 0 {
		return nil, fmt.Errorf("no two exercises have the same symptom and different causes")
	}
	name := slices.MinFunc(slices.Sorted(maps.Keys(twins)), func(a, b string) int {
		return cmp.Compare(draw(seed, a), draw(seed, b))
	})
	row := seated(twins[name], seed)
	return row[(seat-1)%len(row)], nil
}

// Twin chooses one with the same symptom as s and another cause; nil if there is none.
func Twin(all []*scenarios.Scenario, s *scenarios.Scenario, seed uint64) *scenarios.Scenario {
	var twins []*scenarios.Scenario
	for _, other := range classes(all)[s.Class] {
		if causeOf(other) != causeOf(s) {
			twins = append(twins, other)
		}
	}
	if len(twins) == 0 {
		return nil
	}
	return Pick(twins, seed)
}

// PickTwin chooses one that has twins; nil if none has.
func PickTwin(all []*scenarios.Scenario, seed uint64) *scenarios.Scenario {
	twins := slices.Concat(slices.Collect(maps.Values(classes(all)))...)
	if len(twins) == 0 {
		return nil
	}
	return Pick(twins, seed)
}

// classes are the scenarios by symptom, where one symptom has several causes.
func classes(all []*scenarios.Scenario) map[string][]*scenarios.Scenario {
	twins := map[string][]*scenarios.Scenario{}
	for _, s := range all {
		if s.Class != "" {
			twins[s.Class] = append(twins[s.Class], s)
		}
	}
	maps.DeleteFunc(twins, func(_ string, list []*scenarios.Scenario) bool {
		return !slices.ContainsFunc(list, func(s *scenarios.Scenario) bool { return causeOf(s) != causeOf(list[0]) })
	})
	return twins
}

// seated puts twins in a row, end to begin closed, in which no neighbours have one cause:
// each cause's at every other place, the most frequent cause first, which needs all places
// of even number before the odd ones.
func seated(twins []*scenarios.Scenario, seed uint64) []*scenarios.Scenario {
	count := map[analyzer.Cause]int{}
	for _, s := range twins {
		count[causeOf(s)]++
	}
	order := slices.SortedFunc(slices.Values(twins), func(a, b *scenarios.Scenario) int {
		x, y := causeOf(a), causeOf(b)
		return cmp.Or(cmp.Compare(count[y], count[x]), cmp.Compare(draw(seed, string(x)), draw(seed, string(y))),
			cmp.Compare(draw(seed, a.Name), draw(seed, b.Name)))
	})
	row := make([]*scenarios.Scenario, len(order))
	// Where the row begins is the seed's, too: else the first seat always had the most
	// frequent cause.
	at, n := int(draw(seed, "first seat")%uint64(len(row))), len(row)
	for i, s := range order {
		place := 2 * i
		if place >= n {
			place = 2*(i-(n+1)/2) + 1
		}
		row[(at+place)%n] = s
	}
	return row
}

// SeatSeed is the seed of the run that a seat of a class gets. It is short to type.
func SeatSeed(seed uint64, seat int) uint64 {
	return draw(seed, fmt.Sprintf("seat %d", seat)) >> 32
}

// draw is a number that a seed and a word decide.
func draw(seed uint64, word string) uint64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(word+"\x00"), seed))
	return binary.BigEndian.Uint64(sum[:])
}
