package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/internal/tlstap"
)

// maxPoints is more than anyone captures at, and keeps point sets small.
const maxPoints = 64

// Options tunes an analysis. The zero value is right.
type Options struct {
	Workers  int            // files read at a time; 0: one a CPU
	Progress func(Progress) // called now and then, from any goroutine but never twice at once; nil: not called
	KeyLog   io.Reader      // secrets of TLS connections in NSS's key log format, beside those in F5 trailers; nil: none
	// KeyLogName is what the key log is called in errors; "": the key log.
	KeyLogName string
	AnyOrder   bool // the points are in no order, as on a command line; false: in path order, unless some have no hop
}

// Progress tells how far an analysis has come.
type Progress struct {
	Phase       string // "survey" or "collect"
	Bytes, Size int64  // read in this phase, and to be read; Size is 0 if unknown
	Packets     uint64 // in this phase
}

// analysis is the state of one run of Analyze.
type analysis struct {
	points   []Point
	sources  [][]source // the files of each point, in order of time
	o        Options
	surveys  []*survey
	topo     *pathFinder
	cal      *calibration
	order    *pointOrder // nil: the points came in path order
	groups   [][]int     // points that belong together, if not all do; requests are followed in each
	report   *Report
	progress sync.Mutex
	// Of the second pass:
	cols   []*collection
	wanted *wanted
	// Of what is in TLS:
	keys       *tlstap.KeyRing
	hidden     map[*survey][]failure
	tied       bool          // trailers tie what the proxy does to sealed connections
	ownerless  []*conclusion // on connections of the proxy that nothing ties to a request
	sealedOpen int           // attempts of the proxy of which nobody knows whether a request failed with them
}

