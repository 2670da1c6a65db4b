package train

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
	"github.com/hopblame/hopblame/internal/scratch"
	"github.com/hopblame/hopblame/internal/shell"
	"github.com/hopblame/hopblame/scenarios"
)

// DefaultRequests is how many requests an exercise has, or fewer if its scenario does: it
// takes seconds, and Wireshark opens the captures at once.
const DefaultRequests = 2000

// attempts is how often a scenario is played until its run is an exercise.
const attempts = 3

// Options says which exercise to make.
type Options struct {
	Scenario *scenarios.Scenario
	Dir      string // must not be there, or be empty
	Requests int    // 0: DefaultRequests, or fewer if the scenario has fewer
	Seed     uint64 // of the first attempt
	Language string // of its texts, of locale.Tags; "": English
	Progress func(scenarios.Progress)
	// Bare leaves out of the ticket how to answer on the command line: who starts the exercise
	// asks in another way.
	Bare  bool
	Again func(why error) // called before another attempt, with no word of the answer; nil: not called
}

// Start plays a scenario and makes an exercise of it. A run that its own check finds
// invalid, or in which not every verdict is right, is none: it is played again with
// another seed, at most twice. The folder is there whole or not at all.
func Start(ctx context.Context, o Options) (*Exercise, error) {
	if err := Check(o.Scenario); err != nil {
		return nil, err
	}
	if err := CheckFree(o.Dir); err != nil {
		return nil, err
	}
	if _, err := in(o.Language); err != nil {
		return nil, err
	}
	if o.Requests == 0 {
		o.Requests = DefaultRequests
		if n := o.Scenario.Traffic.Requests; n > 0 {
			o.Requests = min(n, o.Requests)
		}
	}
	parent := filepath.Dir(filepath.Clean(o.Dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("exercise: %w; give another folder", err)
	}
	// It holds the truth until the exercise is ready: whoever is killed meanwhile must not
	// leave it to a trainee.
	room, err := scratch.In(parent)
	if err != nil {
		return nil, fmt.Errorf("exercise: %w; give another folder", err)
	}
	e, err := start(ctx, o, room.Path)
	return e, errors.Join(err, room.Close())
}

// Started says where an exercise is and how to begin.
func (e *Exercise) Started() (string, error) {
	return say(e.Language, "started", struct{ ID, Dir, Ticket string }{e.ID(), shell.Quote(e.Dir), shell.Quote(e.file(ticketFile))})
}

// CheckFree says whether an exercise can be put into a folder: one that is not there, or is
// empty.
func CheckFree(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return &FileError{dir, "holds other files already; give another folder with -o, or empty it"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return &FileError{dir, "cannot be used: " + errno(err).Error() + "; give another folder with -o"}
	}
	return nil
}

// errno is an error without the path, which is said already.
func errno(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// start plays in a folder of its own, beside the exercise's.
func start(ctx context.Context, o Options, room string) (*Exercise, error) {
	var why error
	for attempt := range attempts {
		if attempt > 0 && o.Again != nil {
			o.Again(why)
		}
		seed := o.Seed
		if attempt > 0 {
			seed = draw(o.Seed, fmt.Sprintf("attempt %d", attempt)) >> 32
		}
		run := filepath.Join(room, fmt.Sprintf("run-%d", attempt))
		r, err := scenarios.Run(ctx, o.Scenario, scenarios.Options{Requests: o.Requests, Seed: &seed, Out: run, Progress: o.Progress})
		if err != nil {
			return nil, err
		}
		s, err := solve(r)
		if err == nil {
			return furnish(ctx, o, s, r, run, filepath.Join(room, "exercise"))
		}
		why = err
		if err := os.RemoveAll(run); err != nil {
			return nil, fmt.Errorf("exercise: %w", err)
		}
	}
	return nil, fmt.Errorf("played %d times, and no run was an exercise: %w; try another --seed, more --requests, or another exercise", attempts, why)
}

// furnish makes a folder of what a trainee gets of a run, and moves it into place.
func furnish(ctx context.Context, o Options, s *solution, r *scenarios.Result, run, dir string) (*Exercise, error) {
	points, err := analyzer.LoadPoints(run)
	if err != nil {
		return nil, err
	}
	e := &Exercise{Dir: dir, solution: s, about: about{SchemaVersion: SchemaVersion, Salt: make([]byte, 16), Language: cmp.Or(o.Language, locale.English)}}
	for i := range points {
		e.about.Captures = append(e.about.Captures, points[i].File)
		points[i].File = capturesDir + "/" + points[i].File // as the verdicts cite it
	}
	if err := errors.Join(s.draw(ctx, points, r.Report), s.sift(ctx, points, r.Report)); err != nil {
		return nil, err
	}
	if e.about.Hops, err = o.Scenario.Hops(); err != nil {
		return nil, err
	}
	var id [4]byte
	rand.Read(e.about.Salt) // which never fails
	rand.Read(id[:])
	e.about.ID = hex.EncodeToString(id[:])
	sealed, err := seal(s, e.about.ID, e.about.Salt)
	if err != nil {
		return nil, err
	}
	ticket, err := writeTicket(r, points, e.about.Hops, o, exists(filepath.Join(run, capturesDir, "keys.log")))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	err = errors.Join(
		os.Rename(filepath.Join(run, capturesDir), e.file(capturesDir)),
		writeWhole(e.file(ticketFile), []byte(ticket)),
		writeWhole(e.file(solutionFile), sealed),
		writeJSON(e.file(exerciseFile), &e.about))
	if log := filepath.Join(run, ltmLog); err == nil && exists(log) {
		err = os.Rename(log, e.file(ltmLog))
	}
	if err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	if err := os.Remove(o.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	if err := os.Rename(dir, o.Dir); err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	return Open(o.Dir)
}

// ltmLog is the f5's log, where its configuration has RSTs logged: a trainee may read it
// as one may on the box.
const ltmLog = "f5-ltm.log"

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
