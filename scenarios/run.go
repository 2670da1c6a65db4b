package scenarios

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/sim"
)

// Options tunes a run. The zero value runs the scenario as written, with a fresh
// seed, and keeps nothing.
type Options struct {
	Requests    int     // 0: as the scenario says
	Concurrency int     // 0: as the scenario says
	Seed        *uint64 // nil: a fresh one, reported in the result
	Out         string  // run directory; "" keeps nothing
	// Captures is which part of them is kept, and analyzed; "" means [KeepAll]. While a
	// run lasts they are there whole.
	Captures Kept
	SnapLen  int    // bytes of each frame that are kept, tcpdump's -s; 0: all
	Language string // of report.html, of page.Languages; "": English
	Progress func(Progress)
	// Watch is told a few times a second what has been counted at each point and of each
	// fault, see [sim.Config]; nil for nobody.
	Watch func(sim.Counts)
	// Configure has the last word on what is run, such as somebody else's
	// client; nil changes nothing.
	Configure func(*sim.Config)
}

// Progress is how far a run has come.
type Progress struct {
	Phase               string // "build", "traffic", "teardown", "analyze"
	Done, Total, Failed int    // requests
	Bytes, TotalBytes   int64  // of captures, while analyzing
}

// ErrNoSpace says that a disk is too small for a run's captures.
var ErrNoSpace = errors.New("not enough disk space")

// With returns a copy of s with a run's options applied.
func (s *Scenario) With(o Options) *Scenario {
	c := *s
	if o.Requests != 0 {
		c.Traffic.Requests = o.Requests
	}
	if o.Concurrency != 0 {
		c.Traffic.Concurrency = o.Concurrency
	}
	return &c
}

// Run plays a scenario, has the captures analyzed, and scores the verdicts
// against the truth. The result of a run that fails its own checks is not Valid
// and is scored all the same; nobody should be judged by it.
//
// An error means that there is no result; what was written to the run directory
// by then is taken back.
func Run(ctx context.Context, s *Scenario, o Options) (*Result, error) {
	s = s.With(o)
	if err := errors.Join(s.Validate(), o.checkKept(), page.Options{Language: o.Language}.Validate()); err != nil {
		return nil, err
	}
	seed, err := seedOf(o)
	if err != nil {
		return nil, err
	}
	config := s.Config(seed)
	if o.Configure != nil {
		o.Configure(&config)
	}
	dir, err := openRunDir(o.Out, s.captured(config.Requests))
	if err != nil {
		return nil, err
	}
	defer dir.close()
	result, err := play(ctx, s, config, dir, o)
	if err != nil {
		return nil, errors.Join(err, dir.abandon())
	}
	return result, nil
}

// play is the run proper; with an error, what it has written is not whole.
func play(ctx context.Context, s *Scenario, config sim.Config, dir *runDir, o Options) (*Result, error) {
	config.Create = dir.create
	if s.Traffic.logsKeys() {
		keys, err := dir.createKeyLog()
		if err != nil {
			return nil, err
		}
		config.KeyLog = keys
	}
	if o.Progress != nil {
		config.Progress = func(p sim.Progress) {
			o.Progress(Progress{Phase: p.Phase, Done: p.Done, Total: p.Total, Failed: p.Failed})
		}
	}
	config.Watch = o.Watch
	facts, err := sim.Run(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := dir.thin(o, facts); err != nil {
		return nil, err
	}
	observers, err := dir.observe(&s.Observe, facts)
	if err != nil {
		return nil, err
	}
	result := newResult(s, facts, dir.trueFiles())
	if result.Settings.SnapLen = o.SnapLen; o.Captures != KeepAll {
		result.Settings.Captures = o.Captures
	}
	result.Observers = observers
	if result.Truths, err = truths(facts, s.Expect); err != nil {
		return nil, err
	}
	if err := dir.writeTruth(facts, result.Truths); err != nil {
		return nil, err
	}
	if o.Configure == nil { // what it has done no file can say
		if err := dir.writeScenario(s, &config); err != nil {
			return nil, err
		}
	}
	points, err := dir.writePoints(facts)
	if err != nil {
		return nil, err
	}
	if err := result.analyze(ctx, points, dir.readKeyLog(), o); err != nil {
		return nil, err
	}
	return result, dir.writeResult(ctx, points, result, o.Language)
}

// analyze hands the captures, and only those, to the analyzer; of TLS also the keys, as
// one would have them from the client or the f5.
func (r *Result) analyze(ctx context.Context, points []analyzer.Point, keys io.Reader, o Options) error {
	start := time.Now()
	var progress func(analyzer.Progress)
	if o.Progress != nil {
		progress = func(p analyzer.Progress) {
			o.Progress(Progress{Phase: "analyze", Bytes: p.Bytes, TotalBytes: p.Size})
		}
	}
	report, err := analyzer.Analyze(ctx, points, analyzer.Options{Progress: progress, KeyLog: keys})
	if err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	r.Timing.Analyze = seconds(time.Since(start))
	r.Report = report
	r.Score = ScoreVerdicts(r.Truths, report.Verdicts)
	return nil
}

func seedOf(o Options) (uint64, error) {
	if o.Seed != nil {
		return *o.Seed, nil
	}
	return FreshSeed()
}

// FreshSeed returns a seed that nobody has chosen.
func FreshSeed() (uint64, error) {
	// 32 bits: short to type, and exact in every JSON reader.
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("choose a seed: %w", err)
	}
	return uint64(binary.BigEndian.Uint32(b[:])), nil
}
