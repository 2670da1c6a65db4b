package bigip

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/ports"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// promptly is a monitor that has made up its mind soon.
func promptly(kind MonitorType) Monitor {
	return Monitor{Type: kind, Interval: 50 * time.Millisecond, Timeout: 160 * time.Millisecond}
}

// monitor starts the proxy with a monitor of one member, server1, and waits until its
// status is known.
func (b *bench) monitor(m Monitor) {
	b.t.Helper()
	b.startWith(Config{Serverside: Fast, Pool: Pool{Monitor: m}})
	b.awaitStatus()
}

func (b *bench) awaitStatus() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.proxy.StartMonitoring(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// up says whether the proxy takes a member for up.
func (b *bench) up(member int) bool {
	b.t.Helper()
	up, p := make(chan bool, 1), b.proxy
	p.loop.Post(func() { up <- !p.members.down[member] })
	return receive(b.t, up, "the proxy's loop does not turn")
}

// ask sends a request and returns the answer and whether it ended in a RST.
func (b *bench) ask(ordinal int) (string, bool) {
	b.t.Helper()
	c := b.dial()
	b.write(c, request(ordinal, 0))
	got, wasReset, _ := reset(c)
	return string(got), wasReset
}

// probing are the frames of the connections that nobody but a monitor makes.
func probing(frames []seen) []seen {
	return slices.DeleteFunc(slices.Clone(frames), func(f seen) bool {
		return f.vlan != ServersideVLAN || isSNATPort(f.src) || isSNATPort(f.dst)
	})
}

func TestAMemberIsUpOrDownAsItsMonitorFinds(t *testing.T) {
	t.Parallel()
	answering := func(text string) func(c *net.TCPConn) {
		return func(c *net.TCPConn) { take(c); io.WriteString(c, text) }
	}
	expecting := func(recv string) Monitor {
		m := promptly(MonitorHTTP)
		m.Send, m.Receive = `GET /health HTTP/1.0\r\n\r\n`, recv
		return m
	}
	for _, row := range []struct {
		name    string
		monitor Monitor
		member  func(c *net.TCPConn) // nil: nobody listens
		up      bool
	}{
		{"tcp, and it accepts", promptly(MonitorTCP), func(*net.TCPConn) {}, true},
		{"tcp, and it refuses", promptly(MonitorTCP), nil, false},
		{"half-open, and it answers the SYN", promptly(MonitorTCPHalfOpen), func(*net.TCPConn) {}, true},
		{"half-open, and it refuses", promptly(MonitorTCPHalfOpen), nil, false},
		{"http, and it says something", expecting(""), answering("whatever"), true},
		{"http, and it says what it should", expecting("^HTTP/1.. 200 .*up"), answering("HTTP/1.0 200 OK\r\n\r\nup"), true},
		{"http, and it says something else", expecting("up"), answering("HTTP/1.0 200 OK\r\n\r\ndown"), false},
		{"http, and it closes without a word", expecting(""), func(c *net.TCPConn) { take(c) }, false},
		{"http, and it never answers", expecting(""), func(c *net.TCPConn) { take(c); io.Copy(io.Discard, c) }, false},
		{"http, and it resets", expecting(""), func(c *net.TCPConn) { take(c); c.SetLinger(0) }, false},
		{"http, and it answers and keeps the connection", expecting("up"), func(c *net.TCPConn) { answering("up")(c); io.Copy(io.Discard, c) }, true},
		{"http, and it says so beyond what is read", expecting("up"), answering(string(make([]byte, maxReceive)) + "up"), false},
		{"http, and nobody listens", expecting(""), nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := build(t, topology.IPv4)
			if row.member != nil {
				b.member(row.member)
			}
			start := time.Now()
			b.monitor(row.monitor)
			if b.up(0) != row.up {
				t.Errorf("it is taken for up: %v", !row.up)
			}
			if took := time.Since(start); !row.up && took < row.monitor.Timeout {
				t.Errorf("down after %v: the timeout is %v", took, row.monitor.Timeout)
			}
			p := b.proxy
			p.StopMonitoring()
			b.close()
			tests := p.Probes()
			if !row.up && len(tests) < 3 {
				t.Errorf("down after %d tests", len(tests))
			}
			if tests[0].Good != row.up {
				t.Errorf("the first test is %+v", tests[0])
			}
			for _, test := range tests {
				if test.Good && !row.up || test.Member != b.a.Server1 || test.Source.Addr() != b.a.SNAT {
					t.Errorf("a test is %+v", test)
				}
			}
		})
	}
}

func TestAMemberThatIsNotTestedYetIsUsed(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(func(c *net.TCPConn) { take(c); respond(c, 2) })
	b.startWith(Config{Serverside: Fast, Pool: Pool{Monitor: Monitor{Type: MonitorHTTP, Receive: "nothing says this"}}})
	known := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	p := b.proxy
	go func() { known <- p.StartMonitoring(ctx) }()
	if got, wasReset := b.ask(0); wasReset || got == "" {
		t.Errorf("the client got %q, a reset: %v", got, wasReset)
	}
	cancel()
	if receive(t, known, "StartMonitoring does not heed its context") == nil {
		t.Error("the status is known long before the timeout")
	}
}

