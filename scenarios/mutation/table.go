package mutation

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// aim is the share of mutants that the catalogue is to catch.
const aim = 0.95

// Table is the outcome of a trial.
type Table struct {
	Rows     []Row // by mutant, in the order of the list
	Runs     int
	Unprobed []string // rules without a mutant
}

// Row is what became of a mutant.
type Row struct {
	Mutant Mutant
	Harm   *Harm // on the first run that shows the defect; nil if none does
}

// String says in a line who caught it, and how.
func (r *Row) String() string {
	if r.Harm == nil {
		return fit(r.Mutant.Says, says) + "nobody"
	}
	return fit(r.Mutant.Says, says) + fit(r.Harm.Scenario, by) + r.Harm.String()
}

// Widths of the table's columns.
const (
	says = 92
	by   = 32
)

// fit pads a text to a column; one that is longer has at least a space behind it.
func fit(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(text)))
}

// Caught counts the mutants that some run shows.
func (t *Table) Caught() (n int) {
	for i := range t.Rows {
		if t.Rows[i].Harm != nil {
			n++
		}
	}
	return n
}

// Share is that of all mutants; 1 without any.
func (t *Table) Share() float64 {
	if len(t.Rows) == 0 {
		return 1
	}
	return float64(t.Caught()) / float64(len(t.Rows))
}

// String returns the table, the score and the survivors.
func (t *Table) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, fit("an analyzer that thinks …", says)+fit("is caught by", by)+"with")
	for i := range t.Rows {
		fmt.Fprintln(&b, &t.Rows[i])
	}
	fmt.Fprintf(&b, "\n%d of %d mutants are caught by %d runs: %.1f %% (the aim is %.0f %%)\n", t.Caught(), len(t.Rows), t.Runs, 100*t.Share(), 100*aim)
	for i := range t.Rows {
		m := &t.Rows[i].Mutant
		if t.Rows[i].Harm != nil {
			continue
		}
		needs := m.Needs
		if needs == "" {
			needs = "nobody knows yet"
		}
		fmt.Fprintf(&b, "survives: %s (%s)\n  to catch it: %s\n", m.Says, m.File, needs)
	}
	for _, rule := range t.Unprobed {
		fmt.Fprintf(&b, "no mutant has a defect in %s\n", rule)
	}
	return b.String()
}
