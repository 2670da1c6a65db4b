package scenarios

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/hopblame/hopblame/internal/nearest"
	"golang.org/x/sys/unix"
)

// A language other than English has a folder of its own.
//
//go:embed catalogue/*.yaml catalogue/*/*.yaml
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
		e.Name, nearest.Hint(e.Name, e.Known))
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
	slices.SortFunc(all, func(a, b *Scenario) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Find returns a scenario of the catalogue by name, or reads a .yaml file.
func Find(name string) (*Scenario, error) {
	if isYAML(name) {
		b, err := os.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &FileError{File: name, Why: "there is no such file; hopblame list shows the scenarios that need none"}
		case errors.Is(err, unix.EISDIR):
			return nil, &FileError{File: name, Why: "is a folder; give a .yaml file"}
		case err != nil:
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
	if i, err := os.Stat(name); err == nil {
		why := "is not taken for a scenario: its name must end in .yaml"
		if i.IsDir() {
			why = "is a folder; give a .yaml file"
		}
		return nil, &FileError{File: name, Why: why}
	}
	return nil, &UnknownError{Name: name, Known: known}
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// maxText is far more than a scenario needs; the parser takes minutes for a few
// hundred thousand brackets.
const maxText = 1 << 16

// Load reads a scenario. It is strict: what the format does not know is an
// error, with its place and the nearest word. file is for messages only.
func Load(file string, text []byte) (*Scenario, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, &FileError{file, 1, 1, "is not text; a scenario is a YAML file"}
	}
	if len(text) > maxText {
		return nil, &FileError{file, 1, 1, fmt.Sprintf("is %d bytes long; a scenario has at most %d", len(text), maxText)}
	}
	s := &Scenario{}
	if err := read(file, text, s); err != nil {
		return nil, err
	}
	asTyped(text, s)
	problems := append(append(fractions(text), silences(text, s)...), s.problems()...)
	if len(problems) == 0 {
		return s, nil
	}
	return nil, problemsError(file, text, problems)
}

// read reads the one document of a file into into, strictly.
func read[T any](file string, text []byte, into *T) error {
	err := decode(text, into)
	switch {
	case errors.Is(err, io.EOF):
		return &FileError{file, 1, 1, "is empty"}
	case errors.Is(err, errTwoDocuments):
		e := &FileError{File: file, Why: err.Error()}
		e.Line, e.Column = secondDocument(text)
		return e
	case err != nil:
		return fileError(file, text, err, reflect.TypeFor[T]())
	}
	return nil
}

// problemsError says all that is wrong, at the place of the first.
func problemsError(file string, text []byte, problems []problem) error {
	e := &FileError{File: file}
	e.Line, e.Column = locate(text, problems[0].path)
	var why []string
	for _, p := range problems {
		why = append(why, strings.ReplaceAll(p.Error(), "\n", " "))
	}
	e.Why = strings.Join(why, "; ")
	return e
}

var errTwoDocuments = errors.New("holds more than one document")

// decode reads the one document of a file; io.EOF means that there is none.
func decode[T any](text []byte, into *T) (err error) {
	// Fuzzing found texts, such as a tag without a list where there should be
	// one, that the decoder panics on.
	defer func() {
		if recover() != nil {
			err = errors.New("is no YAML that can be read")
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := d.Decode(into); err != nil {
		return err
	}
	if err := d.Decode(new(T)); !errors.Is(err, io.EOF) {
		return errTwoDocuments
	}
	return nil
}

// fileError turns the decoder's many-line message about a file of type t into one line.
func fileError(file string, text []byte, err error, t reflect.Type) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		e := &FileError{File: file, Why: strings.ReplaceAll(err.Error(), "\n", " ")}
		line, column, why := unreadable(text, err)
		if e.Line, e.Column = line, column; why != "" {
			e.Why = why
		}
		return e
	}
	e := &FileError{File: file, Line: 1, Column: 1, Why: at.GetMessage()}
	token := at.GetToken()
	if token != nil && token.Position != nil {
		e.Line, e.Column = token.Position.Line, token.Position.Column
	}
	var unknown *yaml.UnknownFieldError
	var mistyped *yaml.TypeError
	var large *yaml.OverflowError
	var shape *yaml.UnexpectedNodeTypeError
	switch {
	case token == nil:
	case errors.As(err, &unknown):
		e.Why = fmt.Sprintf("unknown key %q%s", token.Value, meant(token.Value, t))
	case errors.As(err, &large):
		e.Why = fmt.Sprintf("%s is too large", large.SrcNum)
	case errors.As(err, &shape):
		e.Why = fmt.Sprintf("got %s, want %s", shapeInWords(shape.Actual), shapeInWords(shape.Expected))
	case errors.As(err, &mistyped):
		e.Why = fmt.Sprintf("got %q, want %s", token.Value, inWords(mistyped.DstType))
	}
	e.Why = strings.ReplaceAll(e.Why, "\n", " ")
	return e
}

// inWords says what a value must be to fit a type.
func inWords(t reflect.Type) string {
	switch {
	case addressesInWords[t] != "":
		return addressesInWords[t]
	case t == reflect.TypeFor[time.Duration]():
		return "a duration with its unit, such as 100ms or 1s"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a " + t.Kind().String()
}

// shapeInWords says what a piece of YAML is.
func shapeInWords(t ast.NodeType) string {
	switch t {
	case ast.MappingType:
		return "keys with values"
	case ast.SequenceType:
		return "a list"
	case ast.NullType:
		return "nothing"
	case ast.IntegerType, ast.FloatType:
		return "a number"
	}
	return "a " + t.YAMLName()
}

// meant says where in a file of type t an unknown key belongs, or which one was meant.
func meant(key string, t reflect.Type) string {
	known := keys(t, "")
	if under := known[key]; len(under) > 0 {
		return " here; it belongs " + strings.Join(under, ", or ")
	}
	return nearest.Hint(key, slices.Collect(maps.Keys(known)))
}

// keys lists every key of the format with the places it belongs to.
func keys(t reflect.Type, under string) map[string][]string {
	known := map[string][]string{}
	merge := func(more map[string][]string) {
		for k, places := range more {
			for _, p := range places {
				if !slices.Contains(known[k], p) {
					known[k] = append(known[k], p)
				}
			}
		}
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer:
		return keys(t.Elem(), under)
	case reflect.Struct:
		place := "at the top level"
		if under != "" {
			place = "under " + under
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "-" { // the lab's own
				continue
			}
			if name == "" { // inlined
				merge(keys(f.Type, under))
				continue
			}
			merge(map[string][]string{name: {place}})
			merge(keys(f.Type, name))
		}
	}
	return known
}
