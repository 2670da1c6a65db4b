package train

// hint is one step from "which half?" to "which packet?".
type hint struct {
	Kind  string // "half", "questions", "lesson" or "packet"
	Texts []string
	Frame string // of the packet
	What  string // it is
}

// hints are those of an exercise, in order, in a language.
func (s *solution) hints(lang string) []hint {
	list := []hint{{Kind: "half", Texts: []string{s.half()}}}
	l := s.in(lang).Lesson
	if len(l.Questions) > 0 {
		list = append(list, hint{Kind: "questions", Texts: l.Questions})
	}
	for _, text := range l.Hints {
		list = append(list, hint{Kind: "lesson", Texts: []string{text}})
	}
	return append(list, hint{Kind: "packet", Frame: frameName(s.Proof.File, s.Proof.Frame), What: s.Proof.What})
}

// Hint gives the next hint in words, and counts what it costs. Once all are given, or the
// exercise is over, it gives them all, for nothing.
func (e *Exercise) Hint() (string, error) {
	all := e.solution.hints(e.Language)
	first, last, cost := e.progress.Hints, e.progress.Hints+1, hintCosts
	if first >= len(all) || e.progress.over() {
		first, last, cost = 0, len(all), 0
	} else {
		e.progress.Hints = last
		if err := e.keep(); err != nil {
			return "", err
		}
	}
	text, err := sayHints(e.Language, all, first, last, cost)
	if err != nil {
		return "", err
	}
	left, err := say(e.Language, "hinted", struct {
		All bool // are given
		Score
	}{cost == 0, e.Score()})
	return text + left, err
}

// Given is the text of the hints that were given so far, and how many are left.
func (e *Exercise) Given() (text string, left int, err error) {
	all := e.solution.hints(e.Language)
	given := min(e.progress.Hints, len(all))
	text, err = sayHints(e.Language, all, 0, given, 0)
	return text, len(all) - given, err
}

// sayHints puts some of the hints into words of a language, and what each costs.
func sayHints(lang string, all []hint, first, last, cost int) (string, error) {
	text := ""
	for i := first; i < last; i++ {
		one, err := say(lang, "hint", struct {
			N, Of, Cost int
			hint
		}{i + 1, len(all), cost, all[i]})
		if err != nil {
			return "", err
		}
		text += one
	}
	return text, nil
}
