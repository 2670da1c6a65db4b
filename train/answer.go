package train

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/nearest"
)

// Answer is what a trainee says. What is "" is not answered, and stays as it was.
type Answer struct {
	Hop   string
	Cause analyzer.Cause
	Frame string // FILE:NUMBER
}

// WordError says that an answer uses a word that there is not. It costs nothing.
type WordError struct{ error }

// Reply says of each part of an answer whether it is right, and nothing of the others.
type Reply struct {
	Parts []PartReply
	Score
	language string
}

// PartReply is about one part.
type PartReply struct {
	What, Given string
	Right       bool
	Why         string // of a frame that is not right: "symptom", "bystander", "idle", "healthy" or "unrelated"
}

// Score is how far somebody has come.
type Score struct {
	Points, Full, Hints, Misses int
	Missing                     []string // parts that are to be found
	Solved, Revealed            bool
	Dir                         string
}

// Right says whether all parts of the answer are right.
func (r *Reply) Right() bool {
	return !slices.ContainsFunc(r.Parts, func(p PartReply) bool { return !p.Right })
}

// Answer judges an answer and counts what it costs: each part that is not right, once.
func (e *Exercise) Answer(a Answer) (*Reply, error) {
	a.Hop = e.hopOf(a.Hop)
	file, number, err := e.check(a)
	if err != nil {
		return nil, err
	}
	r := &Reply{language: e.Language}
	judge := func(what, given string, right bool, found *string) {
		if given == "" {
			return
		}
		r.Parts = append(r.Parts, PartReply{What: what, Given: given, Right: right})
		switch p := (part{what, given}); {
		case right:
			*found = given
		case !slices.Contains(e.progress.Misses, p):
			e.progress.Misses = append(e.progress.Misses, p)
		}
	}
	over, before := e.progress.over(), slices.Clone(e.progress.Misses)
	judge("hop", a.Hop, slices.Contains(e.solution.hops(), a.Hop), &e.progress.Hop)
	judge("cause", string(a.Cause), a.Cause == e.solution.cause(), (*string)(&e.progress.Cause))
	if a.Frame != "" {
		is := e.solution.roleOf(file, number)
		judge("frame", frameName(file, number), is == proof, &e.progress.Frame)
		r.Parts[len(r.Parts)-1].Why = map[role]string{symptom: "symptom", bystander: "bystander", idle: "idle", healthy: "healthy", unrelated: "unrelated"}[is]
	}
	if over {
		e.progress.Misses = before // it is over, and costs nothing any more
	}
	r.Score = e.Score()
	return r, e.keep()
}

// check sees that an answer says something, in words that there are.
func (e *Exercise) check(a Answer) (file string, number uint64, err error) {
	var errs []error
	if a == (Answer{}) {
		errs = append(errs, errors.New("an answer needs --hop, --cause or --frame, or all of them"))
	}
	if a.Hop != "" && !slices.Contains(e.Hops, a.Hop) {
		errs = append(errs, e.noHop(a.Hop))
	}
	if known := Causes(); a.Cause != "" && !slices.Contains(known, a.Cause) {
		errs = append(errs, fmt.Errorf("--cause %s: no such cause%s; hopblame train words explains them all", a.Cause, nearest.Hint(a.Cause, known)))
	}
	if a.Frame != "" {
		if file, number, err = e.parseFrame(a.Frame); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return "", 0, WordError{errors.Join(errs...)}
	}
	return file, number, nil
}

// hopOf is a hop as the exercise names it: case makes no difference, nor which end of a link
// comes first.
func (e *Exercise) hopOf(given string) string {
	other := given
	if kind, pair, ok := strings.Cut(given, ":"); ok {
		if a, b, ok := strings.Cut(pair, "-"); ok {
			other = kind + ":" + b + "-" + a
		}
	}
	for _, hop := range e.Hops {
		if strings.EqualFold(hop, given) || strings.EqualFold(hop, other) {
			return hop
		}
	}
	return given
}

// noHop says what there is instead of a hop.
func (e *Exercise) noHop(given string) error {
	if strings.EqualFold(given, "switch") {
		var within []string
		for _, hop := range e.Hops {
			if strings.HasPrefix(hop, "link:firewall-server") {
				within = append(within, hop)
			}
		}
		if len(within) > 0 {
			return fmt.Errorf("--hop %s: nothing was captured at the switch; it is within %s: name a link", given, strings.Join(within, " and "))
		}
	}
	return fmt.Errorf("--hop %s: no such hop%s; there are %s", given, nearest.Hint(given, e.Hops), strings.Join(e.Hops, ", "))
}

// Causes are what an answer can give as cause, by name.
func Causes() []analyzer.Cause {
	all := slices.Sorted(maps.Keys(analyzer.Causes))
	return slices.DeleteFunc(all, func(c analyzer.Cause) bool { return c == analyzer.Inconclusive })
}

// Score is how far the trainee has come.
func (e *Exercise) Score() Score {
	p := &e.progress
	s := Score{Points: p.points(), Full: full, Hints: p.Hints, Misses: len(p.Misses), Solved: p.solved(), Revealed: p.Revealed, Dir: e.Dir}
	for _, x := range []struct{ what, found string }{{"hop", p.Hop}, {"cause", string(p.Cause)}, {"frame", p.Frame}} {
		if x.found == "" {
			s.Missing = append(s.Missing, x.what)
		}
	}
	return s
}

// Text is the reply in words.
func (r *Reply) Text() (string, error) { return say(r.language, "answer", r) }
