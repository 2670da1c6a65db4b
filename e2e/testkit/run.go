package testkit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Options tunes a [Run]. The zero value plays the scenario as written, with programs of
// our own.
type Options struct {
	Requests    int // 0: as the scenario says, which may be 20,000
	Concurrency int // 0: as the scenario says
	// Seed decides all that is random. nil: by Ginkgo's own seed (ginkgo --seed) and the
	// spec's text; it is in the report.
	Seed *uint64

	// Captures is which part of the captures is kept, and analyzed, as hopblame run
	// --captures says it; "" means [scenarios.KeepAll].
	Captures scenarios.Kept
	// SnapLen is how many bytes of each frame are, as --snaplen says it; 0: all.
	SnapLen int

	// Proxy starts another full proxy in the f5's place; nil is our own. See
	// [ProxyProgram] for a program, and [sim.Config] for what it has to do. Nobody tells
	// a fault which request it dials for, so faults per connection are then per tuple,
	// with the same probability: a seeded hash of addresses and ports decides. A proxy
	// that takes what ports it likes makes it chance which requests they hit.
	Proxy func(ctx context.Context, at Place) (sim.Proxy, error)
	// Server starts another server on each pool member; nil is our own. See
	// [ServerProgram] for a program. It has to answer when it returns.
	Server func(ctx context.Context, at Place) (io.Closer, error)
	// Client sends the batch from another client; nil is our own. See [EachRequest] for
	// one in Go, and [sim.Config] for what it has to do.
	Client func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error)
	// Configure has the last word on what is run; nil changes nothing.
	Configure func(*sim.Config)
}

// foreign says whether there are parts that no scenario file can name.
func (o *Options) foreign() bool {
	return o.Proxy != nil || o.Server != nil || o.Client != nil || o.Configure != nil
}

// Result is a run with its score.
type Result struct {
	*scenarios.Result
	// Dir is the run directory: captures, truth, verdicts. It is removed when the spec
	// has passed.
	Dir string
	// Repeat are commands that play the same again, the shortest first.
	Repeat []string

	told bool // a matcher has said how a request went
}

// Run plays a scenario inside a spec, or in a BeforeAll or BeforeEach, and returns what
// became of it. It fails the spec where there is no result, and skips it where the machine
// cannot play it: see [Require]. What the result is worth is up to the matchers.
//
// When the spec has passed nothing is left. When it has failed the report has the seed, the
// commands that play it again, and how one of the failed requests went; and the run
// directory is kept, in the folder that HOPBLAME_ARTIFACTS names, or else in the one for
// temporary files, with what somebody else's programs wrote beside it. When the spec ends, passed or not, all that the run has
// started must have ended: see [CheckLeaks].
//
// Of several opts only one can be.
func Run(ctx ginkgo.SpecContext, s *scenarios.Scenario, opts ...Options) *Result {
	ginkgo.GinkgoHelper()
	var o Options
	switch len(opts) {
	case 0:
	case 1:
		o = opts[0]
	default:
		ginkgo.Fail("testkit.Run: several Options: give one")
	}
	of := subjectOf(ginkgo.CurrentSpecReport())
	seed := of.seed(ginkgo.GinkgoRandomSeed(), of.nextRun())
	if o.Seed != nil {
		seed = *o.Seed
	}
	ginkgo.AddReportEntry("seed", fmt.Sprintf("%d of %s", seed, s.Name), ginkgo.ReportEntryVisibilityFailureOrVerbose)

	folder, err := newFolder(of.text, ginkgo.GinkgoParallelProcess())
	if err != nil {
		ginkgo.Fail("testkit.Run: " + err.Error())
	}
	keepOnFailure(folder)
	CheckLeaks()
	dir := filepath.Join(folder, runFolder)
	result, err := scenarios.Run(ctx, s, scenarios.Options{Requests: o.Requests, Concurrency: o.Concurrency, Seed: &seed, Out: dir,
		Captures: o.Captures, SnapLen: o.SnapLen, Configure: o.configure(folder)})
	if err != nil {
		cannot(fmt.Sprintf("%s, seed %d: ", s.Name, seed), tooLong(ctx, s, &o, err))
	}
	r := &Result{Result: result, Dir: dir, Repeat: repeatCommands(of, ginkgo.GinkgoRandomSeed(), dir, s, &o, result)}
	ginkgo.AddReportEntry("repeat", strings.Join(r.Repeat, "\n"), ginkgo.ReportEntryVisibilityFailureOrVerbose)
	if len(result.Report.Verdicts) > 0 {
		ginkgo.DeferOnFailure(func() {
			if r.told {
				return // by the matcher that missed
			}
			ginkgo.AddReportEntry("ladder", r.ladderOf(&result.Report.Verdicts[0]), ginkgo.ReportEntryVisibilityFailureOrVerbose)
		})
	}
	return r
}

// tooLong adds to what ended a run, where that is the spec's time, how to do with it.
func tooLong(ctx context.Context, s *scenarios.Scenario, o *Options, err error) error {
	if cause := context.Cause(ctx); cause == nil || !strings.HasSuffix(cause.Error(), "timeout occurred") { // Ginkgo's words
		return err
	}
	n := s.With(scenarios.Options{Requests: o.Requests}).Config(0).Requests
	return fmt.Errorf("%w before %s requests had been played and judged: give the spec a longer SpecTimeout, or Options fewer Requests", err, digits.Group(n))
}

// keepOnFailure removes a run's folder with the spec, unless that has failed and there is
// something in it: then the report says where it is.
func keepOnFailure(folder string) {
	kept := false
	ginkgo.DeferCleanup(func() error {
		if kept {
			return nil
		}
		return os.RemoveAll(folder)
	})
	ginkgo.DeferOnFailure(func() {
		if entries, err := os.ReadDir(folder); err == nil && len(entries) == 0 {
			return
		}
		kept = true
		ginkgo.AddReportEntry("kept", folder, ginkgo.ReportEntryVisibilityFailureOrVerbose)
	})
}

// configure puts other people's parts in their places; nil if there are none. Their files
// go below a folder.
func (o *Options) configure(folder string) func(*sim.Config) {
	if !o.foreign() {
		return nil
	}
	return func(c *sim.Config) {
		c.Send = o.Client
		if o.Proxy != nil {
			c.Proxy = o.proxy(folder)
			c.Faults = perTuple(c.Faults)
		}
		if o.Server != nil {
			c.Server = o.server(folder)
		}
		if o.Configure != nil {
			o.Configure(c)
		}
	}
}

// perTuple returns faults of which none has to be told what a connection is for.
func perTuple(faults []fault.Fault) (list []fault.Fault) {
	for _, f := range faults {
		if f.Per == fault.PerConnection && !f.Acts() {
			f.Per = fault.PerTuple
		}
		list = append(list, f)
	}
	return list
}
