package train

import (
	"cmp"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// Count says how many exercises have one symptom, and how many causes that has.
type Count struct {
	Class             string // "" is every other symptom
	Exercises, Causes int
}

// List counts exercises by symptom, the most frequent first, and gives no answer away. It is
// in a language of [locale.Tags], as all texts.
func List(lang string, all []*scenarios.Scenario) (string, error) {
	var list []Count
	causes := map[string]map[analyzer.Cause]bool{}
	for _, s := range all {
		i := slices.IndexFunc(list, func(c Count) bool { return c.Class == s.Class })
		if i < 0 {
			i, list = len(list), append(list, Count{Class: s.Class})
			causes[s.Class] = map[analyzer.Cause]bool{}
		}
		causes[s.Class][causeOf(s)] = true
		list[i].Exercises++
		list[i].Causes = len(causes[s.Class])
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(b.Exercises-a.Exercises, cmp.Compare(a.Class, b.Class))
	})
	return say(lang, "list", struct {
		All    int
		Counts []Count
	}{len(all), list})
}

// Names lists exercises with their answers, for trainers.
func Names(lang string, all []*scenarios.Scenario) (string, error) {
	var list []seat
	for i, s := range all {
		list = append(list, seat{i + 1, s, hopsOf(s)})
	}
	return say(lang, "names", list)
}

// Words explains the causes that an answer can give.
func Words(lang string) (string, error) { return say(lang, "words", Causes()) }
