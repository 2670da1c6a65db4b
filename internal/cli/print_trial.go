package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/internal/shell"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
)

// Bounds of what is shown in words; --json has it all, but for more than 20 errors a run.
const (
	mostReproaches = 3 // of a scenario
	mostConfusions = 20
	mostNames      = 3 // of scenarios that are not as in a baseline
)

// writeTrial says how an analyzer did: scenario by scenario, word by word, and what
// counts against it with the command that plays it again.
func writeTrial(w io.Writer, r, before *trial.Result, changes []trial.Change) error {
	p := &printer{w: w, color: wantsColor(w)}
	p.line("%s on trial: %s, %s", p.bold(r.Analyzer), digits.Plural(len(r.Runs), "scenario"), seeds(r.Runs))
	p.line("")
	p.table(func(t io.Writer) {
		fmt.Fprintln(t, "  SCENARIO\tFAILED\tCORRECT\tACCEPTABLE\tWRONG\tINCONCLUSIVE\tMISSED\tFALSE ALARMS")
		for i := range r.Runs {
			run := &r.Runs[i]
			if !run.Valid {
				fmt.Fprintf(t, "! %s\tINVALID\n", run.Scenario)
				continue
			}
			row(t, mark(run.Score.Passed() && run.Broke == ""), run.Scenario, &run.Score)
		}
		if len(r.Runs) > 1 {
			row(t, " ", "all", &r.Score)
		}
	})
	p.words("HOP", r.Hops)
	p.unknownHops(r)
	p.words("CAUSE", r.Causes)
	p.confusion(r)
	p.calibration(r.Calibration)
	p.reproaches(r)
	p.changes(before, r, changes)
	p.broken(r)
	p.line("")
	verdict := "passed"
	if !r.Passed() {
		verdict = "FAILED"
	}
	p.line("%s %s", p.bold("Score: "+verdict+" —"), r.Score.String())
	return p.err
}

func row(w io.Writer, mark, name string, s *scenarios.Score) {
	cells := []string{mark + " " + name, digits.Group(s.Failures)}
	for _, n := range []int{s.Correct, s.Acceptable, s.Wrong, s.Inconclusive, s.Missed, s.FalseAlarms} {
		cell := "·"
		if n > 0 {
			cell = digits.Group(n)
		}
		cells = append(cells, cell)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// table writes columns.
func (p *printer) table(write func(io.Writer)) {
	if p.err != nil {
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	write(t)
	t.Flush() // into memory, which does not fail
	for line := range strings.Lines(b.String()) {
		p.line("%s", strings.TrimRight(line, " \n"))
	}
}

// words says how far each hop or cause can be trusted.
func (p *printer) words(kind string, words []trial.Word) {
	if len(words) == 0 {
		return
	}
	p.line("")
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "  %s\tTRUE\tNAMED\tRIGHT\tPRECISION\tRECALL\n", kind)
		for _, w := range words {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", w.Word, digits.Group(w.Truth), digits.Group(w.Named), digits.Group(w.Right), percent(w.Precision), percent(w.Recall))
		}
	})
}

func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100**share)
}

// confusion says what was taken for what, where that was a mistake.
func (p *printer) confusion(r *trial.Result) {
	for _, of := range []struct {
		kind  string
		cells []trial.Cell
	}{{"Hops", r.Confusion.Hops}, {"Causes", r.Confusion.Causes}} {
		wrong := slices.DeleteFunc(slices.Clone(of.cells), func(c trial.Cell) bool { return c.Truth == c.Said || c.Said == trial.RightlyNone })
		if len(wrong) == 0 {
			continue
		}
		p.line("")
		p.line("%s", p.bold(of.kind+" taken for others"))
		for i, c := range wrong {
			if i == mostConfusions {
				p.line("  and %d more pairs; --json lists them all", len(wrong)-i)
				break
			}
			p.line("  %7s  %s → %s", digits.Group(c.Failures), c.Truth, c.Said)
		}
	}
}

// calibration says whether the analyzer knows how certain it is.
func (p *printer) calibration(c *trial.Calibration) {
	if c == nil || c.Verdicts == 0 {
		return
	}
	p.line("")
	p.line("%s Brier score %.4f of %s", p.bold("Confidence:"), c.Brier, digits.Plural(c.Verdicts, "verdict"))
	for _, b := range c.Buckets {
		p.line("  %s that said %g to %g: %.4f on average, and %.1f %% were right", digits.Plural(b.Verdicts, "verdict"), b.From, b.To, b.Said, 100*b.Right)
	}
}

