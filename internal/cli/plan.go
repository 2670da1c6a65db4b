package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/spf13/cobra"
)

// planResult is the output of plan --json.
type planResult struct {
	SchemaVersion int            `json:"schema_version"`
	Scenario      string         `json:"scenario"`
	Seed          uint64         `json:"seed"`
	Requests      int            `json:"requests"`
	Planned       []plannedEntry `json:"planned"`
}

type plannedEntry struct {
	Ordinal int    `json:"ordinal"`
	Attempt int    `json:"attempt"`
	Fault   string `json:"fault"`
}

func newPlan() *cobra.Command {
	var o scenarios.Options
	var seed uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "plan SCENARIO|FILE.yaml --seed S",
		Short: "Say which requests will fail, without running anything",
		Long: `Print the ordinals of the requests that the scenario's faults will hit, one a line.
They depend on seed and scenario alone: not on concurrency, machine or time.`,
		Example:           `  hopblame plan firewall-drops-syn --seed 7 --requests 100000`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: scenarioNames,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := scenarios.Find(args[0])
			if err != nil {
				return err
			}
			if !c.Flags().Changed("seed") {
				return usage(errors.New("plan needs --seed: another seed, other requests"))
			}
			if c.Flags().Changed("requests") && o.Requests < 1 {
				return usage(fmt.Errorf("--requests %d: must be at least 1", o.Requests))
			}
			s = s.With(o)
			if err := s.Validate(); err != nil {
				return usage(err)
			}
			config := s.Config(seed)
			planned, predictable, err := config.Plan()
			if err != nil {
				return usage(err)
			}
			if !predictable {
				return usage(fmt.Errorf("scenario %s: which requests will fail cannot be known before the run: a fault is per packet, the firewall is stateful, or the f5 goes by load, limits, rules or a monitor", s.Name))
			}
			if asJSON {
				return writePlanJSON(c, s, config, planned)
			}
			p := &printer{w: c.OutOrStdout()}
			for _, o := range ordinals(planned) {
				p.line("%d", o)
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s of %s requests will be hit\n", digits.Group(len(ordinals(planned))), digits.Group(config.Requests))
			return p.err
		},
	}
	f := c.Flags()
	f.IntVar(&o.Requests, "requests", 0, "requests to send (default: as the scenario says)")
	f.Uint64Var(&seed, "seed", 0, "seed of everything random (required)")
	f.BoolVar(&asJSON, "json", false, "print fault and attempt as well, as JSON")
	return c
}

func ordinals(planned []sim.Planned) (list []int) {
	for _, p := range planned {
		list = append(list, p.Ordinal)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func writePlanJSON(c *cobra.Command, s *scenarios.Scenario, config sim.Config, planned []sim.Planned) error {
	r := planResult{SchemaVersion: scenarios.SchemaVersion, Scenario: s.Name, Seed: config.Seed, Requests: config.Requests, Planned: []plannedEntry{}}
	for _, p := range planned {
		r.Planned = append(r.Planned, plannedEntry{p.Ordinal, p.Attempt, p.Fault})
	}
	return writeJSON(c.OutOrStdout(), r)
}
