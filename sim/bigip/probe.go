package bigip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

// Probe is one test of a member by the pool's monitor.
type Probe struct {
	Time   time.Time
	Source netip.AddrPort // the self IP
	Member netip.AddrPort
	Good   bool
}

// Source ports of monitors: none that the SNAT gives to clients (see package ports), and
// none that Wireshark takes for another protocol.
const (
	firstMonitorPort = 30201
	lastMonitorPort  = 32767
)

// monitors says whether a connection is a monitor's.
func (c *Config) monitors(ends tuple) bool {
	return ends.local.Addr() == c.SNAT.SelfIP && ends.local.Port() >= firstMonitorPort && ends.local.Port() <= lastMonitorPort &&
		slices.ContainsFunc(c.Pool.Members, func(m Member) bool { return m.Address == ends.remote })
}

// monitoring is a pool's monitor at work. Like the rest of the proxy it belongs to the
// loop's thread; its sockets are the host's, as those of a BIG-IP's bigd, and no flows
// of TMM's.
type monitoring struct {
	proxy   *Proxy
	monitor *Monitor
	receive *regexp.Regexp
	testers []*tester
	unknown int           // members of which the status is not known yet
	known   chan struct{} // closed when there is none
	probes  []Probe
}

// tester tests one member, once every interval.
type tester struct {
	*monitoring
	member  int
	address netip.AddrPort
	decided bool // the status is known
	port    uint16
	due     eventloop.Timer // the next test
	silence eventloop.Timer // when the member is down

	// Of the test under way:
	fd    int  // -1: none is
	probe int  // its index
	told  bool // what it has come to is known
	out   []byte
	in    []byte
}

// newMonitoring returns nil for a pool without a monitor, or without members.
func newMonitoring(p *Proxy) *monitoring {
	pool := &p.config.Pool
	if pool.Monitor.Type == MonitorNone || len(pool.Members) == 0 {
		return nil
	}
	m := &monitoring{proxy: p, monitor: &pool.Monitor, known: make(chan struct{}), unknown: len(pool.Members),
		// A dot is any character, as POSIX has it; it was validated.
		receive: regexp.MustCompile("(?s)" + pool.Monitor.Receive)}
	for i, member := range pool.Members {
		m.testers = append(m.testers, &tester{monitoring: m, member: i, address: member.Address, port: lastMonitorPort, fd: -1})
	}
	return m
}

// StartMonitoring has the pool's monitor test the members, and waits until the status
// of each is known: up at its first good answer, down after the monitor's timeout.
// Until then members are used untested, as they are where there is no monitor. [Start]
// does not do it, so that whoever captures the traffic can do so from the first test's
// first packet on.
func (p *Proxy) StartMonitoring(ctx context.Context) error {
	if p.monitoring == nil {
		return nil
	}
	p.loop.Post(func() {
		for _, t := range p.monitoring.testers {
			t.start()
		}
	})
	select {
	case <-p.monitoring.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("f5: waiting for the monitor: %w", context.Cause(ctx))
	}
}

// StopMonitoring ends the tests for good and returns when none is under way any more.
// The members keep the status they have. It must be called before Close, which does
// the same, or not at all.
func (p *Proxy) StopMonitoring() {
	if p.monitoring == nil {
		return
	}
	done := make(chan struct{})
	p.loop.Post(func() {
		p.monitoring.stop()
		close(done)
	})
	<-done
}

// Probes returns every test there was. Call it after Close.
func (p *Proxy) Probes() []Probe {
	if p.monitoring == nil {
		return nil
	}
	return p.monitoring.probes
}

func (m *monitoring) stop() {
	for _, t := range m.testers {
		m.proxy.loop.Disarm(&t.due)
		m.proxy.loop.Disarm(&t.silence)
		t.end(rst)
	}
}

func (t *tester) start() {
	t.awaitGood()
	t.test(time.Now())
}

// awaitGood makes the member down if there is no good answer for the timeout.
func (t *tester) awaitGood() {
	t.proxy.loop.Arm(&t.silence, time.Now().Add(t.monitor.timeout()), func() { t.status(false) })
}

