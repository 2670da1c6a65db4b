package serve

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/train"
)

// exerciseView is what the page of an exercise shows. Nothing of it tells more than the
// trainee has paid for.
type exerciseView struct {
	Ticket, Hints string
	HintsLeft     int
	Hops          []string
	Causes        []causeView
	Captures      []string
	Missing       map[string]bool // "hop", "cause", "frame": to be found
	Score         train.Score
	Reply         *train.Reply // to the last answer; nil if there was none
	Over          bool
	Story         string // once it is over
}

type causeView struct{ Name, Meaning string }

// exerciseView reads how far an exercise is.
func (s *Server) exerciseView(j *job) (*exerciseView, error) {
	e := &j.lesson
	e.mu.Lock()
	defer e.mu.Unlock()
	ticket, err := os.ReadFile(filepath.Join(j.dir, "ticket.txt"))
	if err != nil {
		return nil, err
	}
	v := &exerciseView{Ticket: strings.TrimSpace(string(ticket)), Hops: e.Hops, Captures: e.Files, Missing: map[string]bool{}, Score: e.Score(), Reply: e.reply}
	if v.Hints, v.HintsLeft, err = e.Given(); err != nil {
		return nil, err
	}
	for _, what := range v.Score.Missing {
		v.Missing[what] = true
	}
	for _, c := range train.Causes() {
		v.Causes = append(v.Causes, causeView{string(c), train.Meaning(e.Language, c)})
	}
	if v.Over = v.Score.Solved || v.Score.Revealed; v.Over {
		v.Story, err = e.Reveal() // costs nothing any more
	}
	return v, err
}

// ready says whether an exercise can be worked on, and answers if it cannot.
func (s *Server) ready(w http.ResponseWriter, j *job) bool {
	state, _ := s.stateOf(j)
	if state != done {
		s.pages.refuse(w, http.StatusConflict, "not-yet")
	}
	return state == done
}

// hint gives the next hint. The page that follows shows those that were given.
func (s *Server) hint(w http.ResponseWriter, r *http.Request, j *job) {
	s.deed(w, r, j, "hints", func(e *lesson) error {
		_, err := e.Hint()
		return err
	})
}

// reveal ends an exercise with its story.
func (s *Server) reveal(w http.ResponseWriter, r *http.Request, j *job) {
	s.deed(w, r, j, "story", func(e *lesson) error {
		_, err := e.Reveal()
		return err
	})
}

// answer judges an answer, of which parts may be left out.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, j *job) {
	if err := r.ParseForm(); err != nil {
		s.pages.refuse(w, http.StatusBadRequest, "no-form")
		return
	}
	a := train.Answer{Hop: r.PostForm.Get("hop"), Cause: analyzer.Cause(r.PostForm.Get("cause"))}
	if n := strings.TrimSpace(r.PostForm.Get("frame")); n != "" {
		a.Frame = r.PostForm.Get("file") + ":" + n
	}
	if a == (train.Answer{}) {
		s.pages.refuse(w, http.StatusUnprocessableEntity, "no-answer")
		return
	}
	s.deed(w, r, j, "answered", func(e *lesson) error {
		reply, err := e.Answer(a)
		if err == nil {
			e.reply = reply
		}
		return err
	})
}

// deed does something to an exercise and leads back to its page, at a place.
func (s *Server) deed(w http.ResponseWriter, r *http.Request, j *job, place string, do func(*lesson) error) {
	if !s.ready(w, j) {
		return
	}
	j.lesson.mu.Lock()
	err := do(&j.lesson)
	j.lesson.mu.Unlock()
	var word train.WordError
	switch {
	case errors.As(err, &word):
		s.pages.refuse(w, http.StatusUnprocessableEntity, "no-word", flagless(err))
	case err != nil:
		s.pages.broken(w, err)
	default:
		http.Redirect(w, r, j.path()+"#"+place, http.StatusSeeOther)
	}
}

// flagless is an error about words without the command line's dashes.
func flagless(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "--")
	}
	return strings.Join(slices.Compact(lines), "; ")
}
