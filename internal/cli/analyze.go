package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/spf13/cobra"
)

func newAnalyze() *cobra.Command {
	var in captures
	var asJSON, fail bool
	var html string
	var verbose int
	c := &cobra.Command{
		Use:   "analyze DIR|FILE...",
		Short: "Name the hop at fault for every failed request in a set of captures",
		Long: `Read the captures of a run directory, of a folder, or those given, and give a verdict
on every failed request. Captures are all it reads: in a run directory it never opens
truth/.

Captures are pcap or pcapng, plain or in gzip or zstd; - is standard input, and a pipe
will do as well. --point says where a file was captured; given again for the same face
it adds a file of a rotation, in any order. INTERFACE picks one interface of a file, by
its name or else its number from 0. Files without --point are one point for each of
their interfaces. Where on the path each was taken is found out from the captures;
points that nobody named are called p1, p2 … from the client on.

Requests inside TLS are read with the sessions' keys: those in F5 trailers (tcpdump
--f5 ssl), and those of --keylog, in the format of SSLKEYLOGFILE. Without them a request
is known to have failed as far as the connections on both sides of the proxy show it.`,
		Example: `  hopblame analyze demo
  hopblame analyze --point client/eth0=c.pcap --point f5/0.0=f5.pcap.gz --point firewall/feth11=in.pcap
  hopblame analyze --point fw/in=fw.pcapng#eth0 --point fw/out=fw.pcapng#eth1 server.pcap
  hopblame analyze --html report.html demo
  hopblame analyze --keylog keys.log demo
  ssh gateway tcpdump -w - tcp | hopblame analyze client.pcap -`,
		RunE: func(c *cobra.Command, args []string) error {
			defer in.close()
			lang, err := langOfPage(c, "html")
			if err != nil {
				return err
			}
			r, err := in.analyze(c, args)
			if err != nil {
				return err
			}
			if html != "" {
				if err := writeWhole("--html", html, func(w io.Writer) error { return page.Write(c.Context(), w, in.points, r, page.Options{Language: lang}) }); err != nil {
					return err
				}
			}
			out := c.OutOrStdout()
			if asJSON {
				err = r.WriteJSON(out)
			} else {
				err = report.WriteText(out, r, report.TextOptions{Width: width(out), Color: wantsColor(out), Verbose: verbose})
			}
			if err != nil {
				return fmt.Errorf("write the verdicts: %w", err)
			}
			switch {
			case fail && r.Requests.Seen == 0:
				return &codeError{exitCheck, errors.New("the captures hold no request at all: that none failed proves nothing")}
			case fail && r.Requests.Failed > 0:
				return &codeError{code: exitCheck}
			}
			return nil
		},
	}
	f := c.Flags()
	in.flags(c)
	f.BoolVar(&asJSON, "json", false, "print the verdicts as JSON")
	f.StringVar(&html, "html", "", "write the answer to `FILE` as a page that needs nothing else, too")
	langFlag(c, false, "the page")
	f.BoolVar(&fail, "fail", false, "exit with 1 if a request failed, or if there was none")
	f.CountVarP(&verbose, "verbose", "v", "show every failed request; twice: with all evidence")
	return c
}
