package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/wholefile"
)

// What an exercise is worth, in points.
const (
	full      = 100
	hintCosts = 10
	missCosts = 5 // a part of an answer that is not right
)

// progress is progress.json: what a trainee has done so far.
type progress struct {
	SchemaVersion int    `json:"schema_version"`
	Exercise      string `json:"exercise"` // its id
	Hints         int    `json:"hints"`
	Misses        []part `json:"misses"` // each once
	// Found are the parts that were right, as they were given.
	Hop      string         `json:"hop"`
	Cause    analyzer.Cause `json:"cause"`
	Frame    string         `json:"frame"`
	Revealed bool           `json:"revealed"` // before all was found
}

// part is a hop, a cause or a frame that was answered.
type part struct {
	What  string `json:"what"` // "hop", "cause" or "frame"
	Given string `json:"given"`
}

// solved says whether all three are found.
func (p *progress) solved() bool { return p.Hop != "" && p.Cause != "" && p.Frame != "" }

// over says whether nothing counts any more.
func (p *progress) over() bool { return p.solved() || p.Revealed }

// points are what is left of the full ones.
func (p *progress) points() int {
	if p.Revealed {
		return 0
	}
	return max(0, full-hintCosts*p.Hints-missCosts*len(p.Misses))
}

// readProgress reads how far somebody has come with an exercise; nowhere, if there is no
// such file.
func readProgress(name, id string) (progress, error) {
	p := progress{SchemaVersion: SchemaVersion, Exercise: id, Misses: []part{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("exercise: %w", err)
	}
	const fix = "; mend it, or move it away to count from 100 points again: nothing else is lost"
	if err := json.Unmarshal(text, &p); err != nil {
		return p, &FileError{name, "is damaged: " + err.Error() + fix}
	}
	if p.SchemaVersion != SchemaVersion || p.Exercise != id || p.Hints < 0 {
		return p, &FileError{name, "is not of this exercise" + fix}
	}
	return p, nil
}

// keep writes progress.json.
func (e *Exercise) keep() error { return writeJSON(e.file(progressFile), &e.progress) }

func writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return writeWhole(name, append(text, '\n'))
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(name string, text []byte) error {
	err := wholefile.Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("exercise: write %s: %w", name, err)
	}
	return nil
}
