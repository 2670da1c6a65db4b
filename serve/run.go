package serve

import (
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
)

// outcome is what a run came to.
type outcome struct {
	Valid              bool
	Because            []string // it is not valid
	Sent, Failed       string
	Blamed             []blamed
	Passed             bool
	Score, Repeat      string
	Planned, Hit       string // connections; Planned is "" where it cannot be known
	Traffic, Analysing float64
}

// blamed are failed requests that are alike.
type blamed struct{ Requests, Hop, Cause string }

// newOutcome sums up a result, which may be large.
func newOutcome(r *scenarios.Result) *outcome {
	o := &outcome{Valid: r.Valid, Because: r.InvalidBecause, Sent: digits.Group(r.Requests.Sent), Failed: digits.Group(r.Requests.Failed),
		Passed: r.Score.Passed(), Score: r.Score.String(), Repeat: r.Repeat(r.Scenario),
		Hit: digits.Group(r.Ledger.Connections), Traffic: r.Timing.Traffic, Analysing: r.Timing.Analyze}
	if r.Ledger.Planned != nil {
		o.Planned = digits.Group(*r.Ledger.Planned)
	}
	for _, g := range report.Groups(r.Report) {
		o.Blamed = append(o.Blamed, blamed{digits.Group(len(g.Verdicts)), g.Hop, string(g.Cause)})
	}
	return o
}

// jobView is what the page of a job shows.
type jobView struct {
	*job
	Watch    watchView
	State    state
	Why      string
	Done     bool
	Outcome  *outcome // of a run that is done
	Exercise *exerciseView
}

// Path is the page's own.
func (v *jobView) Path() string { return v.path() }

// Scenario is a run's; of an exercise nobody is to know it.
func (v *jobView) Scenario() *scenarios.Scenario { return v.scenario }

// IsRun says whether it is no exercise.
func (v *jobView) IsRun() bool { return v.kind == aRun }

// Number is its number.
func (v *jobView) Number() int { return v.number }

// Files are those that can be taken along.
func (v *jobView) Files() []file { return v.files }

// job shows how far a run or an exercise is, and then what it came to.
func (s *Server) job(w http.ResponseWriter, r *http.Request, j *job) {
	v := jobView{job: j}
	v.State, v.Why = s.stateOf(j)
	v.Watch, v.Done = s.view(j), v.State == done
	title := s.pages.say("run-title", j.number, j.scenario.Name)
	if j.kind == anExercise {
		title = s.pages.say("exercise-title", j.number)
	}
	if v.Done && j.kind == aRun {
		v.Outcome = j.outcome
	}
	if v.Done && j.kind == anExercise {
		e, err := s.exerciseView(j)
		if err != nil {
			s.pages.broken(w, err)
			return
		}
		v.Exercise = e
	}
	s.pages.show(w, http.StatusOK, "job", view{Title: title, Refresh: !v.State.over(), Data: &v})
}

// reportFile is where a run directory has the page that the analyzer wrote.
const reportFile = "report.html"

// report serves what the analyzer makes of a run's captures.
func (s *Server) report(w http.ResponseWriter, r *http.Request, j *job) {
	if state, _ := s.stateOf(j); state != done {
		s.pages.refuse(w, http.StatusNotFound, "not-yet")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", reportPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	s.send(w, r, j, reportFile)
}

// send serves a file of a job's folder, by a name that is none of the request's.
func (s *Server) send(w http.ResponseWriter, r *http.Request, j *job, name string) {
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		s.pages.broken(w, err)
		return
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		s.pages.refuse(w, http.StatusNotFound, "no-page")
		return
	}
	if err != nil {
		s.pages.broken(w, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.pages.broken(w, err)
		return
	}
	http.ServeContent(w, r, name, info.ModTime(), f)
}
