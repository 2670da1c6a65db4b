package scenarios

import (
	"fmt"
	"math"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
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
	Kind    string `json:"kind"` // "wrong", "missed", "false-alarm", "inconclusive"
	ID      string `json:"id"`
	Request string `json:"request"`
	Want    []Pair `json:"want"`
	Got     *Pair  `json:"got"`
}

// maxScoreErrors bounds the list; the counts are always whole.
const maxScoreErrors = 20

// Passed says whether the analyzer did all it should.
func (s *Score) Passed() bool {
	return s.Wrong+s.Missed+s.FalseAlarms+s.Inconclusive == 0
}

// String returns the score in one line.
func (s *Score) String() string {
	return fmt.Sprintf("%d failures: %d correct, %d acceptable, %d wrong, %d inconclusive, %d missed; %d false alarms",
		s.Failures, s.Correct, s.Acceptable, s.Wrong, s.Inconclusive, s.Missed, s.FalseAlarms)
}

// ScoreVerdicts matches each failed request with its verdict and compares.
func ScoreVerdicts(truths []Truth, verdicts []analyzer.Verdict) Score {
	var s Score
	matched := match(truths, verdicts)
	for i := range truths {
		t := &truths[i]
		if !t.Failed() {
			continue
		}
		s.Failures++
		v, ok := matched.verdict[i]
		if !ok {
			s.Missed++
			s.fault("missed", t, nil)
			continue
		}
		s.judge(t, &verdicts[v])
	}
	for i := range verdicts {
		if !matched.used[i] {
			s.FalseAlarms++
			v := &verdicts[i]
			s.fault("false-alarm", &Truth{ID: v.Request.ID}, v)
		}
	}
	slices.SortStableFunc(s.Errors, func(a, b ScoreError) int { return severity[a.Kind] - severity[b.Kind] })
	if len(s.Errors) > maxScoreErrors {
		s.Errors = s.Errors[:maxScoreErrors]
	}
	return s
}

var severity = map[string]int{"wrong": 0, "false-alarm": 1, "missed": 2, "inconclusive": 3}

func (s *Score) judge(t *Truth, v *analyzer.Verdict) {
	got := Pair{Hop: v.Hop, Cause: v.Cause}
	switch {
	case t.Primary != nil && len(t.Accept) > 0 && got == t.Accept[0]:
		s.Correct++
	case slices.Contains(t.Accept, got):
		s.Acceptable++
	case v.Cause == analyzer.Inconclusive:
		s.Inconclusive++
		s.fault("inconclusive", t, v)
	default:
		s.Wrong++
		s.fault("wrong", t, v)
	}
}

func (s *Score) fault(kind string, t *Truth, v *analyzer.Verdict) {
	e := ScoreError{Kind: kind, ID: t.ID, Want: t.Accept}
	if t.Client.IsValid() {
		e.Request = t.Client.String()
	}
	if v != nil {
		e.Got = &Pair{Hop: v.Hop, Cause: v.Cause}
		e.Request = v.Request.Client
	}
	s.Errors = append(s.Errors, e)
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
