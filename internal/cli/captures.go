package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/spf13/cobra"
)

// captures is what the verbs that analyse captures are given.
type captures struct {
	labels []string // --point
	keylog string
	spool  analyzer.Spool
	points []analyzer.Point // once they are chosen
}

func (in *captures) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&in.labels, "point", nil, "capture of one face, as `HOP/FACE=FILE[#INTERFACE]`; repeat it for each capture, in any order, and for the files of a rotation")
	f.StringVar(&in.keylog, "keylog", "", "read secrets of TLS sessions from `FILE`, in the format of SSLKEYLOGFILE")
}

// close gives up what was kept of pipes.
func (in *captures) close() { in.spool.Close() }

// analyze chooses the points and analyses them, with a progress bar.
func (in *captures) analyze(c *cobra.Command, args []string) (*analyzer.Report, error) {
	in.spool.Stdin = c.InOrStdin()
	var err error
	if in.points, err = choosePoints(c.Context(), c.Name(), args, in.labels, &in.spool); err != nil {
		return nil, err
	}
	o := analyzer.Options{AnyOrder: len(in.labels) > 0}
	if in.keylog != "" {
		keys, err := os.Open(in.keylog)
		if err != nil {
			return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: in.keylog, What: "cannot be opened", Err: errno(err), Fix: "give the file that SSLKEYLOGFILE named when the requests were sent"}
		}
		defer keys.Close()
		o.KeyLog, o.KeyLogName = keys, in.keylog
	}
	boundMemory(in.points)
	bar := newProgress(c.ErrOrStderr())
	defer bar.close()
	o.Progress = func(p analyzer.Progress) {
		bar.show(scenarios.Progress{Phase: "analyze", Bytes: p.Bytes, TotalBytes: p.Size})
	}
	return analyzer.Analyze(c.Context(), in.points, o)
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
func choosePoints(ctx context.Context, verb string, args, flags []string, spool *analyzer.Spool) ([]analyzer.Point, error) {
	if len(args) == 0 && len(flags) == 0 {
		return nil, usage(fmt.Errorf("%s needs a folder that holds captures, capture files, or --point HOP/FACE=FILE for each capture", verb))
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
