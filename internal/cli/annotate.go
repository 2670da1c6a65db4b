package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/hopblame/hopblame/analyzer/annotate"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/spf13/cobra"
)

func newAnnotate() *cobra.Command {
	var in captures
	var output, profile string
	c := &cobra.Command{
		Use:   "annotate DIR|FILE... -o FILE.pcapng",
		Short: "Merge the captures of all points, with the evidence marked by comments",
		Long: `Analyse captures as analyze does, and write one pcapng file of them all: every frame in
the order of time, clocks corrected, on an interface named after its point. Frames that a
verdict cites have a comment that says for which request, what they show and what that
proves; Wireshark finds them with frame.comment.

--profile writes a Wireshark profile for such files: columns for point and evidence,
colours, a filter button for each point. It is a folder; give it a name in the folder
profiles of your Wireshark configuration, and start wireshark -C NAME.`,
		Example: `  hopblame annotate demo -o demo.pcapng
  hopblame annotate demo -o demo.pcapng --profile ~/.config/wireshark/profiles/hopblame
  wireshark -C hopblame -r demo.pcapng -Y frame.comment`,
		RunE: func(c *cobra.Command, args []string) error {
			defer in.close()
			if output == "" && profile == "" {
				return usage(errors.New("annotate needs -o FILE.pcapng, --profile DIR or both"))
			}
			r, err := in.analyze(c, args)
			if err != nil {
				return err
			}
			var n annotate.Counts
			if output != "" {
				err := writeWhole("--output", output, func(f io.Writer) error {
					w := bufio.NewWriterSize(f, 1<<20)
					if n, err = annotate.Write(c.Context(), w, in.points, r); err != nil {
						return err
					}
					return w.Flush()
				})
				if err != nil {
					return err
				}
				said := fmt.Sprintf("%s: %s of %s, %s with a comment\n", output, digits.Plural(int(n.Frames), "frame"), digits.Plural(len(r.Points), "point"), digits.Group(int(n.Commented)))
				if err := printText(c, said, nil); err != nil {
					return err
				}
			}
			if profile != "" {
				if err := annotate.Profile(profile, r); err != nil {
					return fmt.Errorf("--profile %s: cannot be written: %w", profile, errno(err))
				}
			}
			return nil
		},
	}
	in.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "write the merged capture to `FILE`")
	c.Flags().StringVar(&profile, "profile", "", "write a Wireshark profile into the folder `DIR`")
	return c
}
