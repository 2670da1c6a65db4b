package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var o scenarios.Options
	var seed uint64
	var captures string
	var asJSON bool
	c := &cobra.Command{
		Use:   "run SCENARIO|FILE.yaml",
		Short: "Play a scenario, analyze its captures, score the verdicts",
		Example: `  hopblame run firewall-drops-syn
  hopblame run firewall-drops-syn --requests 100000 --seed 7 --out demo
  hopblame run my-own.yaml --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("run needs a scenario: hopblame list shows them, and a path to a .yaml file is taken as well")
			}
			return cobra.ExactArgs(1)(c, args)
		},
		ValidArgsFunction: scenarioNames,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := scenarios.Find(args[0])
			if err != nil {
				return err
			}
			if c.Flags().Changed("seed") {
				o.Seed = &seed
			}
			if c.Flags().Changed("out") && o.Out == "" {
				return usage(errors.New("--out is empty: give a folder, or leave it out to keep nothing"))
			}
			if o.Language, err = langOfPage(c, "out"); err != nil {
				return err
			}
			if o.Captures, err = scenarios.ParseKept(captures); err != nil {
				return usage(fmt.Errorf("--%w", err))
			}
			if err := scenarios.CheckSnapLen(o.SnapLen); err != nil {
				return usage(fmt.Errorf("--%w", err))
			}
			for flag, n := range map[string]int{"requests": o.Requests, "concurrency": o.Concurrency} {
				if c.Flags().Changed(flag) && n < 1 {
					return usage(fmt.Errorf("--%s %d: must be at least 1", flag, n))
				}
			}
			if err := s.With(o).Validate(); err != nil {
				return usage(err)
			}
			// All that can be said before is said before: from here on the
			// work is done by a second process.
			if err := sandbox(); err != nil {
				return err
			}
			return play(c, args[0], s, o, asJSON)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Requests, "requests", 0, "requests to send (default: as the scenario says)")
	f.IntVar(&o.Concurrency, "concurrency", 0, "requests in flight (default: as the scenario says)")
	f.Uint64Var(&seed, "seed", 0, "seed of everything random (default: a fresh one, printed)")
	f.StringVar(&o.Out, "out", "", "run directory to write: captures, truth, verdicts, report.html, result (default: keep nothing)")
	f.StringVar(&captures, "captures", string(scenarios.KeepAll), "`WHAT` of the captures to keep and analyze: all; or failed, which is the failed requests, some others, and what is no request's")
	f.IntVar(&o.SnapLen, "snaplen", 0, "`BYTES` of each frame to keep (default: all)")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	langFlag(c, false, "report.html")
	return c
}

func play(c *cobra.Command, name string, s *scenarios.Scenario, o scenarios.Options, asJSON bool) error {
	bar := newProgress(c.ErrOrStderr())
	o.Progress = bar.show
	result, err := scenarios.Run(c.Context(), s, o)
	bar.close()
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if asJSON {
		err = writeJSON(out, result)
	} else {
		err = writeResult(out, result, name, o.Out)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return outcome(result)
}

// outcome is the error that a run amounts to. An invalid one outranks a score
// that should not have been taken.
func outcome(r *scenarios.Result) error {
	switch {
	case !r.Valid:
		return &codeError{exitInvalid, errors.New("the run is INVALID: " + strings.Join(r.InvalidBecause, "; "))}
	case !r.Score.Passed():
		return &codeError{code: exitCheck}
	}
	return nil
}

// writeResult tells the story of a run: what failed and who did it, whether the
// testbed can be believed, how the analyzer did, and what to do next. name is
// what the user called the scenario, which may be a file; out the run directory.
func writeResult(w io.Writer, r *scenarios.Result, name, out string) error {
	p := &printer{w: w, color: wantsColor(w)}
	p.line("%s — %s", p.bold(r.Played.Name), r.Played.Title)
	if r.Played.Symptom != "" {
		p.line("“%s”", r.Played.Symptom)
	}
	p.line("seed %d, requests: %s, at most %d in flight, SYN timeout %gs × %d (%s), %s", r.Seed, digits.Group(r.Requests.Sent), min(r.Settings.Concurrency, r.Requests.Sent),
		r.Settings.SYNRTOBase, r.Settings.SYNMaxRetrans+1, r.Settings.SYNBackoff, r.Settings.Family)
	p.line("")
	if p.err == nil {
		p.err = report.WriteText(w, r.Report, report.TextOptions{Width: width(w), Color: p.color})
	}
	p.line("")
	writeCheck(p, r)
	writeScore(p, r)
	p.line("")
	p.line("Time: build %.2f s, traffic %.1f s, analysis %.1f s, teardown %.2f s", r.Timing.Build, r.Timing.Traffic, r.Timing.Analyze, r.Timing.Teardown)
	p.line("Repeat: %s", r.Repeat(name))
	if out == "" {
		p.line("Files: none kept; with --out DIR the captures stay, and the frames above can be looked at")
	} else {
		p.line("Files: %s (open %s in a browser; hopblame analyze %s; wireshark %s)", out, filepath.Join(out, "report.html"), out, filepath.Join(out, "captures", "f5-0.0.pcapng"))
	}
	return p.err
}

// writeCheck shows the testbed's check of itself.
func writeCheck(p *printer, r *scenarios.Result) {
	if r.Valid {
		p.line("%s", p.bold("The testbed's own check: valid"))
	} else {
		p.line("%s", p.bold("The testbed's own check: INVALID — nobody should be judged by this run"))
	}
	l := r.Ledger
	if l.Planned != nil {
		p.line("  %s plan: %s connections to be hit, %s were", mark(*l.Planned == l.Connections), digits.Group(*l.Planned), digits.Group(l.Connections))
	}
	if l.Packets > 0 || l.Counter > 0 || l.Deeds == 0 {
		p.line("  %s ledger: %s packets hit; the kernel counted %s", mark(uint64(l.Packets) == l.Counter), digits.Group(l.Packets), digits.Group(int(l.Counter)))
	}
	if l.Deeds > 0 {
		p.line("  ✓ ledger: misbehaviour at %s requests, noted by who did it", digits.Group(l.Deeds))
	}
	holds := 0
	for i := range r.Balances {
		b := &r.Balances[i]
		if b.Holds() {
			holds++
		}
		if made := ""; b.Ledger > 0 || b.Made > 0 || !b.Holds() {
			if b.Made > 0 {
				made = fmt.Sprintf(" + %s made there", digits.Group(int(b.Made)))
			}
			of := ""
			if b.Of != "" {
				of = " " + b.Of
			}
			p.line("  %s %s, %s: %s%s in%s − %s out = %s", mark(b.Holds()), b.Where, b.Direction, digits.Group(int(b.In)), of, made, digits.Group(int(b.Out)), digits.Group(int(b.Taken())))
		}
	}
	p.line("  %s captures: what goes into a hop or link comes out, in %d of %d balances", mark(holds == len(r.Balances)), holds, len(r.Balances))
	packets, dropped := uint64(0), uint64(0)
	for _, c := range r.Captures {
		packets, dropped = packets+c.Packets, dropped+c.Dropped
	}
	p.line("  %s taps: %s packets captured at %d points, %d lost", mark(dropped == 0), digits.Group(int(packets)), len(r.Captures), dropped)
	for _, why := range r.InvalidBecause {
		p.line("  ✗ %s", why)
	}
	writeObservers(p, r)
}

// writeObservers says what the analyzer's captures are without, which are all of what was
// captured otherwise.
func writeObservers(p *printer, r *scenarios.Result) {
	if len(r.Observers) == 0 {
		return
	}
	p.line("%s", p.bold("What the analyzer was given of it:"))
	for _, o := range r.Observers {
		left := fmt.Sprintf("%s packets", digits.Group(o.After))
		if o.After != o.Before {
			left = fmt.Sprintf("%s packets of %s", digits.Group(o.After), digits.Group(o.Before))
			if o.After > o.Before {
				left = fmt.Sprintf("%s packets for %s", digits.Group(o.After), digits.Group(o.Before))
			}
		}
		if o.Changed > 0 {
			left += fmt.Sprintf(", %s of them changed", digits.Group(o.Changed))
		}
		p.line("  · %s: %s", o.What, left)
	}
}

// writeScore shows how the analyzer did.
func writeScore(p *printer, r *scenarios.Result) {
	verdict := "passed"
	switch {
	case !r.Valid:
		verdict = "does not count"
	case !r.Score.Passed():
		verdict = "FAILED"
	}
	p.line("%s %s", p.bold("Score: "+verdict+" —"), r.Score.String())
	for i := range r.Score.Errors {
		p.line("  ✗ %s", r.Score.Errors[i].String())
	}
}