// Analyze reads the captures of all points, which are in path order with the
// client end first, and judges every failed request. Where some points have no
// hop, or with [Options.AnyOrder], the order is found out from the captures;
// points without a hop are then called p1…pn in path order. Errors about the
// input are of type *[InputError]; a damaged tail is a warning in the report.
func Analyze(ctx context.Context, points []Point, o Options) (*Report, error) {
	if err := checkPoints(points); err != nil {
		return nil, &InputError{Kind: ErrMalformed, File: "points", What: err.Error()}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	points = mergePoints(points)
	a := &analysis{points: slices.Clone(points), o: o, keys: &tlstap.KeyRing{}, hidden: map[*survey][]failure{}, report: &Report{SchemaVersion: SchemaVersion, Verdicts: []Verdict{}, Findings: []Finding{}, Warnings: []string{}}}
	if o.KeyLog != nil {
		if err := a.keys.ReadKeyLog(o.KeyLog); err != nil {
			return nil, keyLogError(o.KeyLogName, err)
		}
	}
	spool := &Spool{}
	defer spool.Close()
	if err := a.prepare(ctx, spool); err != nil {
		return nil, err
	}
	if err := a.findPath(ctx); err != nil {
		return nil, err
	}
	for _, s := range a.surveys {
		a.keys.AddAll(s.secrets)
	}
	steadyClocks(a.surveys)
	inferSides(a.surveys)
	for i, s := range a.surveys {
		a.points[i] = s.point
	}
	a.topo = newPathFinder(a.surveys, a.order)
	a.cal = calibrate(a.surveys, a.topo)
	requests, err := a.findRequests(ctx)
	if err != nil {
		return nil, err
	}
	a.describePoints()
	if requests == nil {
		a.warn("no requests were seen at any point")
		return a.report, nil
	}
	for _, s := range requests {
		if a.hidden[s], err = a.sealedFailures(ctx, s); err != nil {
			return nil, err
		}
	}
	for _, s := range a.surveys {
		s.conns.forget() // what was odd about any is remembered elsewhere
	}
	if err := a.judgeAll(ctx, requests); err != nil {
		return nil, err
	}
	return a.report, nil
}

// keyLogError says what is wrong with a key log; never what is in it.
func keyLogError(name string, err error) error {
	if name == "" {
		name = "the key log"
	}
	if errors.Is(err, tlstap.ErrNoKeys) {
		return &InputError{Kind: ErrMalformed, File: name, Err: err, Fix: "give the file that SSLKEYLOGFILE named when the requests were sent"}
	}
	return &InputError{Kind: ErrIO, File: name, What: "cannot be read", Err: plain(err)}
}

func (a *analysis) warn(format string, args ...any) {
	a.report.Warnings = append(a.report.Warnings, fmt.Sprintf(format, args...))
}

// findPath surveys the points and sees that they are in path order, or brings
// them into it. Only then is it known where requests are to be followed; where
// the order is given, the point is known beforehand.
func (a *analysis) findPath(ctx context.Context) error {
	if a.toInfer() {
		if err := a.survey(ctx, -1); err != nil {
			return err
		}
		return a.infer()
	}
	if err := a.survey(ctx, a.firstPoint(a.all())); err != nil {
		return err
	}
	return checkOrder(a.surveys)
}

// all returns the indices of all points.
func (a *analysis) all() []int {
	out := make([]int, len(a.points))
	for i := range out {
		out[i] = i
	}
	return out
}

// firstPoint returns which of some points is where clients' requests are to be
// looked for first.
func (a *analysis) firstPoint(of []int) int {
	for _, i := range of {
		if a.points[i].Side != Serverside {
			return i
		}
	}
	return of[0]
}

// survey runs the first pass; requests are followed at point start, or at none
// if it is -1: then the order of the points is to be inferred.
func (a *analysis) survey(ctx context.Context, start int) error {
	a.surveys = make([]*survey, len(a.points))
	return a.eachPoint(ctx, "survey", func(i int, read reader) error {
		s := a.newSurvey(i, i == start)
		if start < 0 {
			s.clues = newClues()
		}
		err := s.run(a.sources[i], read)
		a.surveys[i] = s
		return err
	})
}

// run reads the point's captures.
func (s *survey) run(sources []source, read reader) error {
	var pk packet
	if err := read(func(link uint16, f pcapng.Packet) { s.take(link, f, &pk) }); err != nil {
		return err
	}
	s.sources = sources
	for k := range s.sources {
		f := &s.sources[k]
		s.lastFrame = f.base + f.frames
		s.damage = f.damage // of the last file: a hole between files shows in the times
		for n := range f.known {
			if in := &f.known[n]; f.wants(n, in) {
				s.describe(in)
			}
		}
	}
	s.end()
	return nil
}

// describe adds what the file tells of one of the point's interfaces.
func (s *survey) describe(in *pcapng.InterfaceInfo) {
	s.addrs = append(s.addrs, in.Addresses...)
	lost := in.Lost()
	if !in.HasStatistics && lost == 0 {
		return
	}
	s.hasISB = true
	s.stats.Dropped += lost
	s.stats.Received += in.Statistics.Received
	if t := in.Statistics.Start; !t.IsZero() && (s.stats.Start.IsZero() || t.Before(s.stats.Start)) {
		s.stats.Start = t
	}
	if t := in.Statistics.End; t.After(s.stats.End) {
		s.stats.End = t
	}
}

// findRequests returns the surveys of the points where requests start: of the
// first in path order that saw any. Points that nothing ties together have one
// each.
func (a *analysis) findRequests(ctx context.Context) ([]*survey, error) {
	groups := a.groups
	if len(groups) == 0 {
		groups = [][]int{a.all()}
	}
	var out []*survey
	for _, g := range groups {
		s, err := a.firstRequests(ctx, g)
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, s)
		}
	}
	return out, nil
}

// group returns the points that belong together with one; nil: all do.
func (a *analysis) group(of *survey) []int {
	for _, g := range a.groups {
		if slices.Contains(g, of.index) {
			return g
		}
	}
	return nil
}

func (a *analysis) firstRequests(ctx context.Context, group []int) (*survey, error) {
	start := a.firstPoint(group)
	for _, i := range group {
		if i < start || i != start && a.surveys[i].conns.len() == 0 {
			continue
		}
		if err := a.follow(ctx, i); err != nil {
			return nil, err
		}
		for _, v := range a.surveys[i].servers {
			if v.counts.Seen > 0 {
				return a.surveys[i], nil
			}
		}
	}
	return nil, nil
}

