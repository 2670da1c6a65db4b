package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// enoughThreads raises GOMAXPROCS where there are few processors, for good: with
// as many threads as processors the taps' reader and the event loops wait for
// each other. More are cheap.
var enoughThreads = sync.OnceFunc(func() {
	if runtime.GOMAXPROCS(0) < 4 {
		runtime.GOMAXPROCS(4)
	}
})

// Run builds the lab, sends the batch through it, and takes it down. Whatever
// the error, nothing is left behind.
func Run(ctx context.Context, c Config) (*Facts, error) {
	f := &Facts{Config: c}
	var err error
	if f.Planned, f.Predictable, err = c.Plan(); err != nil {
		return nil, err
	}
	enoughThreads()
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
	f.joinFlows()
	f.planFromFlows()
	f.join()
	f.joinResets()
	f.balance()
	return f, nil
}

// run is a lab with its actors.
type run struct {
	facts       *Facts
	lab         *topology.Lab
	injectors   []*fault.Injector
	moods       []*fault.Mood
	resolutions []*fault.Resolution
	firewall    *firewall.Firewall                          // nil if it is not stateful
	reached     map[*fault.Injector]map[netip.AddrPort]bool // members behind the fault
	session     *capture.Session
	servers     []io.Closer // by member; ours are *backend.Server
	proxy       Proxy
	own         *bigip.Proxy // nil if the proxy is not ours

	rstsBefore uint64
}

