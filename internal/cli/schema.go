package cli

import (
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Long: `Print the JSON Schema of scenario files. An editor that knows it completes keys and
words, explains them, and underlines what there is not. With the YAML language server,
which most editors use, this first line of a scenario is enough:

  # yaml-language-server: $schema=scenario.schema.json`,
		Example: `  hopblame schema >scenario.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := scenarios.Schema()
			if err == nil {
				_, err = c.OutOrStdout().Write(text)
			}
			return err
		},
	}
}
