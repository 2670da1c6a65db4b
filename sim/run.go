package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Config is everything that decides a run.
type Config struct {
	Family      topology.Family // "" means IPv4
	Serverside  bigip.TCPProfile
	Trailer     bigip.TrailerFormat
	Requests    int
	Concurrency int
	Faults      []fault.Fault
	Seed        uint64

	// Send sends the batch from the client; nil means our own client. Another
	// one — curl, say — must put each request's ordinal into X-Request-ID for
	// faults per connection to find it, and return a record for each.
	Send func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error)
	// Create makes the file of a capture point; required.
	Create func(*capture.Point) (io.WriteCloser, error)
	// Progress is told of the run, often and from several goroutines; nil for nobody.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Phase               string // "build", "traffic", "teardown"
	Done, Total, Failed int    // requests
}

// Facts are what happened in a run.
type Facts struct {
	Config   Config
	Requests []client.Record
	Flows    []*bigip.Flow // serverside connections, in the order they were opened
	Ledger   []Hit         // every packet a fault hit
	Reports  []fault.Report
	Captures []capture.Result
	Planned  []Planned
	Balances []Balance
	Settings map[string]map[string]string // sysctls by node
	Kernel   string                       // release, as uname -r says
	Timing   Timing

	problems []string // of the run itself; see Check
	segments map[string]uint64
}

// Timing is how long the parts of a run took.
type Timing struct{ Build, Traffic, Teardown time.Duration }

// Hit is an entry of the ledger with the request it belongs to.
type Hit struct {
	fault.Entry
	Ordinal, Attempt int
	Flow             *bigip.Flow // nil if no flow of the proxy matches: INVALID
}

// Planned is a connection that a fault is to hit.
type Planned struct {
	Fault            string
	Ordinal, Attempt int
}

// Spec returns the lab's wiring: the standard lab, with a middle in every link
// that a fault is on.
func (c *Config) Spec() (topology.Spec, error) {
	spec, err := topology.Standard(c.Family)
	for _, f := range c.Faults {
		if err == nil && f.IsLink() {
			if _, known := spec.Link(f.At); known { // else Validate says so
				spec, err = spec.WithMiddle(f.At)
			}
		}
	}
	return spec, err
}

// Validate reports what in c cannot be run, without running anything.
func (c *Config) Validate() error {
	spec, err := c.Spec()
	if err != nil {
		return err
	}
	proxy, batch := c.proxy(), c.batch()
	errs := []error{proxy.Validate(), batch.Validate()}
	seen := map[string]bool{}
	for _, f := range c.Faults {
		errs = append(errs, f.Validate(&spec))
		if seen[f.Name] {
			errs = append(errs, fmt.Errorf("fault %s: named twice", f.Name))
		}
		seen[f.Name] = true
	}
	return errors.Join(errs...)
}

func (c *Config) proxy() bigip.Config {
	a := topology.StandardAddresses(c.Family)
	return bigip.Config{
		VirtualServer: bigip.VirtualServer{Name: "/Common/vs_batch_8165", Destination: a.VIP},
		Pool:          []bigip.Member{{Name: topology.Server1, Address: a.Server1}, {Name: topology.Server2, Address: a.Server2}},
		SNAT:          a.SNAT,
		Serverside:    c.Serverside,
		Format:        c.Trailer,
	}
}

func (c *Config) batch() client.Batch {
	a := topology.StandardAddresses(c.Family)
	return client.Batch{Server: a.VIP, Local: a.Client, Requests: c.Requests, Concurrency: c.Concurrency}
}

// crosses says whether the way from the f5 to a pool member leads over a place.
func crosses(spec *topology.Spec, member, place string) bool {
	return slices.Contains(spec.Path(topology.F5, member), place)
}

// Plan returns the connections that faults per connection or per tuple will hit,
// by request; predictable says whether there are only such faults. It needs no
// privilege and runs nothing.
func (c *Config) Plan() (planned []Planned, predictable bool, err error) {
	if err := c.Validate(); err != nil {
		return nil, false, err
	}
	spec, err := c.Spec()
	if err != nil {
		return nil, false, err
	}
	proxy := c.proxy()
	predictable = true
	for i := range c.Faults {
		f := &c.Faults[i]
		if f.Per == fault.PerPacket && f.Probability != 0 && f.Probability != 1 {
			predictable = false
			continue
		}
		reached := map[int]bool{}
		for m, member := range proxy.Pool {
			reached[m] = crosses(&spec, member.Name, f.At)
		}
		for o := range c.Requests {
			m := proxy.MemberFor(o, 0)
			if reached[m] && c.fate(f, o, client.Port(o), proxy.Pool[m]) {
				planned = append(planned, Planned{Fault: f.Name, Ordinal: o})
			}
		}
	}
	slices.SortStableFunc(planned, func(a, b Planned) int { return a.Ordinal - b.Ordinal })
	return planned, predictable, nil
}

