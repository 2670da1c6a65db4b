package train

import (
	"slices"
	"sync"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

var loaded = sync.OnceValues(Exercises)

func exercises(t *testing.T) []*scenarios.Scenario {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOnlyWhatHasOneAnswerIsAnExercise(t *testing.T) {
	all := exercises(t)
	for _, row := range []struct {
		name, scenario string
		is             bool
	}{
		{"one hop, one cause", "firewall-drops-syn", true},
		{"the hop depends on the pool member", "link-drops-syn-after-firewall", true},
		{"another answer is accepted", "f5-idle-timeout-slow-server", false},
		{"the captures were tampered with", "capture-duplicates", false},
		{"nothing fails", "no-fault", false},
		{"there are two faults", "firewall-forgets-slow-server", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			is := slices.ContainsFunc(all, func(s *scenarios.Scenario) bool { return s.Name == row.scenario })
			if is != row.is {
				t.Errorf("%s: an exercise: %t, want %t", row.scenario, is, row.is)
			}
		})
	}
}

func TestNeighboursHaveOneSymptomAndDifferentCauses(t *testing.T) {
	all := exercises(t)
	for seed := range uint64(50) {
		seen := map[string]bool{}
		for n := 1; n <= 40; n++ {
			a, errA := Seat(all, seed, n)
			b, errB := Seat(all, seed, n+1)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if a.Class != b.Class || a.Class == "" || causeOf(a) == causeOf(b) {
				t.Errorf("class %d, seats %d and %d: %s (%s, %s) and %s (%s, %s)", seed, n, n+1, a.Name, a.Class, causeOf(a), b.Name, b.Class, causeOf(b))
			}
			seen[a.Name] = true
		}
		first, _ := Seat(all, seed, 1)
		if want := len(classes(all)[first.Class]); len(seen) != want {
			t.Errorf("class %d: 40 seats have %d exercises, there are %d", seed, len(seen), want)
		}
	}
}

func TestSeats(t *testing.T) {
	twin := func(name string, cause analyzer.Cause) *scenarios.Scenario {
		return &scenarios.Scenario{Name: name, Class: "c", Expect: []scenarios.Expectation{{Pair: scenarios.Pair{Hop: "firewall", Cause: cause}}}}
	}
	for _, row := range []struct {
		name  string
		twins []*scenarios.Scenario
		apart bool
	}{
		{"two of them", []*scenarios.Scenario{twin("a", "x"), twin("b", "y")}, true},
		{"an odd number, one cause twice", []*scenarios.Scenario{twin("a", "x"), twin("b", "y"), twin("c", "x"), twin("d", "z"), twin("e", "y")}, true},
		{"half of them of one cause", []*scenarios.Scenario{twin("a", "x"), twin("b", "x"), twin("c", "y"), twin("d", "z")}, true},
		{"too many of one cause", []*scenarios.Scenario{twin("a", "x"), twin("b", "x"), twin("c", "y")}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for seed := range uint64(50) {
				at := seated(row.twins, seed)
				apart := true
				for i, s := range at {
					apart = apart && causeOf(s) != causeOf(at[(i+1)%len(at)])
				}
				if apart != row.apart {
					t.Errorf("seed %d: neighbours differ: %t, want %t", seed, apart, row.apart)
				}
				if slices.Contains(at, nil) {
					t.Errorf("seed %d: an empty seat", seed)
				}
			}
		})
	}
	if _, err := Seat(exercises(t), 1, 0); err == nil {
		t.Error("there is a seat 0")
	}
	if _, err := Seat([]*scenarios.Scenario{twin("a", "x"), twin("b", "x")}, 1, 1); err == nil {
		t.Error("a class is made of one cause")
	}
}

func TestASeedChoosesTheSameAgainAndOthersOthers(t *testing.T) {
	all := exercises(t)
	firsts, picks := map[string]bool{}, map[string]bool{}
	for seed := range uint64(100) {
		s, err := Seat(all, seed, 1)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Seat(all, seed, 1)
		if s != again || Pick(all, seed) != Pick(all, seed) || SeatSeed(seed, 1) != SeatSeed(seed, 1) || SeatSeed(seed, 1) == SeatSeed(seed, 2) {
			t.Errorf("seed %d does not decide", seed)
		}
		firsts[s.Name], picks[Pick(all, seed).Name] = true, true
	}
	if len(firsts) < 10 || len(picks) < 30 {
		t.Errorf("100 seeds choose %d first seats and %d exercises", len(firsts), len(picks))
	}
}

func TestAPairIsOfOneSymptomAndTwoCauses(t *testing.T) {
	all := exercises(t)
	for seed := range uint64(100) {
		a := PickTwin(all, seed)
		if b := Twin(all, a, seed); b == nil || a.Class != b.Class || causeOf(a) == causeOf(b) {
			t.Errorf("seed %d: %s and %v", seed, a.Name, b)
		}
	}
	lone, err := scenarios.Find("f5-no-pool")
	if err != nil {
		t.Fatal(err)
	}
	if Twin(all, lone, 1) != nil || PickTwin([]*scenarios.Scenario{lone}, 1) != nil {
		t.Error("what has no twin has one")
	}
}

func TestAnotherScenarioSeldomChangesTheChoice(t *testing.T) {
	all := exercises(t)
	more := append(slices.Clone(all), &scenarios.Scenario{Name: "one-more"})
	changed := 0
	for seed := range uint64(1000) {
		if was, is := Pick(all, seed), Pick(more, seed); was != is {
			if changed++; is.Name != "one-more" {
				t.Errorf("seed %d: %s became %s", seed, was.Name, is.Name)
			}
		}
	}
	if changed == 0 || changed > 1000*3/len(all) {
		t.Errorf("%d of 1000 choices changed", changed)
	}
}

// The README goes through this one.
func TestTheReadmesExercise(t *testing.T) {
	if got := Pick(exercises(t), readmeSeed).Name; got != readmeExercise {
		t.Errorf("--seed %d is %s now; the README's first exercise is %s: choose another seed and mend both", readmeSeed, got, readmeExercise)
	}
}

const (
	readmeSeed     = 10
	readmeExercise = "server-ignores-syn"
)
