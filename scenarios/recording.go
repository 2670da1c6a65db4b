package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/client"
)

// Recording is a run that was played before, as its run directory tells of it.
type Recording struct {
	Path     string
	Scenario *Scenario // as it was played
	Result   *Result   // what result.json holds, with Truths and Hits
}

// OpenRecording reads a run directory. What is no run directory, or not a whole one, is a
// [FileError].
func OpenRecording(path string) (*Recording, error) {
	r := &Recording{Path: path, Result: &Result{}}
	if i, err := os.Stat(path); err == nil && !i.IsDir() || errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{File: path, Why: "is no run directory; hopblame run … --out DIR makes one"}
	}
	if err := r.readJSON("result.json", r.Result); err != nil {
		return nil, err
	}
	if v := r.Result.SchemaVersion; v != SchemaVersion {
		return nil, &FileError{File: r.file("result.json"), Why: fmt.Sprintf("has schema_version %d; this hopblame reads %d", v, SchemaVersion)}
	}
	text, err := r.read(scenarioFile)
	if err != nil {
		return nil, err
	}
	if r.Scenario, err = Load(r.file(scenarioFile), text); err != nil {
		return nil, err
	}
	if r.Result.Truths, err = readLines[Truth](r, "truth/requests.ndjson"); err != nil {
		return nil, err
	}
	ledger, err := readLines[ledgerTruth](r, "truth/ledger.ndjson")
	if err != nil {
		return nil, err
	}
	for _, h := range ledger {
		if h.Ordinal >= 0 {
			r.Result.Hits = append(r.Result.Hits, Hit{h.Ordinal, h.Attempt, h.Fault})
		}
	}
	r.Result.Hits = inOrder(r.Result.Hits)
	return r, r.check()
}

// check sees that the directory's files are of one run.
func (r *Recording) check() error {
	bad := func(name, format string, args ...any) error {
		return &FileError{File: r.file(name), Why: fmt.Sprintf(format, args...) + "; the files are not of one run"}
	}
	sent := 0
	for i := range r.Result.Truths {
		if r.Result.Truths[i].Outcome != client.NotSent {
			sent++
		}
	}
	if want := r.Result.Requests.Sent; sent != want {
		return bad("truth/requests.ndjson", "holds %d requests, result.json %d", sent, want)
	}
	for i := range r.Result.Truths {
		if o := r.Result.Truths[i].Ordinal; o != i {
			return bad("truth/requests.ndjson", "has request %d in line %d", o, i+1)
		}
	}
	if digest := digestOf(r.Result.Hits); digest != r.Result.Ledger.Digest {
		return bad("truth/ledger.ndjson", "has digest %.16s…, result.json %.16s…", digest, r.Result.Ledger.Digest)
	}
	return nil
}

// ReadReport reads what our own analyzer said of the run into Result.Report, which
// [OpenRecording] leaves nil.
func (r *Recording) ReadReport() error {
	r.Result.Report = &analyzer.Report{}
	return r.readJSON("verdicts.json", r.Result.Report)
}

func (r *Recording) file(name string) string { return filepath.Join(r.Path, filepath.FromSlash(name)) }

// read reads a file that a whole directory has.
func (r *Recording) read(name string) ([]byte, error) {
	text, err := os.ReadFile(r.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == scenarioFile:
		return nil, &FileError{File: r.file(name), Why: "is not there: the run had parts that no scenario file can name, or its hopblame was older"}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &FileError{File: r.file(name), Why: "is not there: this is no run directory, or its run has not ended"}
	case err != nil:
		return nil, fmt.Errorf("run directory: %w", err)
	}
	return text, nil
}

func (r *Recording) readJSON(name string, into any) error {
	text, err := r.read(name)
	if err == nil {
		if e := json.Unmarshal(text, into); e != nil {
			err = &FileError{File: r.file(name), Why: "is damaged: " + e.Error()}
		}
	}
	return err
}

// readLines reads a file of one JSON value a line.
func readLines[T any](r *Recording, name string) (all []T, err error) {
	f, err := os.Open(r.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = r.read(name) // which says so
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var line T
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, &FileError{File: r.file(name), Why: fmt.Sprintf("is damaged: line %d: %v", len(all)+1, err)}
		}
		all = append(all, line)
	}
}

// faultNames lists the faults that the run had, and the reasons for which its firewall may
// have dropped packets by itself.
func (r *Recording) faultNames() (names []string) {
	for i := range r.Scenario.Faults {
		names = append(names, r.Scenario.Faults[i].Name)
	}
	for _, f := range r.Scenario.Firewall.Faults() {
		names = append(names, f.Name)
	}
	return slices.Clip(names)
}
