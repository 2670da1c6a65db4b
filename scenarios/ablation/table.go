package ablation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is the outcome of a trial.
type Table struct {
	Rows        []*Row         // by ablation
	Reliability []*Bin         // by confidence, lowest first
	Bad         []Case         // cases with a bad judgement, by id
	Kinds       map[string]int // bad judgements by what was taken away, said and true
	Refusals    map[string]int // why the analyzer would not judge, by row
}

// Row counts the verdicts of one kind of ablation.
type Row struct {
	Name                        string
	Cases, Refused, Unsupported int
	Grades                      [grades]int
}

// Failures is the number of failed requests that there were to judge.
func (r *Row) Failures() (n int) {
	for _, g := range []Grade{Right, Wider, Inconclusive, Missed, Unseen, Wrong} {
		n += r.Grades[g]
	}
	return n
}

// RightShare is the share of failed requests whose verdict is right; 1 without any.
func (r *Row) RightShare() float64 {
	if r.Failures() == 0 {
		return 1
	}
	return float64(r.Grades[Right]) / float64(r.Failures())
}

// Bin counts verdicts of a confidence of at least From and below To.
type Bin struct {
	From, To        float64
	Verdicts, Right int // true ones, wider ones too
}

// RightShare is the share of true verdicts; 1 without any.
func (b *Bin) RightShare() float64 {
	if b.Verdicts == 0 {
		return 1
	}
	return float64(b.Right) / float64(b.Verdicts)
}

func newTable() *Table {
	t := &Table{Kinds: map[string]int{}, Refusals: map[string]int{}}
	edges := []float64{0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.01}
	for i := range edges[1:] {
		t.Reliability = append(t.Reliability, &Bin{From: edges[i], To: edges[i+1]})
	}
	return t
}

// Row returns the row of a name, adding it if there is none yet.
func (t *Table) Row(name string) *Row {
	for _, r := range t.Rows {
		if r.Name == name {
			return r
		}
	}
	t.Rows = append(t.Rows, &Row{Name: name})
	return t.Rows[len(t.Rows)-1]
}

func (t *Table) add(c *Case) {
	r := t.Row(c.Row())
	r.Cases++
	if c.Unsupported != nil {
		r.Unsupported++
		return
	}
	if c.Refused != nil {
		r.Refused++
		t.Refusals[c.Row()+": "+c.Refused.Error()]++
	}
	bad := false
	for i := range c.Judged {
		j := &c.Judged[i]
		r.Grades[j.Grade]++
		t.rely(j)
		if j.Grade.Bad() {
			bad = true
			t.Kinds[c.kind(j)]++
		}
	}
	if bad {
		t.Bad = append(t.Bad, *c)
	}
}

// rely counts a verdict by its confidence. An inconclusive one counts only if it
// claims to be sure of something, and is not right then.
func (t *Table) rely(j *Judgement) {
	if j.Verdict == nil {
		return
	}
	named := j.Grade != Inconclusive && j.Grade != Doubt
	for _, b := range t.Reliability {
		if c := j.Verdict.Confidence; c >= b.From && c < b.To && (named || c >= certain) {
			b.Verdicts++
			if j.Grade == Right || j.Grade == Wider {
				b.Right++
			}
		}
	}
}

