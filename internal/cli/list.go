package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

// listEntry is a scenario in list --json.
type listEntry struct {
	Name    string           `json:"name"`
	Title   string           `json:"title"`
	Symptom string           `json:"symptom"`
	Class   string           `json:"symptom_class,omitempty"` // twins look the same and have different answers
	Expect  []scenarios.Pair `json:"expect"`
}

func newList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios of the catalogue",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := scenarios.All()
			if err != nil {
				return err
			}
			if asJSON {
				list := struct {
					SchemaVersion int         `json:"schema_version"`
					Scenarios     []listEntry `json:"scenarios"`
				}{SchemaVersion: scenarios.SchemaVersion}
				for _, s := range all {
					e := listEntry{s.Name, s.Title, s.Symptom, s.Class, []scenarios.Pair{}}
					for _, x := range s.Expect {
						e.Expect = append(e.Expect, x.Pair)
					}
					list.Scenarios = append(list.Scenarios, e)
				}
				return writeJSON(c.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Class, s.Title)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print symptom, its class and right answers as well, as JSON")
	return c
}
