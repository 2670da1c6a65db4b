package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

func newAnalyze() *cobra.Command {
	var points []string
	var asJSON, fail bool
	var verbose int
	c := &cobra.Command{
		Use:   "analyze DIR",
		Short: "Name the hop at fault for every failed request in a set of captures",
		Long: `Read the captures of a run directory, of a folder with a points.json, or those given
with --point, and give a verdict on every failed request. Captures are all it reads:
in a run directory it never opens truth/.`,
		Example: `  hopblame analyze demo
  hopblame analyze --point client/eth0=c.pcap --point f5/0.0=f5.pcap --point firewall/feth11=in.pcap`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := choosePoints(args, points)
			if err != nil {
				return err
			}
			bar := newProgress(c.ErrOrStderr())
			r, err := analyzer.Analyze(c.Context(), list, analyzer.Options{Progress: func(p analyzer.Progress) {
				bar.show(scenarios.Progress{Phase: "analyze", Bytes: p.Bytes, TotalBytes: p.Size})
			}})
			bar.close()
			if err != nil {
				return err
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
	f.StringArrayVar(&points, "point", nil, "capture of one face, as HOP/FACE=FILE[#INTERFACE]; repeat it in path order, client end first")
	f.BoolVar(&asJSON, "json", false, "print the verdicts as JSON")
	f.BoolVar(&fail, "fail", false, "exit with 1 if a request failed, or if there was none")
	f.CountVarP(&verbose, "verbose", "v", "show every failed request; twice: with all evidence")
	return c
}

// choosePoints takes the captures from a folder or from --point.
func choosePoints(args, flags []string) ([]analyzer.Point, error) {
	switch {
	case len(args) == 0 && len(flags) == 0:
		return nil, usage(errors.New("analyze needs a folder with a points.json, or --point HOP/FACE=FILE for each capture"))
	case len(args) == 1 && len(flags) > 0:
		return nil, usage(errors.New("analyze takes a folder or --point, not both"))
	case len(args) == 1:
		if i, err := os.Stat(args[0]); err == nil && !i.IsDir() {
			return nil, usage(fmt.Errorf("%s is a file; say where it was captured: --point HOP/FACE=%s", args[0], args[0]))
		}
		return analyzer.LoadPoints(args[0])
	}
	var list []analyzer.Point
	for _, f := range flags {
		p, err := parsePoint(f)
		if err != nil {
			return nil, usage(err)
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePoint reads HOP/FACE=FILE[#INTERFACE].
func parsePoint(s string) (p analyzer.Point, err error) {
	name, file, ok := strings.Cut(s, "=")
	hop, face, named := strings.Cut(name, "/")
	if !ok || !named || hop == "" || face == "" || file == "" {
		return p, fmt.Errorf("--point %s: must be HOP/FACE=FILE[#INTERFACE], such as firewall/feth11=in.pcap", s)
	}
	p = analyzer.Point{Name: name, Hop: hop, Face: face, File: file}
	if at := strings.LastIndexByte(file, '#'); at > 0 {
		if _, err := os.Stat(file); err != nil { // a file may have # in its name
			p.File, p.Interface = file[:at], file[at+1:]
		}
	}
	return p, nil
}