// kind sums up a bad judgement.
func (c *Case) kind(j *Judgement) string {
	var names []string
	for _, a := range c.Ablations {
		if n := a.Name(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	want := "no failure"
	if j.Truth != nil {
		want = wanted(j.Truth)
	}
	return fmt.Sprintf("%s | said %s %s | true: %s | %s", strings.Join(names, " + "), j.Verdict.Hop, j.Verdict.Cause, want, j.Why)
}

func (t *Table) sort() {
	order := func(r *Row) int {
		for i := range kinds {
			if kinds[i].name == r.Name {
				return i
			}
		}
		switch r.Name {
		case "nothing":
			return -1
		case Skewed:
			return len(kinds) + 1
		}
		return len(kinds)
	}
	slices.SortFunc(t.Rows, func(a, b *Row) int {
		if d := order(a) - order(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	slices.SortFunc(t.Bad, func(a, b Case) int { return strings.Compare(a.ID, b.ID) })
}

// Total sums up all rows.
func (t *Table) Total() *Row {
	sum := &Row{Name: "all"}
	for _, r := range t.Rows {
		sum.Cases += r.Cases
		sum.Refused += r.Refused
		sum.Unsupported += r.Unsupported
		for g, n := range r.Grades {
			sum.Grades[g] += n
		}
	}
	return sum
}

// String returns the tables as text.
func (t *Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-48s %6s %8s │ %7s %6s %6s %6s %6s %6s │ %6s %6s │ %7s %7s\n", "taken away", "cases", "failures",
		"right", "wider", "inconc", "missed", "unseen", "WRONG", "doubt", "ALARM", "refused", "unsupp.")
	for _, r := range append(slices.Clone(t.Rows), t.Total()) {
		g := r.Grades
		fmt.Fprintf(&b, "%-48s %6d %8d │ %6.1f%% %6d %6d %6d %6d %6d │ %6d %6d │ %7d %7d\n", r.Name, r.Cases, r.Failures(),
			100*r.RightShare(), g[Wider], g[Inconclusive], g[Missed], g[Unseen], g[Wrong], g[Doubt], g[FalseAlarm], r.Refused, r.Unsupported)
	}
	fmt.Fprintf(&b, "\n%-16s %9s %9s\n", "confidence", "verdicts", "true")
	for _, bin := range t.Reliability {
		fmt.Fprintf(&b, "%.3f – %-8.3f %9d %8.2f%%\n", bin.From, min(1, bin.To), bin.Verdicts, 100*bin.RightShare())
	}
	for _, list := range []struct {
		title string
		of    map[string]int
	}{{"bad verdicts, by kind", t.Kinds}, {"refused", t.Refusals}} {
		if len(list.of) > 0 {
			fmt.Fprintf(&b, "\n%s\n", list.title)
		}
		keys := slices.SortedFunc(maps.Keys(list.of), func(x, y string) int {
			if d := list.of[y] - list.of[x]; d != 0 {
				return d
			}
			return strings.Compare(x, y)
		})
		for i, k := range keys {
			if i == 40 {
				fmt.Fprintf(&b, "       … and %d more\n", len(keys)-i)
				break
			}
			fmt.Fprintf(&b, "%6d %s\n", list.of[k], k)
		}
	}
	return b.String()
}

// What a trial asks of an analyzer.
const (
	certain      = 0.95 // of verdicts this sure or surer …
	certainRight = 0.99 // … this share is true
	skewedRight  = 0.95 // share of right verdicts in the case [Skewed]
)

// Check reports what the analyzer owes: the sum of it, not each case.
func (t *Table) Check() (problems []string) {
	if all := t.Total(); all.Grades[Wrong]+all.Grades[FalseAlarm] > 0 {
		problems = append(problems, fmt.Sprintf("%d wrong verdicts and %d false alarms in %d cases", all.Grades[Wrong], all.Grades[FalseAlarm], len(t.Bad)))
	}
	for _, r := range t.Rows {
		if r.Name == Skewed && r.RightShare() < skewedRight {
			problems = append(problems, fmt.Sprintf("%s: %.1f %% right, want %.0f %%", r.Name, 100*r.RightShare(), 100*skewedRight))
		}
	}
	sure := Bin{}
	for _, b := range t.Reliability {
		if b.From >= certain {
			sure.Verdicts, sure.Right = sure.Verdicts+b.Verdicts, sure.Right+b.Right
		}
	}
	if sure.RightShare() < certainRight {
		problems = append(problems, fmt.Sprintf("of %d verdicts of a confidence of %.2f and more, %.2f %% are true, want %.0f %%",
			sure.Verdicts, certain, 100*sure.RightShare(), 100*certainRight))
	}
	return problems
}