func (c *Config) fate(f *fault.Fault, ordinal int, clientPort uint16, m bigip.Member) bool {
	switch f.Per {
	case fault.PerTuple:
		snat := netip.AddrPortFrom(c.proxy().SNAT, bigip.SNATPort(clientPort))
		return f.TupleFate(c.Seed, fault.Tuple(snat, m.Address))
	case fault.PerPacket:
		return f.Probability == 1
	}
	return f.Fate(c.Seed, ordinal, 0)
}

// firstLogGroup is the NFLOG group of the first fault; each has its own.
const firstLogGroup = 7

// Run builds the lab, sends the batch through it, and takes it down. Whatever
// the error, nothing is left behind.
func Run(ctx context.Context, c Config) (*Facts, error) {
	f := &Facts{Config: c}
	var err error
	if f.Planned, _, err = c.Plan(); err != nil {
		return nil, err
	}
	// With as many threads as processors the taps' reader and the event loops
	// wait for each other; more are cheap.
	if runtime.GOMAXPROCS(0) < 4 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	}
	if err := c.checkDescriptors(); err != nil {
		return nil, err
	}
	c.report(Progress{Phase: "build", Total: c.Requests})
	start := time.Now()
	spec, err := c.Spec()
	if err != nil {
		return nil, err
	}
	lab, err := topology.Build(ctx, spec)
	if err != nil {
		return nil, err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		f.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	r := &run{facts: f, lab: lab}
	f.Settings = lab.Settings()
	err = r.play(ctx, start)
	begin := time.Now()
	err = errors.Join(err, r.close())
	f.Timing.Teardown += time.Since(begin)
	if err != nil {
		return nil, err
	}
	f.join()
	f.balance()
	return f, nil
}

// descriptorsPerRequest: the client's, the proxy's two, the server's.
const descriptorsPerRequest = 4

// checkDescriptors sees that as many sockets can be open as there will be.
func (c *Config) checkDescriptors() error {
	const own = 256
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if need := uint64(c.Concurrency*descriptorsPerRequest + own); limit.Cur < need {
		return &topology.UnsupportedError{Feature: fmt.Sprintf("having %d requests in flight", c.Concurrency),
			Why: fmt.Sprintf("%d files may be open, %d would be", limit.Cur, need), Fix: "ulimit -n, or a lower --concurrency"}
	}
	return nil
}

func (c *Config) report(p Progress) {
	if c.Progress != nil {
		c.Progress(p)
	}
}

// run is a lab with its actors.
type run struct {
	facts     *Facts
	lab       *topology.Lab
	injectors []*fault.Injector
	reached   map[*fault.Injector]map[netip.AddrPort]bool // members behind the fault
	session   *capture.Session
	backends  []*backend.Server
	proxy     *bigip.Proxy
}

// play is the run from the first actor to the last packet.
func (r *run) play(ctx context.Context, start time.Time) error {
	c := &r.facts.Config
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := r.startActors(ctx, cancel); err != nil {
		return err
	}
	before, err := r.serverSegments()
	if err != nil {
		return err
	}
	r.facts.Timing.Build = time.Since(start)

	begin := time.Now()
	batch := c.batch()
	batch.Progress = func(done, failed int) {
		c.report(Progress{Phase: "traffic", Done: done, Total: c.Requests, Failed: failed})
	}
	send := c.Send
	if send == nil {
		send = client.Run
	}
	if r.facts.Requests, err = send(ctx, r.lab.Host(topology.Client), batch); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause // a full disk, say, rather than "cancelled"
		}
		return err
	}
	r.facts.Timing.Traffic = time.Since(begin)

	begin = time.Now()
	c.report(Progress{Phase: "teardown", Done: c.Requests, Total: c.Requests})
	if err := r.lab.AwaitQuiet(ctx); err != nil {
		return err
	}
	after, err := r.serverSegments()
	if err != nil {
		return err
	}
	r.facts.segments = map[string]uint64{}
	for server := range after {
		r.facts.segments[server] = after[server] - before[server]
	}
	err = r.collect(ctx)
	r.facts.Timing.Teardown = time.Since(begin)
	return err
}

