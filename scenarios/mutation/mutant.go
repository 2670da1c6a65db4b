package mutation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is a defect such as an engineer may well make: one piece of the analyzer's
// source replaced by another. The zero value changes nothing.
type Mutant struct {
	Says string // what the defective analyzer does, as a sentence
	File string // of package analyzer, such as "pair.go"
	Old  string // what stands there, exactly once
	New  string // what is put in its place
	By   string // the scenario that is to catch it, and is asked first; "" if none is known
	// Needs is what a scenario would have to show to catch it, of one that the catalogue
	// is known to let pass; "" of all others.
	Needs string
}

// folder is the analyzer's, in the module.
const folder = "analyzer"

// apply returns a file's text with the defect in it.
func (m *Mutant) apply(text string) (string, error) {
	switch n := strings.Count(text, m.Old); {
	case m.Old == "" || m.Old == m.New:
		return "", fmt.Errorf("mutant %q: it changes nothing", m.Says)
	case n != 1:
		return "", fmt.Errorf("mutant %q: %s has what it replaces %d times, not once; bring it up to date", m.Says, m.File, n)
	}
	return strings.Replace(text, m.Old, m.New, 1), nil
}

// Unprobed lists the analyzer's rules, as files, in which no mutant has a defect.
func Unprobed(module string, mutants []Mutant) (rules []string, err error) {
	files, err := filepath.Glob(filepath.Join(module, folder, "rule_*.go"))
	for _, f := range files {
		name := filepath.Base(f)
		if !strings.HasSuffix(name, "_test.go") && !slices.ContainsFunc(mutants, func(m Mutant) bool { return m.File == name }) {
			rules = append(rules, name)
		}
	}
	return rules, err
}

// read returns the text of one of the analyzer's files.
func (m *Mutant) read(module string) (path, text string, err error) {
	path = filepath.Join(module, folder, m.File)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("mutant %q: %w", m.Says, err)
	}
	return path, string(b), nil
}
