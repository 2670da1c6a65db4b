package trial

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

// Card is an analyzer's score card.
type Card struct {
	Score scenarios.Score `json:"score"`
	// Hops and Causes say how far each word can be trusted, in the order of the words.
	Hops   []Word `json:"hops"`
	Causes []Word `json:"causes"`
	// Confusion says what was taken for what, the most frequent first: by hop, by cause.
	Confusion struct {
		Hops   []Cell `json:"hops"`
		Causes []Cell `json:"causes"`
	} `json:"confusion"`
	// Calibration is nil for an analyzer that gives no confidence.
	Calibration *Calibration `json:"calibration"`
}

// Word is a hop or a cause, as a class of an information retrieval: how many are there,
// how many were found.
type Word struct {
	Word  string `json:"word"`
	Truth int    `json:"truth"` // failures that it was right for, but for those that may be left undecided and were
	Named int    `json:"named"` // verdicts that said it
	Right int    `json:"right"` // of those, the ones that were right in this
	// Precision is Right / Named and Recall Right / Truth; null where there is nothing
	// to divide by.
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
}

// Cell counts failures of which one thing is true and another was said.
type Cell struct {
	Truth    string `json:"truth"`
	Said     string `json:"said"`
	Failures int    `json:"failures"`
}

// What stands in a cell in place of a hop or a cause.
const (
	NothingFailed = "(nothing failed)" // a false alarm's truth
	NotKnown      = "(not known)"      // the truth has no answer to a failure
	NoVerdict     = "(no verdict)"     // a missed one
	Undecided     = "(undecided)"      // named nothing, where it should have
	RightlyNone   = "(rightly none)"   // named nothing, where captures do not decide
)

// cards counts judgements.
type cards struct {
	all           []scenarios.Judgement
	hops, causes  map[Cell]int
	confident     bool
	probabilities []claim
}

func newCards() *cards {
	return &cards{hops: map[Cell]int{}, causes: map[Cell]int{}}
}

// add counts the judgements of a run.
func (c *cards) add(judged []scenarios.Judgement, confident bool) {
	c.all = append(c.all, judged...)
	c.confident = c.confident || confident
	for i := range judged {
		j := &judged[i]
		truth, said := pairs(j)
		for k, cells := range []map[Cell]int{c.hops, c.causes} {
			cells[Cell{Truth: truth[k], Said: said[k]}]++
		}
		if got := j.Got(); confident && got != nil && got.Cause != analyzer.Inconclusive {
			c.probabilities = append(c.probabilities, claim{j.Verdict.Confidence, j.Grade.Right()})
		}
	}
}

// pairs are a judgement's truth and what was said, hop and cause of each, with what stands
// in their place.
func pairs(j *scenarios.Judgement) (truth, said [2]string) {
	both := func(s string) [2]string { return [2]string{s, s} }
	words := func(p scenarios.Pair) [2]string { return [2]string{p.Hop, string(p.Cause)} }
	switch {
	case j.Truth == nil:
		truth = both(NothingFailed)
	case len(j.Truth.Accept) == 0:
		truth = both(NotKnown)
	default:
		truth = words(j.Truth.Accept[0])
	}
	got := j.Got()
	switch {
	case got == nil:
		said = both(NoVerdict)
	case got.Cause == analyzer.Inconclusive && j.Grade.Right():
		said = both(RightlyNone)
	case got.Cause == analyzer.Inconclusive:
		said = both(Undecided)
	default:
		if said = words(*got); j.Grade.Right() {
			truth = said // another answer that is as right
		}
	}
	return truth, said
}

// card sums up.
func (c *cards) card() Card {
	card := cardOf(scenarios.ScoreOf(c.all), c.hops, c.causes)
	if c.confident {
		card.Calibration = calibrate(c.probabilities)
	}
	return card
}

// cardOf is the card of a score and of what was taken for what.
func cardOf(score scenarios.Score, hops, causes map[Cell]int) Card {
	c := Card{Score: score, Hops: words(hops), Causes: words(causes)}
	c.Confusion.Hops, c.Confusion.Causes = listed(hops), listed(causes)
	return c
}

// words are the rows, the columns and the diagonal of a confusion matrix, by word.
func words(cells map[Cell]int) []Word {
	of := map[string]Word{}
	for cell, n := range cells {
		if cell.Said != RightlyNone {
			w := of[cell.Truth]
			w.Truth += n
			of[cell.Truth] = w
		}
		w := of[cell.Said]
		w.Named += n
		if cell.Said == cell.Truth {
			w.Right += n
		}
		of[cell.Said] = w
	}
	list := []Word{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if name == "" || name[0] == '(' {
			continue // it is no hop and no cause
		}
		w := of[name]
		w.Word, w.Precision, w.Recall = name, ratio(w.Right, w.Named), ratio(w.Right, w.Truth)
		list = append(list, w)
	}
	return list
}

func ratio(part, whole int) *float64 {
	if whole == 0 {
		return nil
	}
	r := float64(part) / float64(whole)
	return &r
}

func listed(cells map[Cell]int) []Cell {
	list := []Cell{}
	for cell, n := range cells {
		cell.Failures = n
		list = append(list, cell)
	}
	slices.SortFunc(list, func(a, b Cell) int {
		return cmp.Or(b.Failures-a.Failures, cmp.Compare(a.Truth, b.Truth), cmp.Compare(a.Said, b.Said))
	})
	return list
}
