package trial

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/hopblame/hopblame/scenarios"
)

// Change is a scenario on which an analyzer does better or worse than it did.
type Change struct {
	Scenario string          `json:"scenario"`
	Better   bool            `json:"better"`
	Before   scenarios.Score `json:"before"`
	Now      scenarios.Score `json:"now"`
}

// LoadResult reads what trial --json or score --json has written. What is neither is a
// [scenarios.FileError].
func LoadResult(file string) (*Result, error) {
	const fix = "; give what hopblame trial --json or score --json has written"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &scenarios.FileError{File: file, Why: "cannot be read" + fix}
	}
	var r Result
	switch err := json.Unmarshal(text, &r); {
	case err != nil:
		return nil, &scenarios.FileError{File: file, Why: "is no result of a trial: " + plainly(err) + fix}
	case r.SchemaVersion != SchemaVersion:
		return nil, &scenarios.FileError{File: file, Why: fmt.Sprintf("has schema_version %d; this hopblame reads %d", r.SchemaVersion, SchemaVersion)}
	case len(r.Runs) == 0:
		return nil, &scenarios.FileError{File: file, Why: "is no result of a trial: it has no runs" + fix}
	}
	return &r, nil
}

// Compare lists the scenarios that changed since a trial before, worse ones first. Those
// that only one of the two has, that were not valid in either, or in which nothing failed
// in one of the two, say nothing.
func Compare(before, now *Result) []Change {
	was := map[string]*Run{}
	for i := range before.Runs {
		was[before.Runs[i].Scenario] = &before.Runs[i]
	}
	var worse, better []Change
	for i := range now.Runs {
		n := &now.Runs[i]
		b := was[n.Scenario]
		if b == nil || !b.Valid || !n.Valid || (b.Score.Failures == 0) != (n.Score.Failures == 0) {
			continue
		}
		switch c := (Change{n.Scenario, true, b.Score, n.Score}); sign(reproaches(&n.Score) - reproaches(&b.Score)) {
		case -1:
			better = append(better, c)
		case 1:
			c.Better = false
			worse = append(worse, c)
		}
	}
	return append(worse, better...)
}

// Difference is how two trials are not of the same runs, of which the changes between
// them are made as well.
type Difference struct {
	New       []string // scenarios that the trial before has not
	Otherwise []string // scenarios that had another seed, or another number of requests
}

// DifferenceOf compares what was played in two trials.
func DifferenceOf(before, now *Result) (d Difference) {
	for i := range now.Runs {
		n := &now.Runs[i]
		at := slices.IndexFunc(before.Runs, func(b Run) bool { return b.Scenario == n.Scenario })
		switch {
		case at < 0:
			d.New = append(d.New, n.Scenario)
		case before.Runs[at].Seed != n.Seed || before.Runs[at].Requests != n.Requests:
			d.Otherwise = append(d.Otherwise, n.Scenario)
		}
	}
	return d
}

// reproaches is how bad a score is, as a share: a wrong hop is worse than ten
// inconclusive ones, and a false alarm is a wrong hop.
func reproaches(s *scenarios.Score) float64 {
	n := 10*(s.Wrong+s.FalseAlarms) + s.Missed + s.Inconclusive
	return float64(n) / float64(max(1, s.Failures))
}

func sign(x float64) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}