// play is the run from the first actor to the last packet.
func (r *run) play(ctx context.Context, start time.Time) error {
	c := &r.facts.Config
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := r.startActors(ctx, cancel); err != nil {
		return err
	}
	unwatch := r.watch()
	defer unwatch()
	before, err := r.serverSegments()
	if err != nil {
		return err
	}
	if r.rstsBefore, err = r.rstsOut(); err != nil {
		return err
	}
	if r.own != nil { // with all of its packets captured and counted
		if err := r.own.StartMonitoring(ctx); err != nil {
			return err
		}
	}
	outdated, err := r.outdated()
	if err != nil {
		return err
	}
	r.facts.Timing.Build = time.Since(start)

	begin := time.Now()
	for _, i := range r.injectors {
		i.Begin()
	}
	for _, x := range r.resolutions {
		x.Begin()
	}
	batch := c.batch()
	batch.Moods, batch.Hooks = r.moodsOf(topology.Client), r.clientHooks()
	batch.Progress = func(done, failed int) {
		c.report(Progress{Phase: "traffic", Done: done, Total: batch.Sent(), Failed: failed})
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
	if r.own != nil {
		r.own.StopMonitoring()
	}
	if err := r.awaitQuiet(ctx); err != nil {
		return err
	}
	// Connections that are kept to be used again end now, with packets.
	if r.facts.Flows, err = r.closeProxy(); err != nil {
		return err
	}
	if err := r.awaitQuiet(ctx); err != nil {
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
	if r.facts.outdated, err = r.outdated(); err != nil {
		return err
	}
	r.facts.outdated -= outdated
	unwatch()
	err = r.collect(ctx)
	r.facts.Timing.Teardown = time.Since(begin)
	return err
}

// awaitQuiet waits until no packet moves and none will: TCP that got no answer is
// silent only until it repeats what it sent, and a slow server until it answers.
func (r *run) awaitQuiet(ctx context.Context) error { return r.lab.AwaitQuiet(ctx, r.unsettled) }

// unsettled says who will yet send something; "" for nobody.
func (r *run) unsettled(ctx context.Context) (busy string, err error) {
	for i, m := range r.facts.Config.servers() {
		if s, own := r.servers[i].(*backend.Server); own && s.Busy() > 0 {
			return fmt.Sprintf("%s to be done with %d requests", m.Name, s.Busy()), nil
		}
	}
	for _, i := range r.injectors {
		if busy, err := i.Busy(ctx); err != nil || busy != "" {
			return busy, err
		}
	}
	for _, x := range r.resolutions {
		if x.Pending() {
			return "the time of fault " + x.Fault().Name + " to be over", nil
		}
	}
	for _, node := range []string{topology.Client, topology.F5, topology.Server1, topology.Server2} {
		n, err := r.lab.Host(node).Unsettled()
		if err != nil {
			return "", err
		}
		if n > 0 {
			return fmt.Sprintf("%s to give up %d connections on which it was not answered", node, n), nil
		}
	}
	return "", nil
}

// startActors starts everything but the client; failed is told when a capture breaks
// off.
func (r *run) startActors(ctx context.Context, failed func(error)) (err error) {
	c := &r.facts.Config
	proxy := c.proxy()
	spec := r.lab.Spec()
	r.reached = map[*fault.Injector]map[netip.AddrPort]bool{}
	for n, f := range c.Faults {
		if f.Acts() {
			r.moods = append(r.moods, fault.NewMood(f, c.Seed))
			continue
		}
		if f.Resolves() {
			x, err := fault.StartResolution(r.lab, f, n)
			if err != nil {
				return err
			}
			r.resolutions = append(r.resolutions, x)
			continue
		}
		i, err := fault.Inject(r.lab, f, c.Seed, n)
		if err != nil {
			return err
		}
		r.injectors = append(r.injectors, i)
		r.reached[i] = map[netip.AddrPort]bool{}
		for _, m := range proxy.Pool.Members {
			r.reached[i][m.Address] = crosses(&spec, m.Name, f.At)
		}
	}
	if c.Firewall.Stateful() {
		if r.firewall, err = firewall.Start(r.lab, c.Firewall, r.serverAddresses()); err != nil {
			return err
		}
	}
	start := c.Server
	if start == nil {
		start = r.startServer
	}
	for _, m := range c.servers() {
		s, err := start(ctx, r.lab.Host(m.Name), m.Address)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
	}
	if err := r.startProxy(ctx, proxy); err != nil {
		return err
	}
	r.session, err = capture.Start(r.points(), c.Create, failed)
	return err
}

// serverAddresses are those of the lab's servers.
func (r *run) serverAddresses() (all []netip.Addr) {
	for _, m := range r.facts.Config.servers() {
		all = append(all, m.Address.Addr())
	}
	return all
}

// moodsOf are the faults of a node's actor.
func (r *run) moodsOf(node string) (moods []*fault.Mood) {
	for _, m := range r.moods {
		if m.Fault().At == node {
			moods = append(moods, m)
		}
	}
	return moods
}

// startServer starts our own server, with its moods.
func (r *run) startServer(ctx context.Context, host *topology.Host, address netip.AddrPort) (io.Closer, error) {
	s, err := backend.Start(ctx, host, address, r.facts.Config.habits(), r.moodsOf(host.Name())...)
	if err != nil {
		return nil, err // and no nil *Server, which would not be nil
	}
	return s, nil
}

func (r *run) startProxy(ctx context.Context, config bigip.Config) error {
	host := r.lab.Host(topology.F5)
	if start := r.facts.Config.Proxy; start != nil {
		proxy, err := start(ctx, host, config)
		if err == nil {
			r.proxy = proxy
		}
		return err
	}
	own, err := bigip.Start(host, config, bigip.Hooks{Dialing: r.arm})
	if err != nil {
		return err
	}
	r.proxy, r.own = own, own
	return nil
}

// arm prepares every fault that is on the way to the member.
func (r *run) arm(d bigip.Dial) {
	for _, i := range r.injectors {
		if r.reached[i][d.Member] {
			i.Arm(d.Ordinal, d.Attempt, d.SNAT, d.Member)
		}
	}
}

// serverSegments reads how many TCP segments each server's stack has been given.
func (r *run) serverSegments() (map[string]uint64, error) {
	segments := map[string]uint64{}
	for _, m := range r.facts.Config.servers() {
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
	rsts, err := r.rstsOut() // with those of connections that the proxy has ended
	if err != nil {
		return err
	}
	session := r.session
	r.session = nil
	if r.facts.Captures, err = session.Stop(); err != nil {
		return err
	}
	if r.own != nil {
		seen := r.own.Table().RSTs()
		r.facts.rsts, r.facts.rstsCounted = &seen, rsts-r.rstsBefore+r.own.Crafted()
		r.facts.made = r.own.Resets()
		r.facts.Probes = r.own.Probes()
		r.facts.Resets = slices.Concat(seen.Of(r.facts.made), seen.Rejected)
	}
	for _, i := range r.injectors {
		report, err := i.Report(ctx)
		if err != nil {
			r.facts.problems = append(r.facts.problems, err.Error())
		}
		r.facts.Reports = append(r.facts.Reports, report)
	}
	for _, x := range r.resolutions {
		report, err := x.Report(ctx)
		if err != nil {
			r.facts.problems = append(r.facts.problems, err.Error())
		}
		r.facts.Reports = append(r.facts.Reports, report)
	}
	for _, m := range r.moods {
		r.facts.Reports = append(r.facts.Reports, m.Report())
	}
	if r.firewall != nil {
		reports, err := r.firewall.Report(ctx)
		if err != nil {
			r.facts.problems = append(r.facts.problems, err.Error())
		}
		r.facts.Reports = append(r.facts.Reports, reports...)
	}
	return nil
}

func (r *run) closeProxy() ([]*bigip.Flow, error) {
	p := r.proxy
	r.proxy = nil
	return p.Close()
}

// close ends what is still running, also after a failure half-way.
func (r *run) close() error {
	var errs []error
	if r.proxy != nil {
		_, err := r.closeProxy()
		errs = append(errs, err)
	}
	for _, s := range r.servers {
		errs = append(errs, s.Close())
	}
	if r.session != nil {
		_, err := r.session.Stop()
		errs = append(errs, err)
	}
	for _, i := range r.injectors {
		errs = append(errs, i.Close())
	}
	for _, x := range r.resolutions {
		errs = append(errs, x.Close())
	}
	if r.firewall != nil {
		errs = append(errs, r.firewall.Close())
	}
	return errors.Join(append(errs, r.lab.Close())...)
}
