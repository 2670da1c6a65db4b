package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
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

// Config is everything that decides a run.
type Config struct {
	Family   topology.Family // "" means IPv4
	F5       bigip.Config    // its addresses are filled in
	Firewall firewall.Config // zero: it knows of no sessions
	Requests int
	// Only are the ordinals of the requests that are sent, in order; nil: all. Each meets
	// what it would meet among the others, as far as the seed decides.
	Only        []int
	Concurrency int
	Timeout     time.Duration // of a request at the client; 0 means two minutes
	// AnswerAfter is how long our own servers take for a request that is answered in
	// good order: what is slow by nature is no fault. 0 is at once.
	AnswerAfter time.Duration
	// DeferAccept has their kernels wait for a connection's first data before they take
	// it: see [backend.Habits].
	DeferAccept bool
	Protocol    client.Protocol
	// RequestsPerConnection is how many requests share a connection; 0 means the
	// protocol's own number.
	RequestsPerConnection int
	SequenceNumbers       client.SequenceNumbers // of the client's connections
	// LargeRequests is which part of the requests has a body of several packets, chosen
	// by the seed; 0 is none. Of a client that is not ours nobody knows.
	LargeRequests float64
	Faults        []fault.Fault
	Seed          uint64

	// Send sends the batch from the client; nil means our own client. Another
	// one — curl, say — must put each request's ordinal into X-Request-ID for
	// faults per connection to find it, and return a record for each.
	Send func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error)
	// Proxy starts somebody else's full proxy in the f5's place — HAProxy, say;
	// nil means our own. It has to accept at p.VirtualServer.Destination, connect
	// from p.SNAT to the members of p.Pool, and be ready when it returns. The f5's
	// captures have no trailers and no VLAN tags then, and faults must be per tuple
	// or per packet: nobody tells a fault which request another proxy dials for.
	// What is to be hit is therefore computed after the run, from its flows.
	Proxy func(ctx context.Context, at *topology.Host, p bigip.Config) (Proxy, error)
	// Server starts somebody else's server on a pool member — nginx, say; nil means
	// our own. It has to answer when it returns.
	Server func(ctx context.Context, at *topology.Host, address netip.AddrPort) (io.Closer, error)
	// KeyLog is written the secrets of the client's TLS, in the NSS key log format; nil
	// for nobody.
	KeyLog io.Writer
	// Create makes the file of a capture point; required.
	Create func(*capture.Point) (io.WriteCloser, error)
	// Progress is told of the run, often and from several goroutines; nil for nobody.
	Progress func(Progress)
	// Watch is told a few times a second, by one goroutine, what has been counted so far;
	// nil for nobody, and then nobody counts.
	Watch func(Counts)
}

// Proxy is a full proxy at work.
type Proxy interface {
	// Close ends it and returns its serverside connections, by its log, in the
	// order they were opened. Where the log tells only of a request's last attempt,
	// that flow's Attempt says how many went before.
	Close() ([]*bigip.Flow, error)
}

// Progress is how far a run has come.
type Progress struct {
	Phase               string // "build", "traffic", "teardown"
	Done, Total, Failed int    // requests
}

// Spec returns the lab's wiring: the standard lab, with what the f5's configuration
// needs of it, with a middle in every link that a fault is on, with a way past the firewall
// where a fault leads over one, and with TCP that gives
// up before long where a fault takes what it sends.
func (c *Config) Spec() (topology.Spec, error) {
	spec, err := topology.Standard(c.Family)
	if err == nil {
		proxy := c.proxy()
		err = proxy.Wire(&spec)
	}
	if err == nil && c.detours() {
		spec = spec.WithDetour(fault.DetourMark)
	}
	if c.Firewall.Stateful() {
		forgetSoon(&spec)
	}
	for i := range c.Faults {
		f := &c.Faults[i]
		if err == nil {
			giveUpSoon(&spec, f)
			c.sayAll(&spec, f)
			askAtOnce(&spec, f)
			answerSoon(&spec, f)
		}
		if err == nil && f.IsLink() {
			if _, known := spec.Link(f.At); known { // else Validate says so
				spec, err = spec.WithMiddle(f.At)
			}
		}
	}
	return spec, err
}

