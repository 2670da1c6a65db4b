package cli

import (
	"errors"
	"fmt"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
	"github.com/spf13/cobra"
)

func newCorpus() *cobra.Command {
	var seed uint64
	c := &cobra.Command{
		Use:   "corpus DIR [SCENARIO|FILE.yaml]...",
		Short: "Write small labelled captures of every scenario, for people without namespaces",
		Long: `Play scenarios, the whole catalogue if none is named, and keep a run directory of each: the
captures of what failed and of some other requests, and the truth. A README.md in the
folder says what is what; hopblame trial --corpus and hopblame score judge analyzers by
it where no lab can be built.`,
		Example: `  hopblame corpus labelled --seed 7
  hopblame trial --corpus labelled --analyzer './blame.py {captures}'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cases, err := chosen(args[1:], 0)
			if err != nil {
				return err
			}
			if err := sandbox(); err != nil {
				return err
			}
			if !c.Flags().Changed("seed") {
				if seed, err = scenarios.FreshSeed(); err != nil {
					return err
				}
			}
			bar := newProgress(c.ErrOrStderr())
			corpus, err := trial.WriteCorpus(c.Context(), args[0], cases, seed, bar.showTrial)
			bar.close()
			var invalid *trial.InvalidError
			switch {
			case errors.As(err, &invalid):
				return &codeError{exitInvalid, err}
			case err != nil:
				return err
			}
			failed := 0
			for i := range corpus.Runs {
				failed += corpus.Runs[i].Failed
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s of %s in %s, seed %d; %s/README.md says what is what\n",
				digits.Plural(failed, "failure"), digits.Plural(len(corpus.Runs), "scenario"), args[0], seed, args[0])
			return err
		},
	}
	c.Flags().Uint64Var(&seed, "seed", 0, "seed of everything random (default: a fresh one, printed)")
	return c
}
