package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/shell"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
	"github.com/spf13/cobra"
)

func newShrink() *cobra.Command {
	var o trial.ShrinkOptions
	var who onTrial
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "shrink RUN --out FILE.yaml",
		Short: "Find the fewest requests and faults on which an analyzer still errs",
		Long: `Run an analyzer over the captures of a run directory, take one of its mistakes, and play
fewer and fewer of the requests and faults with the same seed as long as it makes a
mistake of that kind. What is left is saved as a scenario. Most mistakes can be had with
one request; one that is chance may not come again, and then it says so.`,
		Example: `  hopblame shrink demo --analyzer './blame.py {captures}' --out mistake.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usage(errors.New("shrink needs --out FILE.yaml for the scenario that it finds"))
			}
			if o.Patience <= 0 {
				return usage(fmt.Errorf("--patience %v: must be more than 0", o.Patience))
			}
			var err error
			if o.Analyzer, o.Names, err = who.choose(c); err != nil {
				return err
			}
			r, err := scenarios.OpenRecording(args[0])
			if err != nil {
				return err
			}
			if !r.Result.Valid {
				return &codeError{exitInvalid, fmt.Errorf("run %s is INVALID, so nobody errs in it", r.Path)}
			}
			if err := sandbox(); err != nil {
				return err
			}
			bar := newProgress(c.ErrOrStderr())
			bar.show(scenarios.Progress{Phase: "looking for less to err on"})
			o.Progress = func(s trial.Shrunk) {
				bar.show(scenarios.Progress{Phase: fmt.Sprintf("%s, %s", digits.Plural(s.Requests, "request"), digits.Plural(s.Faults, "fault"))})
			}
			s, err := trial.Shrink(c.Context(), r, o)
			bar.close()
			if errors.Is(err, trial.ErrNoMistake) {
				return &codeError{exitCheck, err}
			}
			if err != nil {
				return err
			}
			text, err := s.Scenario.Encode()
			if err == nil {
				err = os.WriteFile(out, text, 0o644)
			}
			if err != nil {
				return fmt.Errorf("save what was found: %w", err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), s)
			}
			return writeShrunk(c.OutOrStdout(), s, out, who.repeat())
		},
	}
	who.flags(c)
	f := c.Flags()
	f.StringVar(&out, "out", "", "scenario file to write")
	f.DurationVar(&o.Patience, "patience", trial.DefaultPatience, "how long to look for less")
	f.BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return c
}

// writeShrunk says how little is left.
func writeShrunk(w io.Writer, s *trial.Shrunk, out, analyzer string) error {
	p := &printer{w: w, color: wantsColor(w)}
	p.line("%s of %s, %s of %d: %s in %.0f s", digits.Plural(s.Requests, "request"), digits.Group(s.Before.Requests),
		digits.Plural(s.Faults, "fault"), s.Before.Faults, digits.Plural(s.Played, "run"), s.Took)
	p.line("  ✗ %s", s.Mistake.String())
	p.line("Saved: %s", out)
	p.line("Repeat: hopblame trial %s --seed %d --requests 0%s", out, s.Seed, analyzer)
	return p.err
}

// onTrial is who trial and shrink judge.
type onTrial struct {
	command string
	timeout time.Duration
	names   []string
}

func (w *onTrial) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.command, "analyzer", "", "`COMMAND` for sh, with {captures} for the folder (default: hopblame's own)")
	f.DurationVar(&w.timeout, "timeout", trial.DefaultTimeout, "how long the analyzer may take for one scenario")
	nameFlag(c, &w.names)
}

// choose makes an analyzer of the flags; nil is hopblame's own.
func (w *onTrial) choose(c *cobra.Command) (ask trial.Analyzer, names trial.Names, err error) {
	if w.timeout <= 0 {
		return nil, nil, usage(fmt.Errorf("--timeout %v: must be more than 0", w.timeout))
	}
	if c.Flags().Changed("analyzer") {
		if ask, err = trial.Command(w.command, w.timeout); err != nil {
			return nil, nil, usage(fmt.Errorf("--%w", err))
		}
	}
	if names, err = trial.ParseNames(w.names); err != nil {
		return nil, nil, usage(fmt.Errorf("--%w", err))
	}
	return ask, names, nil
}

// repeat are the flags that say the same again.
func (w *onTrial) repeat() (flags string) {
	if w.command != "" {
		flags = " --analyzer " + shell.Quote(w.command)
	}
	for _, n := range w.names {
		flags += " --name " + shell.Quote(n)
	}
	return flags
}