// giveUpSoon sets how often who sends it repeats what a fault takes, for a run ends only
// when no packet is on its way any more: with the kernel's own settings that is a
// minute for SYN-ACKs and a quarter of an hour for a response. With these it is three
// seconds. They are of IPv6 too. How often the f5 repeats data is up to its profiles, and
// how long the client waits to the traffic's timeout; what either has closed, to these.
func giveUpSoon(spec *topology.Spec, f *fault.Fault) {
	switch {
	case !f.Loses():
	case f.Clientside() && f.Match == fault.SYNACK:
		set(spec, map[string]string{"net.ipv4.tcp_synack_retries": "1"}, topology.F5)
	case f.Clientside():
		set(spec, map[string]string{"net.ipv4.tcp_orphan_retries": "2"}, topology.Client, topology.F5)
	case f.Match == fault.SYNACK, f.Match == fault.AfterSYN:
		set(spec, map[string]string{"net.ipv4.tcp_synack_retries": "1"}, topology.Server1, topology.Server2)
	case f.Match == fault.Response:
		// The timer that fires 1.4 s after the first, or the next one, is the last, also
		// of a socket that its program has closed (net/ipv4/tcp_timer.c,
		// retransmits_timed_out).
		set(spec, map[string]string{"net.ipv4.tcp_retries2": "2", "net.ipv4.tcp_orphan_retries": "2"}, topology.Server1, topology.Server2)
	case f.Match == fault.FIN: // of sockets that their programs have closed
		set(spec, map[string]string{"net.ipv4.tcp_orphan_retries": "2"}, topology.F5, topology.Server1, topology.Server2)
	}
}

// askAtOnce lets the firewall ask for neighbours from the first moment. Until an interface's
// link-local address has stood the test for duplicates, which takes seconds, the kernel asks
// with nothing (net/ipv6/ndisc.c, ndisc_send_ns), and no capture shows why packets stay.
func askAtOnce(spec *topology.Spec, f *fault.Fault) {
	if f.Resolves() && spec.UsesIPv6() {
		set(spec, map[string]string{"net.ipv6.conf.default.dad_transmits": "0"}, topology.Firewall, topology.Server1, topology.Server2)
	}
}

// forgetSoon does the same for what a firewall that has forgotten a session takes:
// responses, and the FINs of either end. What an end has not closed, the f5's profiles
// and the fault's own settings know about.
func forgetSoon(spec *topology.Spec) {
	set(spec, map[string]string{"net.ipv4.tcp_retries2": "2"}, topology.Server1, topology.Server2)
	set(spec, map[string]string{"net.ipv4.tcp_orphan_retries": "2"}, topology.F5, topology.Server1, topology.Server2)
}

// set adds settings to nodes, where there are any such nodes.
func set(spec *topology.Spec, settings map[string]string, nodes ...string) {
	for _, node := range nodes {
		if n, known := spec.Node(node); known {
			if n.Sysctls == nil {
				n.Sysctls = map[string]string{}
			}
			maps.Copy(n.Sysctls, settings)
		}
	}
}

