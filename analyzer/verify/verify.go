package verify

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/hopblame/hopblame/analyzer"
)

// Failure is a statement that is not confirmed.
type Failure struct {
	Verdict   int    `json:"verdict"`   // index; -1: of the report as a whole
	Request   string `json:"request"`   // client, server and id, for people
	Statement string `json:"statement"` // which
	Why       string `json:"why"`
}

// Result is what became of all statements; as JSON it is what verify --json prints.
type Result struct {
	SchemaVersion int       `json:"schema_version"`
	Verdicts      int       `json:"verdicts"`
	Statements    int       `json:"statements"`
	Confirmed     int       `json:"confirmed"`
	Failures      []Failure `json:"failures"` // in the order of the verdicts
}

// checker is the state of one verification.
type checker struct {
	report *analyzer.Report
	points map[string]*point
	plans  map[string]*plan
	result *Result
}

// point is a point of the report.
type point struct {
	index  int // in path order
	hop    string
	iface  string
	files  []string
	offset *[2]int64
}

// Run checks every statement of a report against the captures in a folder: a run
// directory, or a folder of captures. Errors about the input are of type
// [*analyzer.InputError]; a statement that fails is no error.
func Run(ctx context.Context, report *analyzer.Report, dir string) (*Result, error) {
	c := &checker{report: report, points: map[string]*point{}, plans: map[string]*plan{},
		result: &Result{SchemaVersion: analyzer.SchemaVersion, Verdicts: len(report.Verdicts), Failures: []Failure{}}}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	known, err := f.points()
	if err != nil {
		return nil, err
	}
	c.listPoints(known)
	trials := c.open()
	if err := c.read(ctx, f); err != nil {
		return nil, err
	}
	c.reportPoints(known)
	for _, t := range trials {
		t.exhibits(func(x *exhibit) {
			if p := c.plans[x.File]; p != nil {
				x.compare(p)
			}
			c.state(t.index, t.who, x.label(), x.why)
		})
		if t.v != nil {
			t.check()
		}
	}
	c.counts()
	return c.result, nil
}

// state records a statement; why "" confirms it.
func (c *checker) state(verdict int, request, statement, why string) {
	c.result.Statements++
	if why == "" {
		c.result.Confirmed++
		return
	}
	c.result.Failures = append(c.result.Failures, Failure{verdict, printable(request), printable(statement), printable(why)})
}

// printable makes somebody else's text fit to be shown on one line of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

// listPoints learns the points of the report. Where points.json knows one of them,
// it says hop and interface; else the hop is the name up to the slash.
func (c *checker) listPoints(known map[string]analyzer.Point) {
	for i := range c.report.Points {
		r := &c.report.Points[i]
		p := &point{index: i, hop: hopOf(r.Name), iface: r.Interface, files: []string{r.File}, offset: r.ClockOffset}
		if len(r.Files) > 0 { // a capture in several files
			p.files = r.Files
		}
		if k, ok := known[r.Name]; ok {
			p.hop = k.Hop
		}
		c.points[r.Name] = p
	}
}

func hopOf(name string) string {
	for i, r := range name {
		if r == '/' {
			return name[:i]
		}
	}
	return name
}

// open lists all evidence and plans the reading.
func (c *checker) open() []*trial {
	var trials []*trial
	for _, p := range c.points {
		for _, file := range p.files {
			c.plan(file).tally("")
			c.plan(file).tally(p.iface)
		}
	}
	for i := range c.report.Verdicts {
		v := &c.report.Verdicts[i]
		t := &trial{c: c, index: i, v: v, who: fmt.Sprintf("%s → %s", v.Request.Client, v.Request.Server)}
		if v.Request.ID != "" {
			t.who += " (id " + v.Request.ID + ")"
		}
		t.evidence = c.exhibits(v.Evidence, "")
		for h := range v.Eliminated {
			t.other = append(t.other, c.exhibits(v.Eliminated[h].Evidence, fmt.Sprintf("eliminated[%d].", h))...)
		}
		trials = append(trials, t)
	}
	report := &trial{c: c, index: -1}
	for i := range c.report.Findings {
		report.other = append(report.other, c.exhibits(c.report.Findings[i].Evidence, fmt.Sprintf("findings[%d].", i))...)
	}
	return append(trials, report)
}

func (c *checker) plan(file string) *plan {
	if c.plans[file] == nil {
		c.plans[file] = newPlan(file)
	}
	return c.plans[file]
}

// exhibits opens a list of evidence. Only files of the report's points are read.
func (c *checker) exhibits(es []analyzer.Evidence, where string) []*exhibit {
	out := make([]*exhibit, len(es))
	for i := range es {
		x := &exhibit{Evidence: &es[i], where: fmt.Sprintf("%sevidence[%d]", where, i)}
		switch p := c.points[x.Point]; {
		case p == nil:
			x.refuse("point %s is not among points", clip(x.Point))
		case !slices.Contains(p.files, x.File):
			x.refuse("point %s is in file %s, not in %s", x.Point, p.files[0], clip(x.File))
		default:
			x.iface = p.iface
		}
		x.inspect()
		if x.why == "" {
			c.plan(x.File).add(x)
		}
		out[i] = x
	}
	return out
}