// startActors starts everything but the client; failed is told when a capture breaks
// off.
func (r *run) startActors(ctx context.Context, failed func(error)) (err error) {
	c := &r.facts.Config
	proxy := c.proxy()
	spec := r.lab.Spec()
	r.reached = map[*fault.Injector]map[netip.AddrPort]bool{}
	for n, f := range c.Faults {
		i, err := fault.Inject(r.lab, f, c.Seed, uint16(firstLogGroup+n))
		if err != nil {
			return err
		}
		r.injectors = append(r.injectors, i)
		r.reached[i] = map[netip.AddrPort]bool{}
		for _, m := range proxy.Pool {
			r.reached[i][m.Address] = crosses(&spec, m.Name, f.At)
		}
	}
	for _, m := range proxy.Pool {
		s, err := backend.Start(ctx, r.lab.Host(m.Name), m.Address)
		if err != nil {
			return err
		}
		r.backends = append(r.backends, s)
	}
	r.proxy, err = bigip.Start(r.lab.Host(topology.F5), proxy, bigip.Hooks{
		Dialing: func(d bigip.Dial) { r.eachReached(d, (*fault.Injector).Arm) },
		Dialed:  func(d bigip.Dial) { r.eachReached(d, (*fault.Injector).Disarm) },
	})
	if err != nil {
		return err
	}
	r.session, err = capture.Start(r.points(), c.Create, failed)
	return err
}

// eachReached calls an injector's method for every fault that is on the way to
// the member.
func (r *run) eachReached(d bigip.Dial, do func(i *fault.Injector, ordinal, attempt int, source, destination netip.AddrPort)) {
	for _, i := range r.injectors {
		if r.reached[i][d.Member] {
			do(i, d.Ordinal, d.Attempt, d.SNAT, d.Member)
		}
	}
}

// serverSegments reads how many TCP segments each server's stack has been given.
func (r *run) serverSegments() (map[string]uint64, error) {
	segments := map[string]uint64{}
	for _, m := range r.facts.Config.proxy().Pool {
		counters, err := r.lab.Host(m.Name).SNMP()
		if err != nil {
			return nil, err
		}
		segments[m.Name] = counters["Tcp.InSegs"]
	}
	return segments, nil
}

// collect ends the actors in the order of the packets and gathers what they know.
func (r *run) collect(ctx context.Context) (err error) {
	if r.facts.Flows, err = r.closeProxy(ctx); err != nil {
		return err
	}
	session := r.session
	r.session = nil
	if r.facts.Captures, err = session.Stop(); err != nil {
		return err
	}
	for _, i := range r.injectors {
		report, err := i.Report(ctx)
		if err != nil {
			r.facts.problems = append(r.facts.problems, err.Error())
		}
		r.facts.Reports = append(r.facts.Reports, report)
	}
	return nil
}

func (r *run) closeProxy(ctx context.Context) ([]*bigip.Flow, error) {
	p := r.proxy
	r.proxy = nil
	return p.Close(ctx)
}

// close ends what is still running, also after a failure half-way.
func (r *run) close() error {
	var errs []error
	if r.proxy != nil {
		_, err := r.closeProxy(context.Background())
		errs = append(errs, err)
	}
	for _, b := range r.backends {
		errs = append(errs, b.Close())
	}
	if r.session != nil {
		_, err := r.session.Stop()
		errs = append(errs, err)
	}
	for _, i := range r.injectors {
		errs = append(errs, i.Close())
	}
	return errors.Join(append(errs, r.lab.Close())...)
}

// points are where the lab is captured: at every face, the f5's two in one file.
func (r *run) points() []capture.Point {
	spec := r.lab.Spec()
	tap := func(node, face string, vlan uint16) capture.Tap {
		n, _ := spec.Node(node)
		i, _ := n.Interface(face)
		return capture.Tap{Host: r.lab.Host(node), Interface: face, Addresses: i.Addresses, VLAN: vlan}
	}
	one := func(node, face string, side capture.Side) capture.Point {
		return capture.Point{Hop: node, Face: face, Side: side, Taps: []capture.Tap{tap(node, face, 0)}}
	}
	table := r.proxy.Table()
	return []capture.Point{
		one(topology.Client, topology.ClientFace, capture.Clientside),
		{Hop: topology.F5, Face: "0.0", Side: capture.Both,
			Taps: []capture.Tap{
				tap(topology.F5, topology.External, bigip.ClientsideVLAN),
				tap(topology.F5, topology.Internal, bigip.ServersideVLAN),
			},
			FirstFrame: table.FileInfo(), AppendTrailer: table.AppendTrailer},
		one(topology.Firewall, topology.Upstream, capture.Serverside),
		one(topology.Firewall, topology.Downstream, capture.Serverside),
		one(topology.Server1, topology.ServerFace, capture.Serverside),
		one(topology.Server2, topology.ServerFace, capture.Serverside),
	}
}