// Validate reports what in c cannot be run, without running anything.
func (c *Config) Validate() error {
	spec, err := c.Spec()
	if err != nil {
		return err
	}
	proxy, batch := c.proxy(), c.batch()
	errs := []error{proxy.Validate(), c.Firewall.Validate(), batch.Validate(), c.validateMembers(&proxy), c.validateProtocol(), c.validateAnswers(), c.validateSizes()}
	if c.Only != nil && c.Send != nil {
		errs = append(errs, errors.New("traffic: only: somebody else's client sends what it likes"))
	}
	seen := map[string]bool{}
	for _, f := range c.Firewall.Faults() {
		seen[f.Name] = true
	}
	for _, f := range c.Faults {
		errs = append(errs, f.Validate(&spec), c.validateActor(&f), c.validateClientside(&f))
		errs = append(errs, c.validateDelay(&f), c.validateProvoked(&f, &proxy), c.validateDetour(&f), validateBackdating(&f, &proxy))
		if f.OnWire() && f.At == topology.Firewall && c.Firewall.Stateful() {
			// What a wire puts back there does not come by the table of sessions.
			errs = append(errs, fmt.Errorf("fault %s: at %q: a stateful firewall would miss what is sent on there; the nearest places are link:f5-firewall and link:firewall-switch", f.Name, f.At))
		}
		if c.Proxy == nil && f.Per == fault.PerConnection && !f.Acts() && !f.Clientside() && !proxy.VirtualServer.Has(bigip.ProfileHTTP) {
			errs = append(errs, fmt.Errorf("fault %s: per %q: without an http profile the f5 does not know which request a connection is for; it must be tuple or packet", f.Name, f.Per))
		}
		if c.Proxy != nil && f.Per == fault.PerConnection && !f.Acts() && !f.Clientside() {
			errs = append(errs, fmt.Errorf("fault %s: per %q: with somebody else's proxy it must be tuple or packet", f.Name, f.Per))
		}
		if f.Match == fault.LargeData && f.Probability > 0 && c.LargeRequests == 0 {
			errs = append(errs, fmt.Errorf("fault %s: match %q: no request is large; say how many are, such as large-requests: 0.01 of traffic", f.Name, f.Match))
		}
		errs = append(errs, c.validateNeverRead(&f))
		if seen[f.Name] {
			errs = append(errs, fmt.Errorf("fault %s: named twice", f.Name))
		}
		seen[f.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return err // what is wrong in itself need not be compared
	}
	return c.validateMeetings(&spec)
}

// maxAnswerAfter keeps a run finite.
const maxAnswerAfter = time.Minute

// validateAnswers sees that the servers' time is one.
func (c *Config) validateAnswers() error {
	if c.AnswerAfter < 0 || c.AnswerAfter > maxAnswerAfter {
		return fmt.Errorf("traffic: answer-after %v: must be 0s to %v", c.AnswerAfter, maxAnswerAfter)
	}
	return nil
}

// validateSizes sees that the part of large requests is one.
func (c *Config) validateSizes() error {
	if !(c.LargeRequests >= 0 && c.LargeRequests <= 1) { // NaN too
		return fmt.Errorf("traffic: large-requests %v: must be 0 to 1", c.LargeRequests)
	}
	return nil
}

// validateMembers sees that every member is somewhere.
func (c *Config) validateMembers(p *bigip.Config) error {
	for _, m := range p.Pool.Members {
		switch {
		case !m.Address.IsValid():
			return fmt.Errorf("f5: pool: members: %q is no server of the lab, and has no address; there are %s and %s", m.Name, topology.Server1, topology.Server2)
		case m.Address.Addr().Is4() != p.VirtualServer.Destination.Addr().Is4():
			return fmt.Errorf("f5: pool: members: address %s: is of another family than the lab", m.Address)
		}
	}
	return nil
}

func (c *Config) proxy() bigip.Config {
	a := topology.StandardAddresses(c.Family)
	f5 := c.F5
	f5.VirtualServer.Name, f5.VirtualServer.Destination = "/Common/vs_batch_8165", a.VIP
	f5.SNAT.SelfIP, f5.Seed = a.SNAT, c.Seed
	servers := map[string]netip.AddrPort{topology.Server1: a.Server1, topology.Server2: a.Server2}
	if f5.Pool.Members == nil {
		f5.Pool.Members = []bigip.Member{{Name: topology.Server1}, {Name: topology.Server2}}
	}
	f5.Pool.Members = slices.Clone(f5.Pool.Members)
	for i := range f5.Pool.Members {
		if m := &f5.Pool.Members[i]; !m.Address.IsValid() {
			m.Address = servers[m.Name]
		}
	}
	return f5
}

// servers are the lab's own servers, whether or not they are members: each listens
// where its member is, or where the lab has it.
func (c *Config) servers() []bigip.Member {
	a := topology.StandardAddresses(c.Family)
	all := []bigip.Member{{Name: topology.Server1, Address: a.Server1}, {Name: topology.Server2, Address: a.Server2}}
	for i := range all {
		for _, m := range c.proxy().Pool.Members {
			if m.Name == all[i].Name && m.Address.Addr() == all[i].Address.Addr() {
				all[i] = m
			}
		}
	}
	return all
}

func (c *Config) batch() client.Batch {
	a := topology.StandardAddresses(c.Family)
	b := client.Batch{Server: a.VIP, Local: a.Client, Requests: c.Requests, Only: c.Only, Concurrency: c.Concurrency, Timeout: c.Timeout,
		Protocol: c.Protocol, PerConnection: c.RequestsPerConnection, SequenceNumbers: c.SequenceNumbers, KeyLog: c.KeyLog}
	if c.LargeRequests > 0 {
		b.Large = c.large
	}
	b.Limits.HeaderSize, b.Limits.HeaderCount = c.F5.HTTP.HeaderLimits()
	return b
}

// habits are those of our own servers.
func (c *Config) habits() backend.Habits {
	return backend.Habits{AnswerAfter: c.AnswerAfter, DeferAccept: c.DeferAccept}
}

// descriptorsPerRequest: the client's, the proxy's two, the server's. Over TLS the
// proxy has two pipes more, of two ends each.
func (c *Config) descriptorsPerRequest() int {
	if c.Protocol.Secure() {
		return 8
	}
	return 4
}

// checkDescriptors sees that as many sockets can be open as there will be.
func (c *Config) checkDescriptors() error {
	const own = 256
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if need := uint64(c.Concurrency*c.descriptorsPerRequest() + own); limit.Cur < need {
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