// reproaches lists what counts against the analyzer, scenario by scenario.
func (p *printer) reproaches(r *trial.Result) {
	for i := range r.Runs {
		run := &r.Runs[i]
		if !run.Valid {
			p.line("")
			p.line("! %s: INVALID, so nobody is judged by it: %s", run.Scenario, strings.Join(run.InvalidBecause, "; "))
			continue
		}
		if run.Broke == "" && run.Score.Passed() {
			continue
		}
		p.line("")
		p.line("%s", p.bold(run.Scenario))
		if run.Broke != "" {
			p.line("  ✗ the analyzer gave no verdicts: %s", run.Broke)
			for line := range strings.Lines(run.Stderr) {
				p.line("%s", strings.TrimRight("      "+line, " \n"))
			}
			p.line("    Repeat: %s", run.Repeat)
			continue // all failures are missed
		}
		of := run.Score.Wrong + run.Score.FalseAlarms + run.Score.Missed + run.Score.Inconclusive
		for k := range run.Score.Errors {
			if k == mostReproaches {
				p.line("    and %s more", digits.Group(of-k))
				break
			}
			e := &run.Score.Errors[k]
			p.line("  ✗ %s", e.String())
			if k == 0 { // --json has them all
				for line := range strings.Lines(e.Ladder) {
					p.line("%s", strings.TrimRight("      "+line, " \n"))
				}
			}
		}
		p.line("    Repeat: %s", run.Repeat)
	}
}

// changes says what got better or worse since a baseline.
func (p *printer) changes(before, now *trial.Result, changes []trial.Change) {
	if before == nil {
		return
	}
	p.line("")
	p.line("%s %s", p.bold("Since the baseline,"), before.Analyzer)
	if len(changes) == 0 {
		p.line("  nothing got better or worse")
	}
	for _, c := range changes {
		word := "✗ worse:  "
		if c.Better {
			word = "✓ better: "
		}
		p.line("  %s %s", word, c.Scenario)
		p.line("      before  %s", c.Before.String())
		p.line("      now     %s", c.Now.String())
	}
	d := trial.DifferenceOf(before, now)
	for _, of := range []struct {
		names []string
		why   string
	}{{d.Otherwise, "played with another seed or number of requests then, so that more than the analyzer is another"}, {d.New, "not in the baseline"}} {
		names := strings.Join(of.names[:min(len(of.names), mostNames)], ", ")
		switch more := len(of.names) - mostNames; {
		case more > 0:
			p.line("  · %s and %d more: %s", names, more, of.why)
		case names != "":
			p.line("  · %s: %s", names, of.why)
		}
	}
}

// unknownHops says what the analyzer called hops that no verdict can name: with such a word
// none is right.
func (p *printer) unknownHops(r *trial.Result) {
	var unknown, known []string
	for i := range r.Runs {
		for _, hop := range r.Runs[i].UnknownHops {
			if !slices.Contains(unknown, hop) {
				unknown = append(unknown, hop)
			}
		}
	}
	for _, w := range r.Hops {
		if w.Truth > 0 {
			known = append(known, w.Word)
		}
	}
	for _, hop := range unknown {
		p.line("  ! %q is no hop that a verdict can name%s; --name %s=HOP says which one is meant", hop, nearest.Hint(hop, known), shell.Quote(hop))
	}
}

// broken says again, where it is seen, that the analyzer did not get as far as verdicts.
func (p *printer) broken(r *trial.Result) {
	n := 0
	for i := range r.Runs {
		if r.Runs[i].Broke != "" {
			n++
		}
	}
	if n > 0 {
		p.line("")
		p.line("%s", p.bold(fmt.Sprintf("The analyzer gave no verdicts on %d of %s, whose failures count as missed.", n, digits.Plural(len(r.Runs), "scenario"))))
	}
}

// seeds says with which seed runs were played.
func seeds(runs []trial.Run) string {
	for i := range runs {
		if runs[i].Seed != runs[0].Seed {
			return "seeds of their own"
		}
	}
	return fmt.Sprintf("seed %d", runs[0].Seed)
}