func TestAMemberComesAndGoes(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			b.monitor(promptly(MonitorTCP))
			if _, wasReset := b.ask(0); !wasReset || b.up(0) {
				t.Error("a member that nobody listens on is used")
			}
			l, err := b.Host(topology.Server1).Listen(t.Context(), "tcp", b.a.Server1.String())
			if err != nil {
				t.Fatal(err)
			}
			labtest.Await(t, "the monitor has found the member", func() bool { return b.up(0) })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					take(c)
					respond(c, 2)
					c.Close()
				}
			}()
			if got, wasReset := b.ask(1); wasReset || got == "" {
				t.Errorf("from a member that is up the client got %q, a reset: %v", got, wasReset)
			}
			l.Close()
			labtest.Await(t, "the monitor has missed the member", func() bool { return !b.up(0) })
			if _, wasReset := b.ask(2); !wasReset {
				t.Error("a member that is gone is used")
			}
			p := b.proxy
			b.close()
			for _, r := range p.Resets() {
				if r.Cause != NoPoolMember || r.Serverside || r.Peer {
					t.Errorf("the ledger has %+v", r)
				}
			}
		})
	}
}

func TestAMonitorsConnectionsLookLikeThoseOfTheBox(t *testing.T) {
	const (
		syn    = flagSYN
		synACK = flagSYN | flagACK
		finACK = flagFIN | flagACK
		rstACK = flagRST | flagACK
		ack    = flagACK
	)
	for _, row := range []struct {
		name    string
		monitor Monitor
		want    []byte // the flags of what the f5 sends, PSH left out
	}{
		{"tcp: opened and closed", promptly(MonitorTCP), []byte{syn, ack, finACK, ack}},
		{"half-open: a RST for the answer", promptly(MonitorTCPHalfOpen), []byte{syn, rstACK}},
		{"http: asked, answered and closed", promptly(MonitorHTTP), []byte{syn, ack, ack, ack, finACK, ack}},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				b := build(t, family)
				ended := make(chan struct{}, 1)
				b.member(func(c *net.TCPConn) {
					if row.monitor.Type == MonitorHTTP {
						take(c)
						respond(c, 2)
					}
					io.Copy(io.Discard, c) // up to the FIN
					select {
					case ended <- struct{}{}:
					default:
					}
				})
				b.startWith(Config{Serverside: Fast, Pool: Pool{Monitor: row.monitor}})
				stop := b.capture()
				b.awaitStatus()
				if row.monitor.Type != MonitorTCPHalfOpen {
					receive(t, ended, "the monitor does not close its connection")
				}
				p := b.proxy
				p.StopMonitoring()
				if err := b.AwaitQuiet(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.close()
				first := p.Probes()[0].Source
				var flags []byte
				for _, f := range probing(stop()) {
					if f.src != first {
						continue
					}
					flags = append(flags, f.flags&^0x08)
					if f.trailer.Medium.FlowID != 0 || f.trailer.Low.VirtualServer != "" {
						t.Errorf("a frame has a flow: %+v", f.trailer)
					}
					if cause := f.trailer.Medium.RSTCause.Text; f.has(flagRST) != (cause == LinuxHost.Text) {
						t.Errorf("a frame with the flags %#x has the cause %q", f.flags, cause)
					}
				}
				if !same(flags, row.want) {
					t.Errorf("the f5 sent %#x, want %#x", flags, row.want)
				}
				if first.Addr() != b.a.SNAT || isSNATPort(first) {
					t.Errorf("the monitor came from %v", first)
				}
			})
		}
	}
}

// same compares flags; how many bare ACKs there are between others is the kernel's
// affair.
func same(got, want []byte) bool {
	without := func(b []byte) []byte {
		return slices.DeleteFunc(slices.Clone(b), func(flags byte) bool { return flags == flagACK })
	}
	return slices.Equal(without(got), without(want))
}

func isSNATPort(a netip.AddrPort) bool { return ports.At(ports.Index(a.Port())) == a.Port() }

// A FastL4 virtual server keeps the kernel from answering what is its own; the monitor's
// connections are the kernel's.
func TestAFastL4VirtualServerHasMonitorsToo(t *testing.T) {
	for _, kind := range []MonitorType{MonitorTCP, MonitorTCPHalfOpen, MonitorHTTP} {
		t.Run(string(kind), func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(func(c *net.TCPConn) { take(c); respond(c, 2) })
			b.startWith(Config{VirtualServer: VirtualServer{Type: FastL4}, Pool: Pool{Monitor: promptly(kind)}})
			b.awaitStatus()
			if !b.up(0) {
				t.Error("a member that answers is taken for down")
			}
			if got, wasReset := b.ask(0); wasReset || got == "" {
				t.Errorf("the client got %q, a reset: %v", got, wasReset)
			}
		})
	}
}

func TestAMonitorAtWorkEndsWithTheProxy(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(func(c *net.TCPConn) { take(c); io.Copy(io.Discard, c) }) // never answers
	b.start(Fast)
	b.close()
	before := labtest.Descriptors(t)
	b.startWith(Config{Pool: Pool{Monitor: Monitor{Type: MonitorHTTP}}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if b.proxy.StartMonitoring(ctx) == nil {
		t.Error("the status is known long before the timeout")
	}
	p := b.proxy
	b.close()
	if len(p.Probes()) != 1 {
		t.Errorf("there were %d tests", len(p.Probes()))
	}
	labtest.Await(t, "no more descriptors are open than before", func() bool { return labtest.Descriptors(t) <= before })
}
