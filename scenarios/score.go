package scenarios

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
)

// Score compares verdicts with the truth.
// Failures = Correct + Acceptable + Wrong + Inconclusive + Missed.
type Score struct {
	Failures     int `json:"failures"`
	Correct      int `json:"correct"`      // the primary's hop and cause
	Acceptable   int `json:"acceptable"`   // another answer that is listed as right
	Wrong        int `json:"wrong"`        // anything else that was named
	Inconclusive int `json:"inconclusive"` // nothing was named, and something should have been
	Missed       int `json:"missed"`       // a failed request without a verdict
	FalseAlarms  int `json:"false_alarms"` // a verdict without a failed request
	// Errors are the verdicts that count against the analyzer, worst first.
	Errors []ScoreError `json:"errors,omitempty"`
}

// ScoreError is one verdict that is not right, or one that is not there.
type ScoreError struct {
	Kind    Grade  `json:"kind"`
	ID      string `json:"id"`
	Request string `json:"request"`
	Want    []Pair `json:"want"`
	Got     *Pair  `json:"got"`
	Why     string `json:"why,omitempty"` // nothing was to be said, of a false alarm
	// Ladder is how the request went, hop by hop, where a trial has drawn it; else "".
	Ladder string `json:"ladder,omitempty"`
}

// String says it in one line.
func (e *ScoreError) String() string {
	got, want := "no verdict", "no verdict"
	if e.Got != nil {
		got = e.Got.String()
	}
	for i, w := range e.Want {
		if i == 0 {
			want = w.String()
			continue
		}
		want += " or " + w.String()
	}
	if e.Why != "" {
		want += ": " + e.Why
	}
	request := e.ID
	switch {
	case e.ID == "":
		request = "of " + e.Request
	case e.Request != "":
		request += " (" + e.Request + ")"
	}
	return fmt.Sprintf("%s: request %s: got %s, want %s", e.Kind, request, got, want)
}

// maxScoreErrors bounds the list; the counts are always whole.
const maxScoreErrors = 20

// Passed says whether the analyzer did all it should.
func (s *Score) Passed() bool {
	return s.Wrong+s.Missed+s.FalseAlarms+s.Inconclusive == 0
}

// String returns the score in one line.
func (s *Score) String() string {
	return fmt.Sprintf("%s: %d correct, %d acceptable, %d wrong, %d inconclusive, %d missed; %s",
		digits.Plural(s.Failures, "failure"), s.Correct, s.Acceptable, s.Wrong, s.Inconclusive, s.Missed, digits.Plural(s.FalseAlarms, "false alarm"))
}

// Grade is what a verdict is worth.
type Grade string

// The grades. The first two are right, whatever the analyzer's author would have liked.
const (
	Correct      Grade = "correct"      // the primary's hop and cause
	Acceptable   Grade = "acceptable"   // another answer that is listed as right
	Wrong        Grade = "wrong"        // anything else that was named
	FalseAlarm   Grade = "false-alarm"  // a verdict without a failed request
	Missed       Grade = "missed"       // a failed request without a verdict
	Inconclusive Grade = "inconclusive" // nothing was named, and something should have been
)

// Right says whether a grade is no reproach.
func (g Grade) Right() bool { return g == Correct || g == Acceptable }

// Worse says whether a grade that is a reproach is a greater one than another.
func (g Grade) Worse(than Grade) bool { return severity[g] < severity[than] }

// Judgement is the grade of a verdict, or of one that is not there.
type Judgement struct {
	Grade   Grade
	Truth   *Truth            // nil of a false alarm
	Verdict *analyzer.Verdict // nil of a missed one
	Why     string            // there was to be none, of a false alarm
}

// Got is what the verdict says; nil if there is none.
func (j *Judgement) Got() *Pair {
	if j.Verdict == nil {
		return nil
	}
	return &Pair{Hop: j.Verdict.Hop, Cause: j.Verdict.Cause}
}

