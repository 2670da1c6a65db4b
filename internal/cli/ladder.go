package cli

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/spf13/cobra"
)

func newLadder() *cobra.Command {
	var in captures
	var request, svg string
	var ascii bool
	c := &cobra.Command{
		Use:   "ladder DIR|FILE...",
		Short: "Draw one request over all points of capture",
		Long: `Analyse captures as analyze does, and draw one request: every packet of its
clientside and its serverside connections, with the frame in which each point has it,
on one time axis with the clocks corrected. A packet that died is drawn where it died.
The last line is the display filter that shows the same packets in Wireshark.

Without --request it is the first failed request of the largest group. A request that
did not fail is named by the client's address and port, which Wireshark shows of it.`,
		Example: `  hopblame ladder demo
  hopblame ladder demo --request 18 --svg request-18.svg
  hopblame ladder demo --request 198.18.50.88:32786`,
		RunE: func(c *cobra.Command, args []string) error {
			defer in.close()
			r, err := in.analyze(c, args)
			if err != nil {
				return err
			}
			q, err := chooseRequest(r, request)
			if err != nil {
				return usage(err)
			}
			l, err := ladder.Build(c.Context(), in.points, r, q)
			if err != nil {
				return err
			}
			if svg != "" {
				if err := writeWhole("--svg", svg, l.SVG); err != nil {
					return err
				}
			}
			out := c.OutOrStdout()
			if err := l.Text(out, ladder.TextOptions{Width: width(out), Color: wantsColor(out), ASCII: ascii, Filter: true}); err != nil {
				return fmt.Errorf("write the ladder: %w", err)
			}
			return nil
		},
	}
	in.flags(c)
	c.Flags().StringVar(&request, "request", "", "which request: its X-Request-ID, or the client's `ADDRESS:PORT`")
	c.Flags().StringVar(&svg, "svg", "", "write the ladder to `FILE` as a picture, too")
	c.Flags().BoolVar(&ascii, "ascii", false, "draw with ASCII characters only")
	return c
}

// chooseRequest finds the request that is to be drawn.
func chooseRequest(r *analyzer.Report, name string) (q ladder.Request, err error) {
	if name == "" {
		examples := report.Examples(r)
		if len(examples) == 0 {
			return q, fmt.Errorf("none of %d requests failed: choose one with --request ADDRESS:PORT", r.Requests.Seen)
		}
		return ladder.Of(examples[0])
	}
	i := slices.IndexFunc(r.Verdicts, func(v analyzer.Verdict) bool { return v.Request.ID == name || v.Request.Client == name })
	if i >= 0 {
		return ladder.Of(&r.Verdicts[i])
	}
	if q.Client, err = netip.ParseAddrPort(name); err != nil {
		return q, fmt.Errorf("--request %s: no failed request has this id or comes from this address and port; for one that did not fail give ADDRESS:PORT of its client", name)
	}
	return q, nil
}

// writeWhole writes a file that a flag names, whole or not at all.
func writeWhole(flag, name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("%s %s: cannot be written: %w", flag, name, errno(err))
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		os.Remove(name)
		var in *analyzer.InputError
		if errors.As(err, &in) { // it is not the file that is at fault
			return in
		}
		return fmt.Errorf("%s %s: cannot be written: %w", flag, name, errno(err))
	}
	return nil
}
