package trial

import (
	"encoding/json"
	"fmt"
	"os"

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
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &scenarios.FileError{File: file, Why: "cannot be read; give what hopblame trial --json or score --json has written"}
	}
	var r Result
	switch err := json.Unmarshal(text, &r); {
	case err != nil:
		return nil, &scenarios.FileError{File: file, Why: "is no result of a trial: " + plainly(err)}
	case r.SchemaVersion != SchemaVersion:
		return nil, &scenarios.FileError{File: file, Why: fmt.Sprintf("has schema_version %d; this hopblame reads %d", r.SchemaVersion, SchemaVersion)}
	case len(r.Runs) == 0:
		return nil, &scenarios.FileError{File: file, Why: "is no result of a trial: it has no runs"}
	}
	return &r, nil
}

// Compare lists the scenarios that changed since a trial before, worse ones first. Those
// that only one of the two has, or that were not valid in either, say nothing.
func Compare(before, now *Result) []Change {
	was := map[string]*Run{}
	for i := range before.Runs {
		was[before.Runs[i].Scenario] = &before.Runs[i]
	}
	var worse, better []Change
	for i := range now.Runs {
		n := &now.Runs[i]
		b := was[n.Scenario]
		if b == nil || !b.Valid || !n.Valid {
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