// Judge matches each failed request with its verdict and grades it: first the failed
// requests, in their order, then the false alarms.
func Judge(truths []Truth, verdicts []analyzer.Verdict) (all []Judgement) {
	matched := match(truths, verdicts)
	for i := range truths {
		t := &truths[i]
		if !t.Failed() {
			continue
		}
		j := Judgement{Grade: Missed, Truth: t}
		if v, ok := matched.verdict[i]; ok {
			j.Verdict = &verdicts[v]
			j.Grade = grade(t, *j.Got())
		}
		all = append(all, j)
	}
	var sent *sentRequests
	for i := range verdicts {
		if matched.used[i] {
			continue
		}
		if sent == nil {
			sent = listSent(truths)
		}
		all = append(all, Judgement{Grade: FalseAlarm, Verdict: &verdicts[i], Why: sent.alarm(verdicts[i].Request)})
	}
	return all
}

// sentRequests are the requests of a run, and whether each failed, by id and by client.
type sentRequests struct{ byID, byClient map[string]bool }

func listSent(truths []Truth) *sentRequests {
	s := &sentRequests{map[string]bool{}, map[string]bool{}}
	for i := range truths {
		t := &truths[i]
		s.byID[t.ID] = t.Failed()
		if t.Client.IsValid() {
			s.byClient[t.Client.String()] = s.byClient[t.Client.String()] || t.Failed()
		}
	}
	return s
}

// alarm is why a verdict on a request is a false alarm.
func (s *sentRequests) alarm(r analyzer.RequestRef) string {
	failed, known := s.byID[r.ID]
	if r.ID == "" {
		failed, known = s.byClient[r.Client]
	}
	_, err := netip.ParseAddrPort(r.Client)
	switch {
	case known && failed:
		return "it has a verdict already"
	case known:
		return "it did not fail"
	case r.ID == "" && err != nil:
		return "the run has no such request; a client is ADDRESS:PORT"
	}
	return "the run has no such request"
}

func grade(t *Truth, got Pair) Grade {
	switch {
	case t.Primary != nil && len(t.Accept) > 0 && got == t.Accept[0]:
		return Correct
	case slices.Contains(t.Accept, got):
		return Acceptable
	case got.Cause == analyzer.Inconclusive:
		return Inconclusive
	}
	return Wrong
}

// ScoreVerdicts matches each failed request with its verdict and compares.
func ScoreVerdicts(truths []Truth, verdicts []analyzer.Verdict) Score {
	return ScoreOf(Judge(truths, verdicts))
}

// ScoreOf counts judgements.
func ScoreOf(all []Judgement) Score {
	var s Score
	counts := map[Grade]*int{Correct: &s.Correct, Acceptable: &s.Acceptable, Wrong: &s.Wrong,
		Inconclusive: &s.Inconclusive, Missed: &s.Missed, FalseAlarm: &s.FalseAlarms}
	for i := range all {
		j := &all[i]
		*counts[j.Grade]++
		if j.Truth != nil {
			s.Failures++
		}
		if !j.Grade.Right() {
			s.Errors = append(s.Errors, j.Reproach())
		}
	}
	s.Errors = Worst(s.Errors)
	return s
}

// Worst sorts errors, worst first, and leaves as many as a [Score] lists.
func Worst(errors []ScoreError) []ScoreError {
	slices.SortStableFunc(errors, func(a, b ScoreError) int { return severity[a.Kind] - severity[b.Kind] })
	return errors[:min(len(errors), maxScoreErrors)]
}

var severity = map[Grade]int{Wrong: 0, FalseAlarm: 1, Missed: 2, Inconclusive: 3}

// Reproach is a judgement that counts against the analyzer.
func (j *Judgement) Reproach() ScoreError {
	e := ScoreError{Kind: j.Grade, Got: j.Got(), Why: j.Why}
	if t := j.Truth; t != nil {
		e.ID, e.Want = t.ID, t.Accept
		if t.Client.IsValid() {
			e.Request = t.Client.String()
		}
	}
	if v := j.Verdict; v != nil {
		e.Request = cmp.Or(v.Request.Client, e.Request)
		if j.Truth == nil {
			e.ID = v.Request.ID
		}
	}
	return e
}

