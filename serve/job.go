package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/train"
)

// kind tells runs from exercises; it is the first part of their paths.
type kind string

const (
	aRun       kind = "runs"
	anExercise kind = "exercises"
)

// state is how far a job has come.
type state string

const (
	waiting   state = "waiting"
	running   state = "running"
	done      state = "done"
	failed    state = "failed"
	cancelled state = "cancelled"
)

// over says whether nothing more will come of it.
func (s state) over() bool { return s != waiting && s != running }

// job is a run or an exercise, from the queue on.
type job struct {
	number   int
	kind     kind
	scenario *scenarios.Scenario // with the requests and the concurrency it is played with
	seed     uint64
	language string // of the report, or of the exercise
	dir      string // of its files; not there before it is done
	room     int64  // bytes that it may take
	watch    watch

	// By the server's lock.
	state   state
	why     string // it failed, in one line
	stop    context.CancelFunc
	bytes   int64     // that are kept of it
	seen    time.Time // when somebody last looked at it
	readers int       // that look at it now

	// From when it is done.
	files   []file
	outcome *outcome // of a run
	lesson  lesson   // of an exercise
}

// lesson is an exercise with what was last answered.
type lesson struct {
	mu sync.Mutex // one answer at a time
	*train.Exercise
	reply *train.Reply
}

func (j *job) path() string { return fmt.Sprintf("/%s/%d", j.kind, j.number) }

// errOutgrown says that a run takes more than its room, which others may need.
var errOutgrown = errors.New("its captures grew larger than was made room for: ask for fewer requests")

// play plays a run, or makes an exercise.
func play(ctx context.Context, j *job) error {
	if j.kind == anExercise {
		e, err := train.Start(ctx, train.Options{Scenario: j.scenario, Dir: j.dir, Requests: j.scenario.Traffic.Requests, Seed: j.seed,
			Progress: j.watch.report, Again: func(error) { j.watch.again() }, Bare: true, Language: j.language})
		j.lesson.Exercise = e
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := func(c sim.Counts) {
		j.watch.count(c)
		if n, err := bytesIn(j.dir); err == nil && n > j.room {
			cancel(errOutgrown)
		}
	}
	r, err := scenarios.Run(ctx, j.scenario, scenarios.Options{Seed: &j.seed, Out: j.dir, Progress: j.watch.report, Watch: watch, Language: j.language})
	if errors.Is(context.Cause(ctx), errOutgrown) {
		return errOutgrown
	}
	if err != nil {
		return err
	}
	j.watch.count(finalCounts(j.watch.now().counts, r))
	j.outcome = newOutcome(r)
	return nil
}

// of finds the job that a path names, and keeps its files as long as it is looked at.
func (s *Server) of(k kind, serve func(http.ResponseWriter, *http.Request, *job)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		j := s.enter(k, r.PathValue("number"))
		if j == nil {
			s.pages.refuse(w, http.StatusNotFound, "no-job")
			return
		}
		defer s.leave(j)
		serve(w, r, j)
	}
}

func (s *Server) enter(k kind, number string) *job {
	n, err := strconv.Atoi(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.kind == k && j.number == n })
	if err != nil || i < 0 {
		return nil
	}
	s.jobs[i].readers++
	return s.jobs[i]
}

func (s *Server) leave(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.readers--
	j.seen = time.Now()
}

// stateOf is how far a job has come, and why it failed.
func (s *Server) stateOf(j *job) (state, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.state, j.why
}

// newJob makes a job that is not in the queue yet.
func (s *Server) newJob(k kind, sc *scenarios.Scenario, seed uint64) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	j := &job{number: s.last, kind: k, scenario: sc, seed: seed, language: s.pages.language, room: sc.Room(), state: waiting, seen: time.Now()}
	j.dir = filepath.Join(s.folder.Path, strconv.Itoa(j.number))
	return j
}

// settle notes what a job that was played has left.
func (j *job) settle() (err error) {
	if j.files, err = listFiles(j); err != nil {
		return err
	}
	j.bytes, err = bytesIn(j.dir)
	return err
}

// bytesIn is how many bytes the files below a folder have.
func bytesIn(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			n += i.Size()
		}
		return err
	})
	return n, err
}
