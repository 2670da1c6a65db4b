package cli

import (
	"testing"

	"github.com/hopblame/hopblame/train"
)

func TestWhichExerciseIsStarted(t *testing.T) {
	all, err := train.Exercises()
	if err != nil {
		t.Fatal(err)
	}
	seat, err := train.Seat(all, 2026, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name          string
		o             trainStart
		seeded, class bool
		args          []string
		want          string // of the first one
		n             int
		seed          uint64
	}{
		{"a seed's", trainStart{seed: 10}, true, false, nil, train.Pick(all, 10).Name, 1, 10},
		{"a seat's, with a seed of its own", trainStart{class: 2026, seat: 3}, false, true, nil, seat.Name, 1, train.SeatSeed(2026, 3)},
		{"a seat's and its twin", trainStart{class: 2026, seat: 3, pair: true}, false, true, nil, seat.Name, 2, train.SeatSeed(2026, 3)},
		{"the one that is named", trainStart{seed: 4}, true, false, []string{"f5-no-pool"}, "f5-no-pool", 1, 4},
		{"two of one symptom", trainStart{seed: 4, pair: true}, true, false, nil, train.PickTwin(all, 4).Name, 2, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			list, err := row.o.choose(row.seeded, row.class, row.args)
			if err != nil || len(list) != row.n || list[0].Name != row.want || row.o.seed != row.seed {
				t.Fatalf("%d exercises with seed %d, %v; want %d, the first %s, with seed %d", len(list), row.o.seed, err, row.n, row.want, row.seed)
			}
			if row.n == 2 && (list[0].Class != list[1].Class || list[0].Expect[0].Cause == list[1].Expect[0].Cause) {
				t.Errorf("%s and %s are no pair", list[0].Name, list[1].Name)
			}
		})
	}
	seeds := map[uint64]bool{}
	for range 3 {
		var o trainStart
		if _, err := o.choose(false, false, nil); err != nil {
			t.Fatal(err)
		}
		seeds[o.seed] = true
	}
	if len(seeds) < 2 {
		t.Error("at random means always the same")
	}
}