// follow reads a point once more if its requests were not followed before, or some were
// in TLS whose keys are known only since the trailers of all points were read.
func (a *analysis) follow(ctx context.Context, i int) error {
	was := a.surveys[i]
	if was.log != nil && (was.log.sealed == 0 || was.log.opensWith == a.keys.Len()) {
		return nil
	}
	was.conns, was.names = connTable{}, interner{} // not both at a time
	return a.read(ctx, i, &counter{}, func(_ int, read reader) error {
		s := a.newSurvey(i, true)
		err := s.run(a.sources[i], read)
		s.steadyAs(was)
		for e, v := range was.servers {
			if s.servers[e] != nil {
				s.servers[e].side = v.side
			}
		}
		a.surveys[i], a.topo.surveys[i], a.cal.surveys[i] = s, s, s
		if a.keys.Len() > 0 {
			a.cal.proxy = a.cal.measureProxy() // it now has requests inside TLS to go by
		}
		return err
	})
}

func (a *analysis) describePoints() {
	for i, s := range a.surveys {
		r := PointReport{Name: s.point.Name, File: s.point.File, Interface: s.sources[0].Interface, Packets: s.packets, Dropped: s.stats.Dropped}
		if s.packets > 0 || s.hasISB {
			from, to := s.says()
			r.First, r.Last = stamp(from), stamp(to)
		}
		r.Loss[0], r.Loss[1] = a.cal.losses[i].bounds()
		if off := a.cal.offsetFromFirst(i); i == 0 || off.bounded() {
			r.ClockOffset = &[2]int64{off.lo, off.hi}
		}
		if len(s.sources) > 1 {
			for k := range s.sources {
				r.Files = append(r.Files, s.sources[k].File)
			}
		}
		a.report.Points = append(a.report.Points, r)
		a.warnOfPoint(s)
	}
	a.report.Links = a.links()
}

// warnOfPoint says what makes a point's captures worth less.
func (a *analysis) warnOfPoint(s *survey) {
	file := s.files()
	damaged := false
	for k := range s.sources {
		if f := &s.sources[k]; f.damage != nil {
			damaged = true
			a.warn("%s: %s; what follows is treated as not covered", f.File, f.damage.Error())
		}
	}
	switch {
	case damaged:
	case s.packets == 0 && s.sources[0].Interface != "":
		a.warn("%s: no packets of interface %s; point %s proves nothing", file, s.sources[0].Interface, s.point.Name)
	case s.packets == 0:
		a.warn("%s: no packets; point %s proves nothing", file, s.point.Name)
	case s.conns.len() == 0:
		a.warn("%s: none of its %d frames is TCP over IP; point %s proves nothing", file, s.packets, s.point.Name)
	}
	for k, e := range s.epochs {
		if k > 0 && e.step != s.epochs[k-1].step {
			in, number := s.locate(e.frame)
			a.warn("%s: its clock was set by about %v at frame %d; times from there on are corrected", in,
				time.Duration(e.step-s.epochs[k-1].step).Round(time.Millisecond), number)
		}
	}
	if s.stats.Dropped > 0 {
		a.warn("%s: its capture dropped %d packets", file, s.stats.Dropped)
	}
	if s.duplicates > 0 {
		a.warn("%s: %d of %d frames are duplicates within 1 ms (SPAN or -i any): taken once", file, s.duplicates, s.packets)
	}
	if s.unmatched > 0 {
		a.warn("%s: %d IP fragments follow no first one and belong to no connection that is known", file, s.unmatched)
	}
}

// reader streams the frames of all files of a point to f.
type reader func(f func(link uint16, p pcapng.Packet)) error

// counter sums the progress of a phase.
type counter struct {
	phase   string
	size    int64
	bytes   atomic.Int64
	packets atomic.Uint64
}

// eachPoint reads all points' files, the largest first, a few at a time.
func (a *analysis) eachPoint(ctx context.Context, phase string, f func(i int, read reader) error) error {
	order := make([]int, len(a.points))
	sizes := make([]int64, len(a.points))
	n := &counter{phase: phase}
	for i := range a.points {
		order[i] = i
		for k := range a.sources[i] {
			sizes[i] += a.sources[i][k].size()
		}
		n.size += sizes[i]
	}
	slices.SortStableFunc(order, func(x, y int) int { return int(max(-1, min(1, sizes[y]-sizes[x]))) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(a.o.Workers, len(order)) {
		wg.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= len(order) || ctx.Err() != nil {
					return
				}
				if err := a.read(ctx, order[k], n, f); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
