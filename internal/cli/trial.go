package cli

import (
	"cmp"
	"fmt"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
	"github.com/spf13/cobra"
)

func newTrial() *cobra.Command {
	var o trial.Options
	var shard, corpus string
	var who onTrial
	var t telling
	c := &cobra.Command{
		Use:   "trial [SCENARIO|FILE.yaml]...",
		Short: "Put any analyzer on trial: play the catalogue to it and judge what it says",
		Long: `Play scenarios one after the other, run an analyzer over the captures of each, and judge
its verdicts: what is right, what was taken for what, how far each hop and cause can be
trusted, and whether the confidence it gives is worth something. Without scenarios it is
the whole catalogue; without --analyzer it is hopblame's own.

The analyzer is any program. {captures} in its command line stands for a folder with the
captures and points.json, and nothing else: the truth is on no disk while it runs. It
writes JSON to standard output as for hopblame score, and ends with 0.`,
		Example: `  hopblame trial --analyzer './blame.py {captures}'
  hopblame trial firewall-drops-syn server-resets --analyzer 'tool --json {captures}' --seed 7
  hopblame trial --json > before.json; hopblame trial --baseline before.json
  hopblame trial --shard 1/4 --seed 7 --json > 1.json    # and 2/4 … in other jobs`,
		ValidArgsFunction: scenarioNames,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Requests < 0 {
				return usage(fmt.Errorf("--requests %d: must be at least 1, or 0 for as many as each scenario says", o.Requests))
			}
			var err error
			if o.Analyzer, o.Names, err = who.choose(c); err != nil {
				return err
			}
			o.Name = cmp.Or(who.command, "hopblame")
			if c.Flags().Changed("corpus") {
				for _, flag := range []string{"seed", "requests"} {
					if c.Flags().Changed(flag) {
						return usage(fmt.Errorf("--%s says what to play, and --corpus has been played: leave one out", flag))
					}
				}
				o.Cases, o.Seed, err = trial.OpenCorpus(corpus, args)
			} else {
				o.Cases, err = chosen(args, o.Requests)
			}
			if err != nil {
				return err
			}
			if c.Flags().Changed("shard") {
				part, err := trial.ParseShard(shard)
				if err != nil {
					return usage(fmt.Errorf("--%w", err))
				}
				if o.Cases = part.Part(o.Cases); len(o.Cases) == 0 {
					return usage(fmt.Errorf("--shard %s: there are fewer scenarios than shards", shard))
				}
			}
			if err := t.load(); err != nil {
				return err
			}
			if corpus == "" {
				if err := sandbox(); err != nil {
					return err
				}
			}
			if corpus == "" && !c.Flags().Changed("seed") {
				if o.Seed, err = scenarios.FreshSeed(); err != nil {
					return err
				}
			}
			bar := newProgress(c.ErrOrStderr())
			o.Progress = bar.showTrial
			r, err := trial.Try(c.Context(), o)
			bar.close()
			if err != nil {
				return err
			}
			return t.tell(c, r)
		},
	}
	f := c.Flags()
	who.flags(c)
	f.Uint64Var(&o.Seed, "seed", 0, "seed of everything random (default: a fresh one, printed)")
	f.IntVar(&o.Requests, "requests", trial.DefaultRequests, "requests of each scenario, at most; 0: as many as it says")
	f.StringVar(&corpus, "corpus", "", "put the captures of a `FOLDER` before it that hopblame corpus made, and play nothing")
	f.StringVar(&shard, "shard", "", "play part `I/N` of the scenarios, such as 2/4; hopblame merge puts the parts together")
	t.flags(c)
	return c
}

// chosen are the scenarios of a command line, the whole catalogue if it has none, and
// nothing that could not be played.
func chosen(names []string, requests int) (list []trial.Case, err error) {
	if len(names) == 0 {
		return trial.Catalogue()
	}
	for _, name := range names {
		s, err := scenarios.Find(name)
		if err != nil {
			return nil, err
		}
		if err := s.With(scenarios.Options{Requests: min(requests, s.Config(0).Requests)}).Validate(); err != nil {
			return nil, usage(err)
		}
		list = append(list, trial.Case{Called: name, Scenario: s})
	}
	return list, nil
}

// showTrial notes how far a trial has come.
func (p *progress) showTrial(t trial.Progress) {
	p.mu.Lock()
	p.of = fmt.Sprintf("%d/%d %s: ", t.Number, t.Of, t.Scenario)
	p.mu.Unlock()
	if t.OnTrial {
		t.Run = scenarios.Progress{Phase: "on trial"}
	}
	p.show(t.Run)
}