// matching pairs failed requests with verdicts.
type matching struct {
	verdict map[int]int  // by index of the truth
	used    map[int]bool // by index of the verdict
}

// match pairs by request id, else by client address and the order among that
// address's requests: of one connection's several, as HTTP/2 has them, some may have no
// verdict, and the ones nearest in time are then meant.
func match(truths []Truth, verdicts []analyzer.Verdict) matching {
	m := matching{verdict: map[int]int{}, used: map[int]bool{}}
	byID, byClient := map[string]int{}, map[string][]int{}
	for i := range truths {
		t := &truths[i]
		if t.Failed() {
			byID[t.ID] = i
			byClient[t.Client.String()] = append(byClient[t.Client.String()], i)
		}
	}
	for v := range verdicts {
		if i, ok := byID[verdicts[v].Request.ID]; ok && verdicts[v].Request.ID != "" {
			m.pair(i, v)
		}
	}
	left := map[string][]int{}
	for v := range verdicts {
		if r := verdicts[v].Request; !m.used[v] && r.ID == "" {
			left[r.Client] = append(left[r.Client], v)
		}
	}
	for client, vs := range left {
		ts := slices.DeleteFunc(byClient[client], func(i int) bool { _, taken := m.verdict[i]; return taken })
		// Stable, for an analyzer that gives no times keeps its own order.
		slices.SortStableFunc(vs, func(a, b int) int { return verdicts[a].Request.Start.Compare(verdicts[b].Request.Start) })
		slices.SortStableFunc(ts, func(a, b int) int { return truths[a].Start.Compare(truths[b].Start) })
		far := func(i, v int) float64 {
			return math.Abs(verdicts[vs[v]].Request.Start.Sub(truths[ts[i]].Start).Seconds())
		}
		for i, v := range align(len(ts), len(vs), far) {
			if v >= 0 {
				m.pair(ts[i], vs[v])
			}
		}
	}
	return m
}

// maxAligned bounds the memory that align takes, in pairs.
const maxAligned = 1 << 22

// align pairs as many as it can of n things with m others, both in order, so that those
// paired are as near to each other as can be. It returns the other of each of the n; -1
// for none.
func align(n, m int, far func(i, j int) float64) []int {
	out := make([]int, n)
	if n == m || n*m > maxAligned { // in order, whatever the clocks say
		for i := range out {
			if out[i] = i; i >= m {
				out[i] = -1
			}
		}
		return out
	}
	// cost[i][j] is that of the best way to pair the first i with the first j.
	cost := make([][]float64, n+1)
	for i := range cost {
		cost[i] = make([]float64, m+1)
		for j := range cost[i] {
			switch {
			case i == 0 || j == 0:
				continue
			case i < j: // all of the first i have a partner
				cost[i][j] = min(cost[i-1][j-1]+far(i-1, j-1), cost[i][j-1])
			case i > j:
				cost[i][j] = min(cost[i-1][j-1]+far(i-1, j-1), cost[i-1][j])
			default:
				cost[i][j] = cost[i-1][j-1] + far(i-1, j-1)
			}
		}
	}
	for i := range out {
		out[i] = -1
	}
	for i, j := n, m; i > 0 && j > 0; {
		switch { // of equally good ways the one that takes the first
		case i < j && cost[i][j] == cost[i][j-1]:
			j--
		case i > j && cost[i][j] == cost[i-1][j]:
			i--
		default:
			i, j = i-1, j-1
			out[i] = j
		}
	}
	return out
}

// pair joins the two unless the request already has a verdict: a second one is a
// false alarm.
func (m *matching) pair(truth, verdict int) {
	if _, taken := m.verdict[truth]; !taken {
		m.verdict[truth] = verdict
		m.used[verdict] = true
	}
}
