package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/scenarios"
)

// solution is what is sealed.
type solution struct {
	Scenario string
	Title    string
	Symptom  string
	Repeat   string           // the command that plays the run again
	Answers  []scenarios.Pair // each right; all of one cause
	Lesson   scenarios.Lesson
	Roles    map[string]map[uint64]role // of what the analyzer cites and what repeats it, by file's name and frame
	Example  analyzer.Verdict           // of one request that failed
	Ladder   string                     // of the same
	Proof    analyzer.Evidence          // for the last hint, the decisive frame of the same
	// Background says of every frame what it is of, cited or not, by file's name, frame 1 first.
	Background map[string][]role
}

// role is what a frame is to a request that failed.
type role uint8

const (
	unrelated role = iota // of no request's connection
	healthy               // of a connection in which no request failed
	idle                  // of one in which one did, and cited by none
	bystander             // it is cited, and the fault is elsewhere
	symptom               // it shows that it failed, and not where
	proof                 // it shows where it failed
)

// Why a run is no exercise, in words that are the same for all scenarios.
var (
	errInvalid   = errors.New("the testbed's own check failed")
	errUncertain = errors.New("the captures do not prove every answer")
	errNoFailure = errors.New("no request failed")
)

// solve makes the solution of a run, without the ladder. The error says why it is no
// exercise, if it is none.
func solve(r *scenarios.Result) (*solution, error) {
	switch {
	case !r.Valid:
		return nil, errInvalid
	case r.Score.Failures == 0:
		return nil, errNoFailure
	case !r.Score.Passed() || r.Score.Correct != r.Score.Failures:
		return nil, errUncertain
	}
	s := &solution{Scenario: r.Scenario, Title: r.Played.Title, Symptom: r.Played.Symptom, Repeat: r.Repeat(r.Scenario), Lesson: r.Played.Lesson,
		Roles: map[string]map[uint64]role{}, Example: *report.Examples(r.Report)[0]}
	for _, p := range r.Report.Points {
		s.Roles[base(p.File)] = map[uint64]role{}
	}
	for i := range r.Report.Verdicts {
		v := &r.Report.Verdicts[i]
		answer := scenarios.Pair{Hop: v.Hop, Cause: v.Cause}
		if !slices.Contains(s.Answers, answer) {
			s.Answers = append(s.Answers, answer)
		}
		s.cast(v)
	}
	e := decisive(&s.Example)
	if e != nil {
		s.Proof = *e
	}
	if e == nil || slices.ContainsFunc(s.Answers, func(p scenarios.Pair) bool { return p.Cause != s.Answers[0].Cause }) {
		return nil, errUncertain
	}
	return s, nil
}

// cast gives each frame that a verdict cites its role; that of one cited twice is the
// greater one.
func (s *solution) cast(v *analyzer.Verdict) {
	give := func(e *analyzer.Evidence, r role) {
		if e.Kind != analyzer.KindFrame {
			return
		}
		frames := s.Roles[base(e.File)]
		frames[e.Frame] = max(frames[e.Frame], r)
	}
	for i := range v.Evidence {
		give(&v.Evidence[i], roleIn(v, &v.Evidence[i]))
	}
	for _, h := range v.Eliminated {
		for i := range h.Evidence {
			give(&h.Evidence[i], bystander)
		}
	}
}

// roleIn is the role of a frame in a verdict that cites it. Those at the points between
// which the fault lies prove it, and where there are no such points those at the hop. A RST
// to the client from a proxy that is not at fault proves nothing: who sends it is the
// messenger.
func roleIn(v *analyzer.Verdict, e *analyzer.Evidence) role {
	hop, _, _ := strings.Cut(e.Point, "/")
	told := isReset(v, e)
	switch {
	case told && v.RST != nil && v.RST.By != v.Hop && v.RST.By == hop:
		return symptom
	case slices.Contains(v.Between, e.Point), len(v.Between) == 0 && hop == v.Hop:
		return proof
	case told:
		return symptom
	}
	return bystander
}

// isReset says whether a frame is a RST on the client's connection, from the far end of it.
func isReset(v *analyzer.Verdict, e *analyzer.Evidence) bool {
	c, ok := ladder.ConnOf(e.Filter)
	return ok && strings.Contains(e.Filter, "tcp.flags.reset==1") &&
		c.Client.String() == v.Request.Server && c.Server.String() == v.Request.Client
}

// roleOf is the role of a frame.
func (s *solution) roleOf(file string, frame uint64) role {
	if is := s.Roles[base(file)][frame]; is != unrelated {
		return is
	}
	if all := s.Background[base(file)]; frame >= 1 && frame <= uint64(len(all)) {
		return all[frame-1]
	}
	return unrelated
}

// draw adds the ladder of the example.
func (s *solution) draw(ctx context.Context, points []analyzer.Point, r *analyzer.Report) error {
	q, err := ladder.Of(&s.Example)
	if err != nil {
		return err
	}
	l, err := ladder.Build(ctx, points, r, q)
	if err != nil {
		return fmt.Errorf("draw the ladder: %w", err)
	}
	var text strings.Builder
	if err := l.Text(&text, ladder.TextOptions{Width: ladderWidth}); err != nil {
		return fmt.Errorf("draw the ladder: %w", err)
	}
	s.Ladder = text.String()
	return nil
}

// ladderWidth is how wide a ladder in a solution is, in columns.
const ladderWidth = 110

// in is the solution with its lesson in a language, or in English where nobody has
// translated it.
func (s *solution) in(lang string) *solution {
	english := scenarios.Scenario{Name: s.Scenario, Title: s.Title, Symptom: s.Symptom, Lesson: s.Lesson}
	shown, _ := english.In(lang)
	out := *s
	out.Title, out.Lesson = shown.Title, shown.Lesson
	return &out
}

// hops are the right ones.
func (s *solution) hops() (names []string) {
	for _, a := range s.Answers {
		names = append(names, a.Hop)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return slices.Compact(names)
}

// cause is the right one.
func (s *solution) cause() analyzer.Cause { return s.Answers[0].Cause }

// half is on which side of the f5 the fault lies: "clientside", "serverside", or "f5".
func (s *solution) half() string {
	switch hop := s.Answers[0].Hop; {
	case hop == "f5":
		return hop
	case hop == "client", strings.HasPrefix(hop, "link:client-"):
		return analyzer.Clientside
	}
	return analyzer.Serverside
}
