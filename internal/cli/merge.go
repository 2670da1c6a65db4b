package cli

import (
	"github.com/hopblame/hopblame/scenarios/trial"
	"github.com/spf13/cobra"
)

func newMerge() *cobra.Command {
	var t telling
	c := &cobra.Command{
		Use:   "merge FILE...",
		Short: "Put the parts of a trial together that several jobs have played",
		Long: `Read what hopblame trial --json wrote in each job of a matrix and tell the whole as trial
does. The parts must be of one analyzer, and each scenario in one of them.`,
		Example: `  hopblame merge 1.json 2.json 3.json 4.json --junit trial.xml`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.load(); err != nil {
				return err
			}
			var parts []*trial.Result
			for _, file := range args {
				r, err := trial.LoadResult(file)
				if err != nil {
					return err
				}
				parts = append(parts, r)
			}
			whole, err := trial.Merge(parts)
			if err != nil {
				return usage(err)
			}
			return t.tell(c, whole)
		},
	}
	t.flags(c)
	return c
}
