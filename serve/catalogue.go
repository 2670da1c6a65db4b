package serve

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/train"
)

// catalogue is all that can be run. It is in the program, and read once.
var catalogue = sync.OnceValues(scenarios.All)

// homeView is what the first page shows.
type homeView struct {
	Jobs      []homeJob // newest first
	Catalogue []*scenarios.Scenario
	Exercises int
	Keep      string // megabytes
	Waiting   int
}

// homeJob is a job in a list.
type homeJob struct{ Path, Name, State, Size string }

// home shows what there is to choose from, and what was chosen.
func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	v := homeView{Catalogue: s.catalogue, Exercises: len(s.exercises), Keep: megabytes(s.keep), Waiting: maxWaiting}
	s.mu.Lock()
	for _, j := range slices.Backward(s.jobs) {
		h := homeJob{Path: j.path(), Name: s.pages.say("exercise-title", j.number), State: s.pages.say("status-" + string(j.state))}
		if j.kind == aRun {
			h.Name = s.pages.say("run-title", j.number, j.scenario.Name)
		}
		if j.state == running {
			h.State = s.pages.say("runs-now")
		}
		if j.state == done {
			h.Size = megabytes(j.bytes)
		}
		v.Jobs = append(v.Jobs, h)
	}
	s.mu.Unlock()
	s.pages.show(w, http.StatusOK, "home", view{Title: s.pages.say("home-title"), Data: &v})
}

// named is a scenario of the catalogue; nil if there is none. No file is ever read for it.
func (s *Server) named(name string) *scenarios.Scenario {
	i := slices.IndexFunc(s.catalogue, func(x *scenarios.Scenario) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return s.catalogue[i]
}

// scenarioView is what the page of a scenario shows.
type scenarioView struct {
	*scenarios.Scenario
	Picture     picture
	Faults      []faultView
	Requests    int
	Concurrency int
	Text        string // the file
}

// shortRun is how many requests the form has at first: it takes seconds.
const shortRun = 2000

// scenario shows one, with the form that runs it.
func (s *Server) scenario(w http.ResponseWriter, r *http.Request) {
	x := s.named(r.PathValue("name"))
	if x == nil {
		s.pages.refuse(w, http.StatusNotFound, "no-scenario")
		return
	}
	text, err := x.Encode()
	if err != nil {
		s.pages.broken(w, err)
		return
	}
	c := x.Config(0)
	v := scenarioView{Scenario: x, Requests: min(c.Requests, shortRun), Concurrency: c.Concurrency, Text: string(text)}
	for i := range x.Faults {
		v.Faults = append(v.Faults, faultView{Fault: x.Faults[i].Name, At: x.Faults[i].At, Does: s.does(&x.Faults[i])})
	}
	s.pages.show(w, http.StatusOK, "scenario", view{Title: x.Name, Data: &v})
}

// startRun takes the form of a scenario.
func (s *Server) startRun(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.pages.refuse(w, http.StatusBadRequest, "no-form")
		return
	}
	x := s.named(r.PostForm.Get("scenario"))
	if x == nil {
		s.pages.refuse(w, http.StatusUnprocessableEntity, "no-scenario")
		return
	}
	var o scenarios.Options
	var err error
	number := func(name string, max uint64) (n uint64) {
		n, e := optional(r.PostForm, name, max)
		err = errors.Join(err, e)
		return n
	}
	o.Requests, o.Concurrency = int(number("requests", maxRequests)), int(number("concurrency", maxRequests))
	seed := number("seed", 1<<64-1)
	if err == nil && r.PostForm.Get("seed") == "" {
		seed, err = scenarios.FreshSeed()
	}
	x = x.With(o)
	if err = errors.Join(err, x.Validate()); err != nil {
		s.pages.refuse(w, http.StatusUnprocessableEntity, "no-word", flagless(err))
		return
	}
	s.submit(w, r, s.newJob(aRun, x, seed))
}

// maxRequests is the most that any scenario takes.
const maxRequests = 10_000_000

// optional is a number of a form, 0 if it was left empty.
func optional(form url.Values, name string, max uint64) (uint64, error) {
	text := strings.TrimSpace(form.Get(name))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > max {
		return 0, fmt.Errorf("%s %q: must be a whole number, %d at most", name, text, max)
	}
	return n, nil
}

// startExercise takes the form that starts an exercise: at random, for a seat in a class, or
// by name.
func (s *Server) startExercise(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.pages.refuse(w, http.StatusBadRequest, "no-form")
		return
	}
	x, seed, err := s.chooseExercise(r.PostForm)
	if err != nil {
		s.pages.refuse(w, http.StatusUnprocessableEntity, "no-word", flagless(err))
		return
	}
	requests := x.Config(0).Requests
	s.submit(w, r, s.newJob(anExercise, x.With(scenarios.Options{Requests: min(requests, train.DefaultRequests)}), seed))
}

// chooseExercise is what a form asks for, and the seed of its run.
func (s *Server) chooseExercise(form url.Values) (*scenarios.Scenario, uint64, error) {
	class, err := optional(form, "class", 1<<64-1)
	seat, seatErr := optional(form, "seat", maxRequests)
	if err := errors.Join(err, seatErr); err != nil {
		return nil, 0, err
	}
	classed, seated, name := strings.TrimSpace(form.Get("class")) != "", seat != 0, strings.TrimSpace(form.Get("name"))
	switch {
	case classed != seated:
		return nil, 0, errors.New(s.pages.say("class-and-seat"))
	case classed && name != "":
		return nil, 0, errors.New(s.pages.say("class-or-name"))
	case classed:
		x, err := train.Seat(s.exercises, class, int(seat))
		return x, train.SeatSeed(class, int(seat)), err
	}
	seed, err := scenarios.FreshSeed()
	if err != nil || name == "" {
		return train.Pick(s.exercises, seed), seed, err
	}
	x := s.named(name)
	if x == nil {
		return nil, 0, errors.New(s.pages.say("no-scenario"))
	}
	return x, seed, train.Check(x)
}
