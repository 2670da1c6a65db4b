package serve

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
)

// steps are what every run goes through, in order; those behind the first are the phases of
// [scenarios.Progress].
var steps = []string{"queue", "build", "traffic", "teardown", "analyze"}

// watch is what is seen of a job while it lasts. It is told from several goroutines.
type watch struct {
	mu   sync.Mutex
	seen seen
}

// seen is what was seen of a job.
type seen struct {
	step     int         // of steps; len(steps) once it is over
	began    []time.Time // by step, of those that have begun
	ended    time.Time
	broke    bool // the step is where it ended before its time
	progress scenarios.Progress
	counts   sim.Counts
	attempt  int // of an exercise, from 0
}

// now is what has been seen so far.
func (w *watch) now() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen
	s.began = slices.Clone(s.began)
	return s
}

// begin notes that a job has left the queue.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.began = []time.Time{time.Now()}
}

// report notes how far a run has come. Reports of what is over already are late.
func (w *watch) report(p scenarios.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, last := slices.Index(steps, p.Phase), w.seen.progress
	if p.Total == 0 { // it is no phase of requests
		p.Done, p.Total, p.Failed = last.Done, last.Total, last.Failed
	}
	p.Failed = max(p.Failed, last.Failed) // which only traffic tells
	if at < w.seen.step || p.Done < last.Done {
		return
	}
	for len(w.seen.began) <= at {
		w.seen.began = append(w.seen.began, time.Now())
	}
	w.seen.step, w.seen.progress = at, p
}

// count notes what has been counted.
func (w *watch) count(c sim.Counts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.counts = c
}

// again notes that a run was no exercise, and another begins.
func (w *watch) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = seen{attempt: w.seen.attempt + 1, began: w.seen.began[:1]}
}

// end notes that nothing more comes.
func (w *watch) end(well bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.ended, w.seen.broke = time.Now(), !well
	if well {
		w.seen.step = len(steps)
	}
}

// stepView is a step as it is shown: what it is, how far it is, by shape and in words.
type stepView struct {
	Name, State, Mark, Detail string
	Now                       bool
	Share                     int // of what it has to do, in percent, where that is known
}

// watchView is what is shown of a job while it lasts.
type watchView struct {
	Status    string // in one line, which changes with the step alone
	Steps     []stepView
	Picture   picture
	Over      bool
	Points    []pointView
	Faults    []faultView
	HasCounts bool
}

type pointView struct{ Point, Packets string }

type faultView struct{ Fault, At, Does, Hits string }

// marks are the shapes of the states of a step.
var marks = map[string]string{"to-come": "○", "now": "▶", "over": "✓", "broken": "✗"}

// view is what there is to see of a job.
func (s *Server) view(j *job) watchView {
	state, _ := s.stateOf(j)
	n := j.watch.now()
	v := watchView{Over: state.over(), Status: s.status(state, &n)}
	for i := range steps {
		v.Steps = append(v.Steps, s.step(j, state, &n, i))
	}
	if j.kind == aRun { // of an exercise they would tell the answer
		v.counts(s, j, &n.counts)
	}
	return v
}

// step is one of the steps of a job.
func (s *Server) step(j *job, state state, n *seen, i int) stepView {
	at, say := "to-come", s.pages.say
	switch {
	case i < n.step:
		at = "over"
	case i == n.step && (n.broke || state == cancelled):
		at = "broken"
	case i == n.step:
		at = "now"
	}
	x := stepView{Name: say("step-" + steps[i]), State: say("state-" + at), Mark: marks[at], Now: at == "now"}
	var details []string
	switch p := &n.progress; {
	case steps[i] == "queue" && state == waiting:
		details = append(details, say("before-you", s.before(j)))
	case steps[i] == "traffic" && len(n.began) > i && p.Total > 0:
		details = append(details, say("requests-done", digits.Group(p.Done), digits.Group(p.Total), digits.Group(p.Failed)))
		x.Share = 100 * p.Done / p.Total
	case steps[i] == "analyze" && x.Now && p.TotalBytes > 0:
		details = append(details, say("bytes-read", megabytes(p.Bytes), megabytes(p.TotalBytes)))
		x.Share = int(100 * p.Bytes / p.TotalBytes)
	}
	if took := n.took(i); at == "over" && i > 0 && took > 0 {
		details = append(details, say("took", took.Seconds()))
	}
	x.Detail = strings.Join(details, ", ")
	return x
}

// took is how long a step that is over has taken; 0 if that is not known.
func (n *seen) took(i int) time.Duration {
	switch {
	case len(n.began) > i+1:
		return n.began[i+1].Sub(n.began[i])
	case len(n.began) > i:
		return n.ended.Sub(n.began[i])
	}
	return 0
}

// counts shows what was counted, on the picture and as a table.
func (v *watchView) counts(s *Server, j *job, c *sim.Counts) {
	v.HasCounts = true
	v.Picture = s.draw(j.scenario, c)
	for _, p := range c.Points {
		v.Points = append(v.Points, pointView{p.Point, digits.Group(int(p.Packets))})
	}
	for _, f := range c.Faults {
		v.Faults = append(v.Faults, faultView{f.Fault.Name, f.Fault.At, s.does(&f.Fault), digits.Group(int(f.Hits))})
	}
}

// status says in a line how far a job is.
func (s *Server) status(at state, n *seen) string {
	if at != running {
		return s.pages.say("status-" + string(at))
	}
	step := min(n.step, len(steps)-1)
	line := s.pages.say("status-running", step+1, len(steps), s.pages.say("step-"+steps[step]))
	if n.attempt > 0 {
		line += " " + s.pages.say("attempt", n.attempt+1)
	}
	return line
}

// live is what the script of a page that is open puts in the place of what it shows.
func (s *Server) live(w http.ResponseWriter, _ *http.Request, j *job) {
	v := s.view(j)
	w.Header().Set("Hopblame-Over", strconv.FormatBool(v.Over))
	s.pages.write(w, http.StatusOK, "live", v)
}

// finalCounts are those of a result: the captures to the last packet, and the faults' last
// counts, for those are read when nothing moves any more.
func finalCounts(last sim.Counts, r *scenarios.Result) sim.Counts {
	last.Points = nil
	for _, c := range r.Captures {
		last.Points = append(last.Points, sim.PointCount{Point: c.Point, Packets: c.Packets})
	}
	return last
}
