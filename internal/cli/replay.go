package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

func newReplay() *cobra.Command {
	var o scenarios.ReplayOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay RUN [--without FAULT]...",
		Short: "Repeat a recorded run, with faults taken out, and compare",
		Long: `Repeat the run of a run directory with the same seed, and without a fault: the requests
that it hit must succeed now, and the rest must be as they were. Without --without all
must be as it was, at another --concurrency too. What a stateful firewall drops by itself
is taken out by its reason, such as firewall-table-full.

A request that another fault hits as well may still fail by that one. Where it is chance
whom a scenario hits — a fault is per packet, the f5 goes by load — the rest may differ.`,
		Example: `  hopblame run firewall-drops-syn --seed 7 --out demo
  hopblame replay demo --without syn-drop
  hopblame replay demo --concurrency 1`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("concurrency") && o.Concurrency < 1 {
				return usage(fmt.Errorf("--concurrency %d: must be at least 1", o.Concurrency))
			}
			if c.Flags().Changed("out") && o.Out == "" {
				return usage(errors.New("--out is empty: give a folder, or leave it out to keep nothing"))
			}
			r, err := scenarios.OpenRecording(args[0])
			if err != nil {
				return err
			}
			if err := r.Check(o); err != nil {
				return err
			}
			if err := r.Scenario.With(scenarios.Options{Concurrency: o.Concurrency}).Validate(); err != nil {
				return usage(err)
			}
			if err := sandbox(); err != nil {
				return err
			}
			bar := newProgress(c.ErrOrStderr())
			o.Progress = bar.show
			replay, err := r.Replay(c.Context(), o)
			bar.close()
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if asJSON {
				err = writeJSON(out, replay)
			} else {
				err = writeReplay(out, replay)
			}
			if err != nil {
				return fmt.Errorf("write the result: %w", err)
			}
			return replayOutcome(replay)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.Without, "without", nil, "fault or firewall's reason to take out, by name; may be repeated (default: none, the same again)")
	f.IntVar(&o.Concurrency, "concurrency", 0, "requests in flight (default: as in the run)")
	f.StringVar(&o.Out, "out", "", "run directory to write for the repetition (default: keep nothing)")
	f.BoolVar(&asJSON, "json", false, "print the comparison as JSON, with every difference")
	return c
}

// replayOutcome is the error that a repetition amounts to.
func replayOutcome(r *scenarios.Replay) error {
	switch {
	case !r.Valid:
		return &codeError{exitInvalid, errors.New("the repetition is INVALID: " + strings.Join(r.InvalidBecause, "; "))}
	case !r.Holds:
		return &codeError{code: exitCheck}
	}
	return nil
}

// mostDifferences are shown in words.
const mostDifferences = 20

// writeReplay says whether the repetition was what it had to be.
func writeReplay(w io.Writer, r *scenarios.Replay) error {
	p := &printer{w: w, color: wantsColor(w)}
	what := "the same again"
	if len(r.Without) > 0 {
		what = "without " + strings.Join(r.Without, " and ")
	}
	p.line("%s — %s", p.bold(r.Scenario), what)
	p.line("%s, seed %d, %s requests, at most %d in flight", r.Run, r.Seed, digits.Group(r.Now.Sent), min(r.Concurrency, r.Now.Sent))
	p.line("")
	for _, h := range r.Hit {
		line := fmt.Sprintf("hit by %s: %s requests, of which %s failed; %s succeed now", h.Fault, digits.Group(h.Requests), digits.Group(h.Failed), digits.Group(h.OK))
		if h.Others > 0 {
			line += fmt.Sprintf(", %s fail by what else hits them", digits.Group(h.Others))
		}
		p.line("  %s %s", mark(h.OK+h.Others == h.Requests), line)
	}
	rest := mark(r.Rest.Requests == r.Rest.Unchanged && r.Digest.Now == r.Digest.Before)
	if !r.Predictable {
		rest = "·" // it is held to nothing
	}
	p.line("  %s the rest: %s requests, %s as they were", rest, digits.Group(r.Rest.Requests), digits.Group(r.Rest.Unchanged))
	if d := r.Digest; d.Hits > 0 || d.Now != d.Before {
		now := "the same now"
		if d.Now != d.Before {
			now = fmt.Sprintf("%.16s… now", d.Now)
		}
		p.line("  %s hit among the rest: %s connections, digest %.16s…, %s", rest, digits.Group(d.Hits), d.Before, now)
	}
	if !r.Predictable {
		p.line("    " + scenarios.ByChance + ": a fault is per packet, the firewall has limits, or the f5 goes by load, limits, rules or a monitor")
	}
	writeDifferences(p, r.Differs)
	for _, h := range r.Hit {
		if h.Requests == 0 {
			p.line("%s had hit nobody, so this says nothing about it.", h.Fault)
		}
	}
	verdict := "It does NOT hold"
	switch {
	case !r.Valid:
		verdict = "The repetition is INVALID and says nothing"
	case !r.Predictable && len(r.Without) == 0:
		verdict = "There was nothing to hold"
	case !r.Predictable && r.Holds:
		verdict = "It holds, as far as the seed decides"
	case r.Holds:
		verdict = "It holds"
	}
	p.line("%s: %s failed, %s do now", p.bold(verdict), digits.Group(r.Before.Failed), digits.Group(r.Now.Failed))
	return p.err
}

// writeDifferences lists the requests that are not what one would expect, contradictions
// first. What is chance is counted only.
func writeDifferences(p *printer, all []scenarios.Difference) {
	all = slices.DeleteFunc(slices.Clone(all), func(d scenarios.Difference) bool { return d.Because == scenarios.ByChance })
	if len(all) == 0 {
		return
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b scenarios.Difference) int {
		return cmp.Compare(min(len(a.Because), 1), min(len(b.Because), 1))
	})
	p.line("  What differs:")
	for i, d := range all {
		if i == mostDifferences {
			p.line("    and %s more; --json lists them all", digits.Group(len(all)-i))
			return
		}
		because := d.Because
		if because == "" {
			because = "and should not"
		}
		p.line("    %s request %d: %s before, %s now: %s", mark(d.Because != ""), d.Ordinal, fate(d.Before), fate(d.Now), because)
	}
}

// fate says what became of a request: "reset (syn-drop)".
func fate(f scenarios.Fate) string {
	word := string(f.Outcome)
	if f.Status != 0 {
		word += fmt.Sprintf(" %d", f.Status)
	}
	if len(f.Faults) > 0 {
		word += " (" + strings.Join(f.Faults, ", ") + ")"
	}
	return word
}