// test begins a test that was due at a time. The one before has had its interval.
func (t *tester) test(due time.Time) {
	t.end(rst)
	next := due.Add(t.monitor.interval())
	t.proxy.loop.Arm(&t.due, next, func() { t.test(next) })
	t.told, t.in = false, t.in[:0]
	if t.monitor.Type == MonitorHTTP {
		t.out = t.monitor.request()
	}
	t.connect()
}

// monitorPortTries bounds the search for a source port that is not in TIME_WAIT.
const monitorPortTries = 64

// connect sends the SYN. A test that cannot be made at all has failed like any other.
func (t *tester) connect() {
	for range monitorPortTries {
		if t.port++; t.port > lastMonitorPort {
			t.port = firstMonitorPort
		}
		source := netip.AddrPortFrom(t.proxy.config.SNAT.SelfIP, t.port)
		fd, err := eventloop.TCP(source)
		if err != nil {
			return
		}
		if t.monitor.Type == MonitorTCPHalfOpen {
			// Holds back the ACK of the SYN-ACK (tcp_rcv_synsent_state_process in
			// net/ipv4/tcp_input.c) for long enough that the RST comes first.
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
		}
		probe := Probe{Time: time.Now(), Source: source, Member: t.address} // before a fault can meet it
		err = unix.Connect(fd, eventloop.Sockaddr(t.address))
		if err == nil || errors.Is(err, unix.EINPROGRESS) {
			t.fd, t.probe = fd, len(t.probes)
			t.probes = append(t.probes, probe)
			if err := t.proxy.loop.Add(fd, t, eventloop.Readable|eventloop.Writable|eventloop.PeerShut); err != nil {
				t.end(rst)
			}
			return
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EADDRNOTAVAIL) {
			return
		}
	}
}

// Ready implements [eventloop.Handler].
func (t *tester) Ready(_ int, events uint32) {
	switch {
	case events&eventloop.Failed != 0: // refused, unreachable or reset
		t.end(fin)
	case t.monitor.Type == MonitorHTTP:
		t.converse()
	case events&eventloop.Writable == 0:
	case t.monitor.Type == MonitorTCPHalfOpen:
		t.good()
		t.end(rst)
	default:
		t.good()
		t.end(fin)
	}
}

// converse asks and reads the answer. Where that is known before the member has closed,
// the connection is ended as it should be all the same.
func (t *tester) converse() {
	for len(t.out) > 0 {
		n, err := unix.Write(t.fd, t.out)
		if err != nil {
			return // EAGAIN; or an error, of which there is an event
		}
		t.out = t.out[n:]
	}
	var b [maxReceive]byte
	for {
		n, err := unix.Read(t.fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil, n == 0:
			t.end(fin)
			return
		case !t.told:
			t.hear(b[:n])
		}
	}
}

// hear takes a part of the answer.
func (t *tester) hear(part []byte) {
	t.in = append(t.in, part[:min(len(part), maxReceive-len(t.in))]...)
	matches := t.receive.Match(t.in)
	if matches {
		t.good()
	}
	if t.told = matches || len(t.in) == maxReceive; t.told {
		_ = unix.Shutdown(t.fd, unix.SHUT_WR)
	}
}

// good is told of a good answer.
func (t *tester) good() {
	t.probes[t.probe].Good = true
	t.awaitGood()
	t.status(true)
}

// status is told what the member is from now on.
func (t *tester) status(up bool) {
	t.proxy.memberIs(t.member, up)
	if t.decided {
		return
	}
	t.decided = true
	if t.unknown--; t.unknown == 0 {
		close(t.known)
	}
}

// end ends the test that is under way, if one is.
func (t *tester) end(with packet) {
	if t.fd < 0 {
		return
	}
	t.proxy.loop.Forget(t.fd)
	if with == rst {
		eventloop.Reset(t.fd)
	} else {
		unix.Close(t.fd)
	}
	t.fd = -1
}
