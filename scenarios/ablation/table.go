package ablation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is the outcome of a trial.
type Table struct {
	Rows        []*Row          // by ablation
	Reliability []*Bin          // by confidence, lowest first
	Bad         []Case          // cases with a bad judgement, by id
	Kinds       []*Kind         // bad judgements by what was said and what is true
	Skewed      map[string]*Row // the row [Skewed], by run
	Refusals    map[string]int  // why the analyzer would not judge, by row
}

// Kind sums up bad judgements that are alike.
type Kind struct {
	What     string
	Verdicts int
	Cases    map[string]bool // by id
	Simplest Case            // the one in which the least was taken away
}

// Row counts the verdicts of one kind of ablation.
type Row struct {
	Name                        string
	Cases, Refused, Unconfirmed int
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
	t := &Table{Skewed: map[string]*Row{}, Refusals: map[string]int{}}
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
	if r.Name == Skewed {
		of := t.Skewed[c.Run]
		if of == nil {
			of = &Row{Name: c.Run}
			t.Skewed[c.Run] = of
		}
		of.add(c)
	}
	r.add(c)
	if c.Refused != nil {
		t.Refusals[r.Name+": "+c.Refused.Error()]++
	}
	bad := len(c.Unconfirmed) > 0
	for i := range c.Judged {
		j := &c.Judged[i]
		t.rely(j)
		if j.Grade.Bad() {
			bad = true
			t.kind(j.kind()).add(c)
		}
	}
	if bad {
		t.Bad = append(t.Bad, *c)
	}
}

func (r *Row) add(c *Case) {
	r.Cases++
	if len(c.Unconfirmed) > 0 {
		r.Unconfirmed++
	}
	if c.Refused != nil {
		r.Refused++
	}
	for i := range c.Judged {
		r.Grades[c.Judged[i].Grade]++
	}
}

func (t *Table) kind(what string) *Kind {
	for _, k := range t.Kinds {
		if k.What == what {
			return k
		}
	}
	t.Kinds = append(t.Kinds, &Kind{What: what, Cases: map[string]bool{}})
	return t.Kinds[len(t.Kinds)-1]
}

func (k *Kind) add(c *Case) {
	if k.Verdicts == 0 || len(c.Ablations) < len(k.Simplest.Ablations) {
		k.Simplest = *c
	}
	k.Verdicts++
	k.Cases[c.ID] = true
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
func (j *Judgement) kind() string {
	want := "no failure"
	if j.Truth != nil {
		want = wanted(j.Truth)
	}
	s := fmt.Sprintf("said %s %s, true is %s", j.Verdict.Hop, j.Verdict.Cause, want)
	if j.Why != "" {
		s += ": " + j.Why
	}
	return s
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
	slices.SortFunc(t.Bad, func(a, b Case) int { // the simplest first
		if d := len(a.Ablations) - len(b.Ablations); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	slices.SortFunc(t.Kinds, func(a, b *Kind) int {
		if d := b.Verdicts - a.Verdicts; d != 0 {
			return d
		}
		return strings.Compare(a.What, b.What)
	})
}

// Total sums up all rows.
func (t *Table) Total() *Row {
	sum := &Row{Name: "all"}
	for _, r := range t.Rows {
		sum.Cases += r.Cases
		sum.Refused += r.Refused
		sum.Unconfirmed += r.Unconfirmed
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
		"right", "wider", "inconc", "missed", "unseen", "WRONG", "doubt", "ALARM", "refused", "unconf.")
	for _, r := range append(slices.Clone(t.Rows), t.Total()) {
		r.print(&b)
	}
	if len(t.Skewed) > 0 {
		fmt.Fprintf(&b, "\n%s, by run\n", Skewed)
		for _, run := range slices.Sorted(maps.Keys(t.Skewed)) {
			t.Skewed[run].print(&b)
		}
	}
	fmt.Fprintf(&b, "\n%-16s %9s %9s\n", "confidence", "verdicts", "true")
	for _, bin := range t.Reliability {
		share := "–"
		if bin.Verdicts > 0 {
			share = fmt.Sprintf("%.2f%%", 100*bin.RightShare())
		}
		fmt.Fprintf(&b, "%.3f – %-8.3f %9d %9s\n", bin.From, min(1, bin.To), bin.Verdicts, share)
	}
	if len(t.Kinds) > 0 {
		fmt.Fprintf(&b, "\n%8s %6s  bad ones, by what was said and what is true\n", "verdicts", "cases")
	}
	for i, k := range t.Kinds {
		if i == maxKinds {
			fmt.Fprintf(&b, "… and %d kinds more\n", len(t.Kinds)-i)
			break
		}
		fmt.Fprintf(&b, "%8d %6d  %s; as in %s\n", k.Verdicts, len(k.Cases), k.What, &k.Simplest)
	}
	for _, why := range slices.Sorted(maps.Keys(t.Refusals)) {
		fmt.Fprintf(&b, "refused %d times: %s\n", t.Refusals[why], why)
	}
	return b.String()
}

// maxKinds bounds what is printed; the counts are always whole.
const maxKinds = 40

func (r *Row) print(b *strings.Builder) {
	share, g := "–", r.Grades
	if r.Failures() > 0 {
		share = fmt.Sprintf("%.1f%%", 100*r.RightShare())
	}
	fmt.Fprintf(b, "%-48s %6d %8d │ %7s %6d %6d %6d %6d %6d │ %6d %6d │ %7d %7d\n", r.Name, r.Cases, r.Failures(),
		share, g[Wider], g[Inconclusive], g[Missed], g[Unseen], g[Wrong], g[Doubt], g[FalseAlarm], r.Refused, r.Unconfirmed)
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
	if n := t.Total().Unconfirmed; n > 0 {
		problems = append(problems, fmt.Sprintf("verify does not confirm every statement in %d cases", n))
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
