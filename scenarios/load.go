package scenarios

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed catalogue/*.yaml
var catalogue embed.FS

// FileError says what is wrong in a scenario file, and where.
type FileError struct {
	File         string
	Line, Column int // 0 where the whole file is meant
	Why          string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Why
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Why)
}

// UnknownError says that there is no scenario of a name.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("no scenario %q%s; hopblame list shows all, and a path to a .yaml file is taken as well",
		e.Name, didYouMean(e.Name, e.Known))
}

// All returns the catalogue, by name.
func All() ([]*Scenario, error) {
	files, err := fs.Glob(catalogue, "catalogue/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	for _, f := range files {
		b, err := catalogue.ReadFile(f)
		if err != nil {
			return nil, err
		}
		s, err := Load(f, b)
		if err != nil {
			return nil, err
		}
		if s.Name != strings.TrimSuffix(path.Base(f), ".yaml") {
			return nil, &FileError{File: f, Why: fmt.Sprintf("is named %q inside", s.Name)}
		}
		all = append(all, s)
	}
	return all, nil
}

// Find returns a scenario of the catalogue by name, or reads a .yaml file.
func Find(name string) (*Scenario, error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("scenario: %w", err)
		}
		return Load(name, b)
	}
	all, err := All()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
		known = append(known, s.Name)
	}
	return nil, &UnknownError{Name: name, Known: known}
}

// Load reads a scenario. It is strict: what the format does not know is an
// error, with its place and the nearest word. file is for messages only.
func Load(file string, text []byte) (*Scenario, error) {
	var s Scenario
	d := yaml.NewDecoder(strings.NewReader(string(text)), yaml.Strict())
	switch err := d.Decode(&s); {
	case errors.Is(err, io.EOF):
		return nil, &FileError{File: file, Why: "is empty"}
	case err != nil:
		return nil, fileError(file, err)
	}
	if err := d.Decode(&Scenario{}); !errors.Is(err, io.EOF) {
		return nil, &FileError{File: file, Why: "holds more than one document"}
	}
	if err := s.Validate(); err != nil {
		return nil, &FileError{File: file, Why: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return &s, nil
}

// fileError turns the decoder's many-line message into one line.
func fileError(file string, err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return &FileError{File: file, Why: strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	e := &FileError{File: file, Why: at.GetMessage()}
	t := at.GetToken()
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && t != nil {
		e.Why = fmt.Sprintf("unknown key %q%s", t.Value, didYouMean(t.Value, keys(reflect.TypeFor[Scenario]())))
	}
	e.Why = strings.ReplaceAll(e.Why, "\n", " ")
	return e
}

// keys lists every key of the format.
func keys(t reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer:
		return keys(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
				names = append(names, name)
			}
			names = append(names, keys(f.Type)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// didYouMean names the nearest known word, if one is near.
func didYouMean(word string, known []string) string {
	best, distance := "", 1+len(word)/2
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
