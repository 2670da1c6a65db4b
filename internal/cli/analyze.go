package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

func newAnalyze() *cobra.Command {
	var points []string
	var keylog string
	var asJSON, fail bool
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
  hopblame analyze --keylog keys.log demo
  ssh gateway tcpdump -w - tcp | hopblame analyze client.pcap -`,
		RunE: func(c *cobra.Command, args []string) error {
			spool := &analyzer.Spool{Stdin: c.InOrStdin()}
			defer spool.Close()
			list, err := choosePoints(c.Context(), args, points, spool)
			if err != nil {
				return err
			}
			o := analyzer.Options{AnyOrder: len(points) > 0}
			if keylog != "" {
				keys, err := os.Open(keylog)
				if err != nil {
					return &analyzer.InputError{Kind: analyzer.ErrIO, File: keylog, What: "cannot be opened", Err: errno(err), Fix: "give the file that SSLKEYLOGFILE named when the requests were sent"}
				}
				defer keys.Close()
				o.KeyLog, o.KeyLogName = keys, keylog
			}
			boundMemory(list)
			bar := newProgress(c.ErrOrStderr())
			o.Progress = func(p analyzer.Progress) {
				bar.show(scenarios.Progress{Phase: "analyze", Bytes: p.Bytes, TotalBytes: p.Size})
			}
			r, err := analyzer.Analyze(c.Context(), list, o)
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
	f.StringArrayVar(&points, "point", nil, "capture of one face, as HOP/FACE=FILE[#INTERFACE]; repeat it for each capture, in any order, and for the files of a rotation")
	f.StringVar(&keylog, "keylog", "", "read secrets of TLS sessions from `FILE`, in the format of SSLKEYLOGFILE")
	f.BoolVar(&asJSON, "json", false, "print the verdicts as JSON")
	f.BoolVar(&fail, "fail", false, "exit with 1 if a request failed, or if there was none")
	f.CountVarP(&verbose, "verbose", "v", "show every failed request; twice: with all evidence")
	return c
}

// boundMemory lets garbage lie while there is little of it, which saves a fifth of
// the time of a large analysis, and has it collected early when there is much: an
// analysis shall not need more than 64 MiB and twice the size of its captures. The
// limit is somewhat below, since the program's own pages do not count in it, and it is
// passed while a collection runs.
func boundMemory(list []analyzer.Point) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(48<<20 + 7*analyzer.Size(list)/4)
}

// choosePoints lists the points of a folder with a points.json, or those of --point
// followed by what is found in files and folders that nobody has labelled.
func choosePoints(ctx context.Context, args, flags []string, spool *analyzer.Spool) ([]analyzer.Point, error) {
	if len(args) == 0 && len(flags) == 0 {
		return nil, usage(errors.New("analyze needs a folder that holds captures, capture files, or --point HOP/FACE=FILE for each capture"))
	}
	var files []string
	for _, a := range args {
		in, labelled, err := filesOf(a)
		switch {
		case err != nil:
			return nil, err
		case labelled && len(args)+len(flags) > 1:
			return nil, usage(fmt.Errorf("%s has a points.json, which names all points: give nothing else", a))
		case labelled:
			return analyzer.LoadPoints(a)
		}
		files = append(files, in...)
	}
	var list []analyzer.Point
	for _, f := range flags {
		p, err := parsePoint(f)
		if err != nil {
			return nil, usage(err)
		}
		c, err := spool.Take(ctx, p.File)
		if err != nil {
			return nil, err
		}
		c.Interface = p.Interface
		p.File, p.Files = c.File, []analyzer.Capture{c}
		list = append(list, p)
	}
	var bare []analyzer.Capture
	for _, f := range files {
		file, name := cutInterface(f)
		c, err := spool.Take(ctx, file)
		if err != nil {
			return nil, err
		}
		c.Interface = name
		bare = append(bare, c)
	}
	found, err := analyzer.Discover(ctx, bare)
	if err != nil {
		return nil, err
	}
	return append(list, found...), nil
}

// filesOf lists the captures that an argument means; labelled is a folder whose
// points.json does.
func filesOf(arg string) (files []string, labelled bool, err error) {
	file, _ := cutInterface(arg)
	st, err := os.Stat(file)
	if file == "-" || err == nil && !st.IsDir() {
		return []string{arg}, false, nil
	}
	if err != nil {
		return nil, false, &analyzer.InputError{Kind: analyzer.ErrIO, File: arg, What: "no such file or folder", Fix: "give the captures, or the folder that holds them"}
	}
	for _, name := range []string{filepath.Join(arg, "points.json"), filepath.Join(arg, "captures", "points.json")} {
		if _, err := os.Stat(name); err == nil {
			return nil, true, nil
		}
	}
	files, err = analyzer.ListCaptures(arg)
	return files, false, err
}

// parsePoint reads HOP/FACE=FILE[#INTERFACE].
func parsePoint(s string) (p analyzer.Point, err error) {
	name, file, ok := strings.Cut(s, "=")
	hop, face, named := strings.Cut(name, "/")
	if !ok || !named || hop == "" || face == "" || file == "" {
		return p, fmt.Errorf("--point %s: must be HOP/FACE=FILE[#INTERFACE], such as firewall/feth11=in.pcap", s)
	}
	p = analyzer.Point{Name: name, Hop: hop, Face: face}
	p.File, p.Interface = cutInterface(file)
	return p, nil
}

// cutInterface reads FILE[#INTERFACE].
func cutInterface(arg string) (file, name string) {
	if at := strings.LastIndexByte(arg, '#'); at > 0 {
		if _, err := os.Stat(arg); err != nil { // a file may have # in its name
			return arg[:at], arg[at+1:]
		}
	}
	return arg, ""
}
