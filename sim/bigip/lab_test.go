package bigip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

// patience bounds every wait of these tests that has no better bound.
const patience = 20 * time.Second

// bench is a lab with a proxy whose one member is server1; what listens there is
// up to the test.
type bench struct {
	*topology.Lab
	t     *testing.T
	a     topology.Addresses
	proxy *Proxy
	hooks Hooks // called after the bench has counted

	dialing, dialed atomic.Int32
}

// build builds the lab, closing it with the test. It skips only where the machine
// says, by type, that it cannot.
func build(t *testing.T, family topology.Family) *bench {
	t.Helper()
	return buildFor(t, family, Config{})
}

// buildFor builds a lab that is wired as a configuration needs it.
func buildFor(t *testing.T, family topology.Family, c Config) *bench {
	t.Helper()
	b := &bench{t: t, a: topology.StandardAddresses(family)}
	spec, err := topology.Standard(family)
	if err == nil {
		c.SNAT.SelfIP = b.a.SNAT
		err = c.Wire(&spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Lab = labtest.BuildSpec(t, spec)
	t.Cleanup(func() { b.close() }) // before the lab is
	return b
}

func (b *bench) start(profile TCPProfile) {
	b.t.Helper()
	b.startWith(Config{Serverside: profile})
}

// startWith starts the proxy as configured; the addresses are filled in.
func (b *bench) startWith(c Config) {
	b.t.Helper()
	c.VirtualServer.Name, c.VirtualServer.Destination = "/Common/vs", b.a.VIP
	c.SNAT.SelfIP = b.a.SNAT
	if c.Pool.Members == nil {
		c.Pool.Members = []Member{{Name: topology.Server1, Address: b.a.Server1}}
	}
	var err error
	b.proxy, err = Start(b.Host(topology.F5), c, Hooks{
		Dialing: func(d Dial) {
			b.dialing.Add(1)
			if b.hooks.Dialing != nil {
				b.hooks.Dialing(d)
			}
		},
		Dialed: func(Dial) { b.dialed.Add(1) },
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// close ends the proxy, at the latest with the test, and returns its flows.
func (b *bench) close() []*Flow {
	b.t.Helper()
	if b.proxy == nil {
		return nil
	}
	type result struct {
		flows []*Flow
		err   error
	}
	done := make(chan result, 1)
	go func(p *Proxy) {
		flows, err := p.Close()
		done <- result{flows, err}
	}(b.proxy)
	b.proxy = nil
	r := receive(b.t, done, "the proxy did not close")
	if r.err != nil {
		b.t.Error(r.err)
	}
	return r.flows
}

// flow closes the proxy and returns the only flow there was.
func (b *bench) flow() *Flow {
	b.t.Helper()
	flows := b.close()
	if len(flows) != 1 {
		b.t.Fatalf("%d flows, want 1", len(flows))
	}
	return flows[0]
}

func receive[T any](t *testing.T, c <-chan T, otherwise string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
	return v
}

// member listens where server1 should and gives each connection to serve, which
// need not close it.
func (b *bench) member(serve func(c *net.TCPConn)) {
	b.t.Helper()
	l, err := b.Host(topology.Server1).Listen(b.t.Context(), "tcp", b.a.Server1.String())
	if err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	b.t.Cleanup(func() { l.Close(); <-ended })
}

// accepted is a member that hands its connections to the test.
func (b *bench) accepted() <-chan *net.TCPConn {
	c := make(chan *net.TCPConn)
	ctx := b.t.Context()
	b.member(func(conn *net.TCPConn) {
		select {
		case c <- conn:
		case <-ctx.Done():
		}
		<-ctx.Done() // the test is through with it
	})
	return c
}

// dial connects from the client; the connection is closed with the test.
func (b *bench) dial() *net.TCPConn {
	b.t.Helper()
	c, err := b.Host(topology.Client).Dial(b.t.Context(), "tcp", b.a.VIP.String())
	if err != nil {
		b.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	b.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func (b *bench) write(c net.Conn, text string) {
	b.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		b.t.Fatal(err)
	}
}

// dropSYNs makes the firewall drop every SYN to a member.
func (b *bench) dropSYNs() *fault.Injector { return b.inject(fault.PerTuple) }

// inject drops SYNs at the firewall with probability 1: all, or those armed.
func (b *bench) inject(per fault.Per) *fault.Injector {
	b.t.Helper()
	i, err := fault.Inject(b.Lab, fault.Fault{Name: "deaf", At: topology.Firewall, Direction: fault.ToServer,
		Match: fault.SYN, Do: fault.Drop, Per: per, Probability: 1}, 1, 7)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := i.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return i
}

// awaitNobody waits until the proxy has let go of every client.
func (b *bench) awaitNobody() {
	b.t.Helper()
	live, p := make(chan int, 1), b.proxy
	labtest.Await(b.t, "the proxy has let its client go", func() bool {
		p.loop.Post(func() { live <- len(p.live) })
		return receive(b.t, live, "the proxy's loop does not turn") == 0
	})
}

// dropFirst makes the firewall drop SYNs until the ledger holds n of them: the
// fault is taken off in time before the next is due.
func (b *bench) dropFirst(n int) *fault.Injector {
	b.t.Helper()
	i := b.inject(fault.PerConnection)
	ended := make(chan struct{})
	ctx := b.t.Context()
	b.hooks.Dialing = func(d Dial) {
		i.Arm(d.Ordinal, d.Attempt, d.SNAT, d.Member)
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				if r, err := i.Report(ctx); err != nil || len(r.Entries) >= n {
					i.Arm(-1, 0, d.SNAT, d.Member) // nobody's: not hit
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	b.t.Cleanup(func() { <-ended })
	return i
}

// closer makes a buffer a file.
type closer struct{ *bytes.Buffer }

func (closer) Close() error { return nil }

// capture records the f5's point until stop is called, which returns the frames.
func (b *bench) capture() (stop func() []seen) {
	b.t.Helper()
	file := closer{&bytes.Buffer{}}
	table := b.proxy.Table()
	host := b.Host(topology.F5)
	session, err := capture.Start([]capture.Point{{Hop: topology.F5, Face: "0.0", Side: capture.Both,
		Taps:          []capture.Tap{{Host: host, Interface: topology.External, VLAN: ClientsideVLAN}, {Host: host, Interface: topology.Internal, VLAN: ServersideVLAN}},
		AppendTrailer: table.AppendTrailer}},
		func(*capture.Point) (io.WriteCloser, error) { return file, nil }, func(err error) { b.t.Error(err) })
	if err != nil {
		b.t.Fatal(err)
	}
	stopped := false
	end := func() {
		if stopped {
			return
		}
		stopped = true
		if _, err := session.Stop(); err != nil {
			b.t.Error(err)
		}
	}
	b.t.Cleanup(end)
	return func() []seen {
		b.t.Helper()
		end()
		return read(b.t, file.Bytes())
	}
}

// seen is a frame out of the f5's capture.
type seen struct {
	segment
	at      time.Duration // since the first frame
	vlan    uint16
	seq     uint32
	trailer f5trailer.Trailer
}

func read(t *testing.T, file []byte) (frames []seen) {
	t.Helper()
	r, err := pcapng.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	first := int64(0)
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		var s seen
		at, ok, err := f5trailer.DecodeFrame(p.Data, p.WireLength, &s.trailer)
		if err != nil || !ok {
			t.Fatalf("frame %d has no trailer: %v", p.Number, err)
		}
		s.vlan = uint16(p.Data[14]&15)<<8 | uint16(p.Data[15])
		plain := append(bytes.Clone(p.Data[:12]), p.Data[16:at]...)
		if s.segment, ok = parseSegment(plain); !ok {
			continue // ARP, neighbour discovery
		}
		tcp := plain[etherSize+40:]
		if ip := plain[etherSize:]; ip[0]>>4 == 4 {
			tcp = ip[int(ip[0]&15)*4:]
		}
		s.seq = binary.BigEndian.Uint32(tcp[4:])
		if first == 0 {
			first = p.Time
		}
		s.at = time.Duration(p.Time - first)
		frames = append(frames, s)
	}
}

// has says whether a frame has all of these flags.
func (s *seen) has(flags byte) bool { return s.flags&flags == flags }

// request is a complete header of a request that announces a body.
func request(ordinal, body int) string {
	return fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: vs\r\nX-Request-ID: %d\r\nContent-Length: %d\r\n\r\n", ordinal, body)
}

// reset reads from a connection until it fails and says whether a RST did it.
func reset(c net.Conn) (received []byte, wasReset bool, err error) {
	received, err = io.ReadAll(c)
	return received, errors.Is(err, syscall.ECONNRESET), err
}

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
