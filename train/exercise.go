package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SchemaVersion is the version of an exercise's files.
const SchemaVersion = 1

// Files of an exercise.
const (
	ticketFile   = "ticket.txt"
	exerciseFile = "exercise.json"
	solutionFile = "solution.sealed"
	progressFile = "progress.json"
	capturesDir  = "captures"
)

// FileError says what is wrong with a file or folder of an exercise, or with the scenario
// that was to become one, and what to do.
type FileError struct{ File, Why string }

func (e *FileError) Error() string { return e.File + ": " + e.Why }

// Exercise is one that was started.
type Exercise struct {
	Dir      string
	Hops     []string // that an answer can name, client end first
	Files    []string // captures, in path order
	Language string   // of its texts, of locale.Tags: the one it was started in, unless the caller sets another
	about    about
	solution *solution
	progress progress
}

// about is exercise.json.
type about struct {
	SchemaVersion int      `json:"schema_version"`
	ID            string   `json:"id"`
	Salt          []byte   `json:"salt"`
	Hops          []string `json:"hops"`
	Captures      []string `json:"captures"`
	Language      string   `json:"language"`
}

// Open reads an exercise. What is none, or is damaged, is a [FileError].
func Open(dir string) (*Exercise, error) {
	e := &Exercise{Dir: dir}
	text, err := os.ReadFile(e.file(exerciseFile))
	if errors.Is(err, fs.ErrNotExist) {
		if a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b"); exists(filepath.Join(a, exerciseFile)) && exists(filepath.Join(b, exerciseFile)) {
			return nil, &FileError{dir, fmt.Sprintf("is a pair of exercises; give one of them, %s or %s", a, b)}
		}
		return nil, &FileError{dir, "is no exercise; hopblame train start makes one"}
	}
	if err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	if err := json.Unmarshal(text, &e.about); err != nil {
		return nil, &FileError{e.file(exerciseFile), "is damaged: " + err.Error()}
	}
	if v := e.about.SchemaVersion; v != SchemaVersion {
		return nil, &FileError{e.file(exerciseFile), fmt.Sprintf("has schema_version %d; this hopblame reads %d", v, SchemaVersion)}
	}
	e.Hops, e.Files, e.Language = e.about.Hops, e.about.Captures, e.about.Language
	if _, err := in(e.Language); err != nil {
		return nil, &FileError{e.file(exerciseFile), err.Error()}
	}
	sealed, err := os.ReadFile(e.file(solutionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{e.file(solutionFile), "is not there, so no answer can be judged; bring it back, or start a new exercise"}
	}
	if err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	if e.solution, err = unseal(sealed, e.about.ID, e.about.Salt); err != nil {
		return nil, &FileError{e.file(solutionFile), err.Error()}
	}
	e.progress, err = readProgress(e.file(progressFile), e.about.ID)
	return e, err
}

// ID tells exercises apart; it says nothing of the answer.
func (e *Exercise) ID() string { return e.about.ID }

// file is the path of one of the exercise's files.
func (e *Exercise) file(name string) string { return filepath.Join(e.Dir, name) }
