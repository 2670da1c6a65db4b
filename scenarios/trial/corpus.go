package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/scenarios"
)

// corpusFile is the table of contents of a corpus, for programs.
const corpusFile = "corpus.json"

// Corpus is a folder of labelled captures: a run directory for each scenario.
type Corpus struct {
	SchemaVersion int     `json:"schema_version"`
	Seed          uint64  `json:"seed"`
	Runs          []Label `json:"runs"`
}

// Label is what a corpus says of a scenario.
type Label struct {
	Scenario string   `json:"scenario"` // and the name of its folder
	Title    string   `json:"title"`
	Symptom  string   `json:"symptom"`
	Requests int      `json:"requests"`
	Failed   int      `json:"failed"`
	Answers  []Answer `json:"answers"`
}

// Answer is what is right for some of the failures: the first of the answers that are.
type Answer struct {
	scenarios.Pair
	Failures int `json:"failures"`
}

// Sample is how many requests show a scenario's failures in captures of a few megabytes:
// two dozen of them where a fault's probability tells, and never more than the scenario
// has.
func Sample(s *scenarios.Scenario) int {
	const failures = 24
	all := s.Config(0).Requests
	rarest := 1.0
	for i := range s.Faults {
		if p := s.Faults[i].Probability; p > 0 {
			rarest = min(rarest, p)
		}
	}
	switch {
	case s.Firewall.Stateful():
		return min(all, DefaultRequests) // so many fill a table, or come round
	case len(s.Faults) == 0:
		return min(all, 600)
	}
	return min(all, max(100, int(math.Ceil(failures/rarest))))
}

// InvalidError says that a run failed its own check, so that it labels nothing.
type InvalidError struct {
	Scenario string
	Because  []string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("the run of %s is INVALID: %s", e.Scenario, strings.Join(e.Because, "; "))
}

// WriteCorpus plays cases and keeps what failed of each in a folder, which must not be
// there or be empty, with a README.md and a table of contents. What is there when an error
// ends it stays.
func WriteCorpus(ctx context.Context, dir string, cases []Case, seed uint64, progress func(Progress)) (*Corpus, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("corpus %s %w, %s for one: choose another or empty it", dir, scenarios.ErrNotEmpty, entries[0].Name())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("corpus: %w", err)
	}
	c := &Corpus{SchemaVersion: SchemaVersion, Seed: seed, Runs: []Label{}}
	for i, k := range cases {
		s := k.Scenario
		r, err := scenarios.Run(ctx, s, scenarios.Options{Seed: &seed, Requests: Sample(s), Captures: scenarios.KeepFailed,
			Out: filepath.Join(dir, s.Name), Progress: func(p scenarios.Progress) {
				if progress != nil {
					progress(Progress{Scenario: s.Name, Number: i + 1, Of: len(cases), Run: p})
				}
			}})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		if !r.Valid {
			return nil, &InvalidError{s.Name, r.InvalidBecause}
		}
		c.Runs = append(c.Runs, label(s, r))
	}
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, corpusFile), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "README.md"), []byte(c.readme()), 0o644)); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return c, nil
}

func label(s *scenarios.Scenario, r *scenarios.Result) Label {
	l := Label{Scenario: s.Name, Title: s.Title, Symptom: s.Symptom, Requests: r.Requests.Sent, Failed: r.Requests.Failed, Answers: []Answer{}}
	for i := range r.Truths {
		t := &r.Truths[i]
		if !t.Failed() || len(t.Accept) == 0 {
			continue
		}
		at := slices.IndexFunc(l.Answers, func(a Answer) bool { return a.Pair == t.Accept[0] })
		if at < 0 {
			at = len(l.Answers)
			l.Answers = append(l.Answers, Answer{Pair: t.Accept[0]})
		}
		l.Answers[at].Failures++
	}
	return l
}

// readme is for people who have nothing but the corpus.
func (c *Corpus) readme() string {
	var text strings.Builder
	fmt.Fprintf(&text, `# Labelled captures of %d network failures

Made by hopblame with seed %d. In each folder:

    captures/       what an analyzer may see: a pcapng file for every point, and points.json, which
                    says where each was taken, from the client to the servers; of TLS also keys.log
    truth/          what really happened: requests.ndjson has a line for each request, with its outcome
                    and the right answers ("accept"); ledger.ndjson every packet that a fault took
    scenario.yaml   what was done
    verdicts.json   what hopblame's own analyzer says
    result.json     its score, and the testbed's check of itself

The captures hold the connections of the failed requests, some of the others, and what belongs to none;
the truth has all requests. The f5's capture has the trailers of a BIG-IP's tcpdump :nnnp.

Put an analyzer on trial, without namespaces and without root:

    hopblame trial --corpus . --analyzer 'your-analyzer {captures}'

or judge what it said of one of them:

    hopblame score --run firewall-drops-syn --verdicts yours.json

`, len(c.Runs), c.Seed)
	text.WriteString("| scenario | requests | failed | right answers |\n|---|--:|--:|---|\n")
	for i := range c.Runs {
		r := &c.Runs[i]
		answers := []string{}
		for _, a := range r.Answers {
			answers = append(answers, fmt.Sprintf("%s (%d)", a.Pair, a.Failures))
		}
		fmt.Fprintf(&text, "| %s | %d | %d | %s |\n", r.Scenario, r.Requests, r.Failed, strings.Join(answers, ", "))
	}
	return text.String()
}

// OpenCorpus lists the runs of a corpus as cases; those of some scenarios, if any are
// named. What is no corpus is a [scenarios.FileError].
func OpenCorpus(dir string, names []string) (cases []Case, seed uint64, err error) {
	file := filepath.Join(dir, corpusFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, &scenarios.FileError{File: file, Why: "cannot be read; hopblame corpus DIR makes one"}
	}
	var c Corpus
	switch err := json.Unmarshal(text, &c); {
	case err != nil:
		return nil, 0, &scenarios.FileError{File: file, Why: "is damaged: " + plainly(err)}
	case c.SchemaVersion != SchemaVersion:
		return nil, 0, &scenarios.FileError{File: file, Why: fmt.Sprintf("has schema_version %d; this hopblame reads %d", c.SchemaVersion, SchemaVersion)}
	}
	for _, name := range names {
		if !slices.ContainsFunc(c.Runs, func(l Label) bool { return l.Scenario == name }) {
			return nil, 0, &scenarios.FileError{File: file, Why: fmt.Sprintf("has no run of %q", name)}
		}
	}
	for i := range c.Runs {
		name := c.Runs[i].Scenario
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		r, err := scenarios.OpenRecording(filepath.Join(dir, name))
		if err != nil {
			return nil, 0, err
		}
		cases = append(cases, Case{Called: filepath.Join(r.Path, "scenario.yaml"), Scenario: r.Scenario, Recording: r})
	}
	return cases, c.Seed, nil
}