// read goes through all files, a few at a time.
func (c *checker) read(ctx context.Context, f *folder) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range c.plans {
		in, err := f.open(p.file)
		if err != nil {
			_ = g.Wait() // the first error is enough
			return err
		}
		g.Go(func() error {
			defer in.Close()
			return p.read(ctx, in)
		})
	}
	return g.Wait()
}

// reportPoints checks what is said of the captures themselves and can be counted.
func (c *checker) reportPoints(known map[string]analyzer.Point) {
	shared, sum := map[string]int{}, map[string]uint64{}
	for i := range c.report.Points {
		r := &c.report.Points[i]
		shared[r.File]++
		sum[r.File] += r.Packets
	}
	for i := range c.report.Points {
		r := &c.report.Points[i]
		name := c.points[r.Name].iface
		if shared[r.File] > 1 && name == "" {
			why := "" // nothing says which packets are whose
			if all := c.plan(r.File).tally("").packets; sum[r.File] > all {
				why = fmt.Sprintf("%d are said in all points of %s, %d there are", sum[r.File], clip(r.File), all)
			}
			c.state(-1, "", fmt.Sprintf("points[%d]: %s, packets", i, r.Name), why)
			continue
		}
		t := c.total(c.points[r.Name])
		what := fmt.Sprintf("points[%d]: %s", i, r.Name)
		c.state(-1, "", what+", file", sameFile(r, known))
		c.state(-1, "", what+", packets", differ(r.Packets, t.packets))
		c.state(-1, "", what+", dropped", differ(r.Dropped, t.dropped))
		c.state(-1, "", what+", first and last", t.covers(r))
		c.state(-1, "", what+", clock_offset_ns", ordered(r.ClockOffset))
	}
}

// total sums what the files of a point hold.
func (c *checker) total(p *point) *tally {
	sum := *c.plan(p.files[0]).tally(p.iface)
	for _, file := range p.files[1:] {
		t := c.plan(file).tally(p.iface)
		sum.packets += t.packets
		sum.dropped += t.dropped
		sum.first, sum.last = min(sum.first, t.first), max(sum.last, t.last)
		sum.start, sum.end = earliest(sum.start, t.start, t.start == 0), max(sum.end, t.end)
		sum.interruption = t.interruption
	}
	return &sum
}

func sameFile(r *analyzer.PointReport, known map[string]analyzer.Point) string {
	if k, ok := known[r.Name]; ok && filepath.Base(filepath.FromSlash(k.File)) != filepath.Base(filepath.FromSlash(r.File)) {
		return fmt.Sprintf("points.json has %s for it, not %s", k.File, clip(r.File))
	}
	return ""
}

func differ[T int | uint64](said, is T) string {
	if said != is {
		return fmt.Sprintf("%d are said, %d there are", said, is)
	}
	return ""
}

// ordered sees that a clock offset is an interval, and no wider than any clock is
// wrong, so that sums of it and a time stay in their bounds.
func ordered(o *[2]int64) string {
	const most = 1 << 60 // 36 years
	if o != nil && (o[0] > o[1] || o[0] < -most || o[1] > most) {
		return fmt.Sprintf("%d to %d is no interval", o[0], o[1])
	}
	return ""
}

// covers checks the time that a capture is said to cover: from its first packet to
// its last, or as far as the interface's own statistics go beyond them.
func (t *tally) covers(r *analyzer.PointReport) string {
	first, last := r.First.UnixNano(), r.Last.UnixNano()
	switch {
	case t.packets == 0:
		return ""
	case first != t.first && (t.interruption || t.start == 0 || first != min(t.first, t.start)):
		return "first is neither its first packet's time nor the start of its statistics"
	case last != t.last && (t.interruption || t.end == 0 || last != max(t.last, t.end)):
		return "last is neither its last packet's time nor the end of its statistics"
	}
	return ""
}

// counts checks the totals.
func (c *checker) counts() {
	r := c.report.Requests
	c.state(-1, "", "requests.failed", differ(r.Failed, len(c.report.Verdicts)))
	why := ""
	if r.OK < 0 || r.Failed < 0 || r.Seen < r.OK+r.Failed {
		why = fmt.Sprintf("%d seen cannot be %d ok and %d failed", r.Seen, r.OK, r.Failed)
	}
	c.state(-1, "", "requests.seen", why)
	for i, f := range c.report.Findings {
		why := ""
		if f.Requests < 0 {
			why = "less than none"
		}
		c.state(-1, "", fmt.Sprintf("findings[%d].requests", i), why)
	}
}
