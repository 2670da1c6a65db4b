package train

import "strings"

// Reveal tells the whole story, and marks an exercise that is not solved as one that gives
// no points any more.
func (e *Exercise) Reveal() (string, error) {
	if !e.progress.solved() && !e.progress.Revealed {
		e.progress.Revealed = true
		if err := e.keep(); err != nil {
			return "", err
		}
	}
	s := e.solution.in(e.Language)
	return say(e.Language, "reveal", struct {
		*solution
		Hop string
		Score
	}{s, strings.Join(s.hops(), ", "), e.Score()})
}
