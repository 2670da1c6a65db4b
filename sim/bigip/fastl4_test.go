package bigip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/internal/tshark"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// startFastL4 starts a FastL4 virtual server with a profile.
func (b *bench) startFastL4(profile FastL4Profile, more ...func(*Config)) {
	b.t.Helper()
	c := Config{VirtualServer: VirtualServer{Type: FastL4}, FastL4: profile}
	for _, edit := range more {
		edit(&c)
	}
	b.startWith(c)
}

// heard is a TCP segment out of a capture.
type heard struct {
	datagram
	at time.Time
	serverside,
	outgoing bool // at the f5
	trailer f5trailer.Trailer
}

func (h heard) String() string {
	return fmt.Sprintf("%v > %v flags %#x seq %d ack %d payload %d", h.src, h.dst, h.flags, h.seq, h.ack, h.payload)
}

// witness is what three captures of a test have seen.
type witness struct {
	client, f5, server []heard
	file               string // of the f5's
}

// witnesses captures at the client, the f5 and server1 until the function is called.
func (b *bench) witnesses() (stop func() *witness) {
	b.t.Helper()
	dir, table := b.t.TempDir(), b.proxy.Table()
	tap := func(node, face string, vlan uint16) capture.Tap {
		return capture.Tap{Host: b.Host(node), Interface: face, VLAN: vlan}
	}
	points := []capture.Point{
		{Hop: topology.Client, Face: topology.ClientFace, Taps: []capture.Tap{tap(topology.Client, topology.ClientFace, 0)}},
		{Hop: topology.F5, Face: "0.0", AppendTrailer: table.AppendTrailer,
			Taps: []capture.Tap{tap(topology.F5, topology.External, ClientsideVLAN), tap(topology.F5, topology.Internal, ServersideVLAN)}},
		{Hop: topology.Server1, Face: topology.ServerFace, Taps: []capture.Tap{tap(topology.Server1, topology.ServerFace, 0)}},
	}
	path := func(p *capture.Point) string { return filepath.Join(dir, p.Hop+".pcapng") }
	session, err := capture.Start(points, func(p *capture.Point) (io.WriteCloser, error) { return os.Create(path(p)) },
		func(err error) { b.t.Error(err) })
	if err != nil {
		b.t.Fatal(err)
	}
	ended := sync.OnceFunc(func() {
		results, err := session.Stop()
		if err != nil {
			b.t.Error(err)
		}
		for _, r := range results {
			if r.Dropped > 0 {
				b.t.Errorf("the capture at %s lost %d frames", r.Point.Name(), r.Dropped)
			}
		}
	})
	b.t.Cleanup(ended)
	return func() *witness {
		b.t.Helper()
		if err := b.AwaitQuiet(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		ended()
		w := &witness{file: path(&points[1])}
		for i, into := range []*[]heard{&w.client, &w.f5, &w.server} {
			*into = hear(b.t, path(&points[i]))
		}
		return w
	}
}

// hear reads the TCP segments of a capture file.
func hear(t *testing.T, file string) (all []heard) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapng.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		h := heard{at: time.Unix(0, p.Time)}
		plain := bytes.Clone(p.Data)
		if plain[12] == 0x81 {
			at, ok, err := f5trailer.DecodeFrame(p.Data, p.WireLength, &h.trailer)
			if err != nil || !ok {
				t.Fatalf("frame %d has no trailer: %v", p.Number, err)
			}
			h.serverside, h.outgoing = uint16(plain[14]&15)<<8|uint16(plain[15]) == ServersideVLAN, !h.trailer.Low.Ingress
			plain = append(plain[:12], plain[16:at]...)
		}
		var ok bool
		if h.datagram, ok = parseDatagram(plain); ok {
			all = append(all, h)
		}
	}
}

// at selects the frames of one side and direction of the f5.
func (w *witness) at(s side, outgoing bool) (some []heard) {
	for _, h := range w.f5 {
		if h.serverside == (s == serverside) && h.outgoing == outgoing {
			some = append(some, h)
		}
	}
	return some
}

// with selects the frames that have all of these flags.
func with(all []heard, flags byte) (some []heard) {
	for _, h := range all {
		if h.flags&flags == flags {
			some = append(some, h)
		}
	}
	return some
}

// only returns the one frame that there is.
func only(t *testing.T, what string, all []heard) heard {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%s: %d frames, want one: %v", what, len(all), all)
	}
	return all[0]
}

// checkPassed sees that the f5 has passed every segment on once, with other addresses
// and nothing else changed, and made only so many RSTs on each side of its own.
func (w *witness) checkPassed(t *testing.T, ownClientside, ownServerside int) {
	t.Helper()
	type content struct {
		seq, ack uint32
		flags    byte
		window   [2]byte
		body     [32]byte // options and payload
	}
	sum := func(all []heard) map[content]int {
		n := map[content]int{}
		for _, h := range all {
			if h.trailer.Medium.HasRSTCause {
				continue
			}
			n[content{h.seq, h.ack, h.flags, [2]byte(h.tcp[14:16]), sha256.Sum256(h.tcp[18:])}]++
		}
		return n
	}
	own := func(all []heard) (n int) {
		for _, h := range all {
			if h.trailer.Medium.HasRSTCause {
				n++
			}
		}
		return n
	}
	for _, way := range []struct {
		name    string
		in, out []heard
		own     int
	}{
		{"to the member", w.at(clientside, false), w.at(serverside, true), ownServerside},
		{"to the client", w.at(serverside, false), w.at(clientside, true), ownClientside},
	} {
		in, out := sum(way.in), sum(way.out)
		for c, n := range out {
			if in[c] != n {
				t.Errorf("%s: %d segments of seq %d, flags %#x went out, %d came in", way.name, n, c.seq, c.flags, in[c])
			}
		}
		if n := own(way.out); n != way.own {
			t.Errorf("%s: %d RSTs of its own, want %d", way.name, n, way.own)
		}
	}
}

// checkChecksums asks tshark about all that has come in and gone out.
func (w *witness) checkChecksums(t *testing.T) {
	t.Helper()
	bad, err := tshark.Checksums(t.Context(), w.file)
	if errors.Is(err, tshark.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(bad) > 0 {
		t.Errorf("the checksums of frames %v are wrong", bad)
	}
}

// echo is a member that sends back what it is sent.
func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestFastL4PassesAConnectionThroughEndToEnd(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			b.member(echo)
			b.startFastL4(FastL4Profile{})
			stop := b.witnesses()
			c := b.dial()
			local := c.LocalAddr().(*net.TCPAddr).AddrPort()
			b.write(c, "hello")
			_ = c.CloseWrite()
			if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			w := stop()
			f := b.flow()
			if f.Client != local || f.Ordinal != -1 || f.Tries != 1 || f.Reset != "" || f.Member != b.a.Server1 ||
				f.SNAT != netip.AddrPortFrom(b.a.SNAT, SNATPort(local.Port())) ||
				f.Connected.Before(f.Opened) || f.Closed.Before(f.Connected) || f.Opened.IsZero() {
				t.Errorf("the flow is %+v", f)
			}
			syn := only(t, "SYN at the server", with(w.server, flagSYN)[:1])
			own := only(t, "SYN at the client", with(w.client, flagSYN)[:1])
			if syn.seq != own.seq || syn.src != f.SNAT || syn.dst != b.a.Server1 {
				t.Errorf("the client sent %v, the member got %v", own, syn)
			}
			// An IPv4 header has the TTL where an IPv6 header has none: both are
			// one less at the f5 and one less at the firewall.
			ttl := map[topology.Family]int{topology.IPv4: 8, topology.IPv6: 7}[family]
			if sent, got := own.frame[etherSize+ttl], syn.frame[etherSize+ttl]; got != sent-2 {
				t.Errorf("the client's TTL is %d, at the member %d", sent, got)
			}
			answer := only(t, "SYN-ACK at the server", with(w.server, flagSYN|flagACK))
			passed := only(t, "SYN-ACK at the client", with(w.client, flagSYN|flagACK))
			if passed.seq != answer.seq || passed.ack != answer.ack || passed.src != b.a.VIP || passed.dst != local {
				t.Errorf("the member answered %v, the client got %v", answer, passed)
			}
			for _, h := range w.client {
				if h.src != b.a.VIP && h.dst != b.a.VIP {
					t.Errorf("the client sees %v", h)
				}
			}
			w.checkPassed(t, 0, 0)
			w.checkChecksums(t)
		})
	}
}

func TestTheTrailersOfAFastL4ConnectionTellItsPeerFromTheMembersAnswerOn(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(echo)
	b.startFastL4(FastL4Profile{})
	stop := b.witnesses()
	c := b.dial()
	b.write(c, "hello")
	_ = c.CloseWrite()
	_, _ = io.ReadAll(c)
	w := stop()
	f := b.flow()
	in, out := w.at(clientside, false), w.at(clientside, true)
	if m := in[0].trailer.Medium; m.FlowID != 0 || m.PeerID != 0 || in[0].trailer.Low.VirtualServer != "" {
		t.Errorf("the SYN's trailer is %+v", in[0].trailer)
	}
	near, far := out[0].trailer, w.at(serverside, true)[0].trailer
	if near.Low.VirtualServer != "/Common/vs" || near.Medium.FlowID == 0 || near.Medium.FlowID != far.Medium.PeerID ||
		near.Medium.PeerID != far.Medium.FlowID || near.Low.TMM != far.Low.TMM {
		t.Errorf("the SYN-ACK to the client has %+v, the SYN to the member %+v", near, far)
	}
	if near.High.Remote != f.Member || near.High.Local != f.SNAT || far.High.Remote != f.Client || far.High.Local != b.a.VIP {
		t.Errorf("the peers are %+v and %+v", near.High, far.High)
	}
	for _, h := range w.f5[1:] {
		want := near
		if h.serverside {
			want = far
		}
		if h.trailer.Medium.FlowID != want.Medium.FlowID || h.trailer.Medium.PeerID != want.Medium.PeerID || h.trailer.High != want.High {
			t.Errorf("%v has the trailer %+v", h, h.trailer)
		}
	}
}

// dialError dials and returns how it failed.
func (b *bench) dialError() error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	c, err := b.Host(topology.Client).Dial(ctx, "tcp", b.a.VIP.String())
	if err == nil {
		c.Close()
		b.t.Fatal("the client is connected")
	}
	return err
}

func TestFastL4AnswersASYNThatItCannotPassOnWithARST(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edit  func(b *bench, c *Config)
		cause Cause
	}{
		{"no member is enabled", func(b *bench, c *Config) {
			c.Pool.Members = []Member{{Name: topology.Server1, Address: b.a.Server1, State: Disabled}}
		}, NoPoolMember},
		{"no member is enabled, and it is to reset at once", func(b *bench, c *Config) {
			c.VirtualServer.ServiceDown = ServiceDownReset
			c.Pool.Members = []Member{{Name: topology.Server1, Address: b.a.Server1, State: Disabled}}
		}, VIPDown},
		{"it is disabled", func(_ *bench, c *Config) { c.VirtualServer.State = Disabled }, NoLocalListener},
		{"every member is full", func(b *bench, c *Config) {
			c.Pool.Members = []Member{{Name: topology.Server1, Address: b.a.Server1, ConnectionLimit: 1}}
		}, LimitExceeded},
		{"the virtual server is full", func(_ *bench, c *Config) { c.VirtualServer.ConnectionLimit = 1 }, LimitExceeded},
		{"the source ports are exhausted", func(_ *bench, c *Config) { c.SNAT.Ports = 1 }, NoLocalPort},
		{"there is no way to the member", func(_ *bench, c *Config) {
			c.Pool.Members = []Member{{Name: topology.Server1, Address: mustAddrPort("203.0.113.1:80")}}
		}, NoRoute},
		{"the next hop is not known", func(b *bench, c *Config) {
			c.Pool.Members = []Member{{Name: topology.Server1, Address: netip.AddrPortFrom(b.a.SNAT.Next(), 80)}}
		}, NoRoute},
		{"no SNAT address is of the member's family", func(_ *bench, c *Config) {
			c.SNAT.Type, c.SNAT.Pool = SNATPool, []netip.Addr{netip.MustParseAddr("2001:db8::1")}
		}, NoSNATAddress},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := build(t, topology.IPv4)
			b.member(echo)
			b.startFastL4(FastL4Profile{}, func(c *Config) { row.edit(b, c) })
			stop := b.witnesses()
			open := 0
			if row.cause == LimitExceeded || row.cause == NoLocalPort { // the first connection takes what there is
				c := b.dial()
				b.write(c, "hello")
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				open = 1
			}
			if err := b.dialError(); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("the client got %v", err)
			}
			w := stop()
			p := b.proxy
			if flows := b.close(); len(flows) != open {
				t.Errorf("%d flows, want %d", len(flows), open)
			}
			rst := only(t, "RST", with(w.at(clientside, true), flagRST))
			syn := with(w.at(clientside, false), flagSYN)[open]
			if m := rst.trailer.Medium; m.RSTCause.Text != row.cause.Text || m.RSTCause.Peer || rst.ack != syn.seq+1 || rst.seq != 0 {
				t.Errorf("the SYN %v is answered with %v, %+v", syn, rst, m)
			}
			if n := len(with(w.at(serverside, true), flagSYN)); n != open {
				t.Errorf("%d SYNs to members, want %d", n, open)
			}
			if r := p.Resets(); len(r) != 1 || r[0].Cause != row.cause || r[0].Serverside || r[0].Peer || r[0].Client != syn.src ||
				r[0].From != b.a.VIP || r[0].To != syn.src || r[0].Flow != nil || r[0].Ordinal != -1 {
				t.Errorf("the ledger is %+v", r)
			}
			w.checkPassed(t, 1, 0)
		})
	}
}

func TestAFastL4RSTCarriesItsCauseWhereItIsTold(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			b.startFastL4(FastL4Profile{}, func(c *Config) {
				c.RSTCause.Packet = true
				c.Pool.Members = []Member{{Name: topology.Server1, Address: b.a.Server1, State: Disabled}}
			})
			stop := b.witnesses()
			if err := b.dialError(); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("the client got %v", err)
			}
			w := stop()
			rst := only(t, "RST", with(w.client, flagRST))
			if got, want := string(rst.tcp[20:]), NoPoolMember.payload(false); got != want {
				t.Errorf("the RST says %q, want %q", got, want)
			}
			w.checkChecksums(t)
		})
	}
}

func TestWhatTheMemberAnswersASYNWithIsTheClients(t *testing.T) {
	b := build(t, topology.IPv4)
	b.startFastL4(FastL4Profile{}) // and nobody listens
	stop := b.witnesses()
	if err := b.dialError(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the client got %v", err)
	}
	w := stop()
	p := b.proxy
	f := b.flow()
	if !f.Connected.IsZero() || f.Closed.IsZero() || f.Reset != "" || f.Tries != 1 {
		t.Errorf("the flow is %+v", f)
	}
	made, got := only(t, "RST at the member", with(w.server, flagRST)), only(t, "RST at the client", with(w.client, flagRST))
	if got.ack != made.ack || got.src != b.a.VIP {
		t.Errorf("the member sent %v, the client got %v", made, got)
	}
	if r, seen := p.Resets(), p.Table().RSTs(); len(r) != 0 || seen.Sent != 0 || len(seen.Rejected) != 0 {
		t.Errorf("the f5 says that it made %+v and saw %+v", r, seen)
	}
	w.checkPassed(t, 0, 0)
}

func TestTheClientsOwnRetransmissionsPassThroughAndNoOthers(t *testing.T) {
	t.Parallel()
	b := build(t, topology.IPv4)
	b.member(echo)
	i := b.dropSYNs()
	b.startFastL4(FastL4Profile{HandshakeTimeout: time.Minute})
	stop := b.witnesses()
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	var timeout net.Error
	if _, err := b.Host(topology.Client).Dial(ctx, "tcp", b.a.VIP.String()); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the client got %v", err)
	}
	w := stop()
	f := b.flow()
	sent, passed := with(w.at(clientside, false), flagSYN), with(w.at(serverside, true), flagSYN)
	if len(sent) < 2 || len(passed) != len(sent) || f.Tries != len(sent) {
		t.Errorf("%d SYNs came, %d went, the flow counts %d", len(sent), len(passed), f.Tries)
	}
	if r, err := i.Report(t.Context()); err != nil || len(r.Entries) != f.Tries {
		t.Errorf("the firewall dropped %d of them, %v", len(r.Entries), err)
	}
	w.checkPassed(t, 0, 0)
}

func TestAHandshakeThatTakesTooLongIsResetAtBothEnds(t *testing.T) {
	t.Parallel()
	const slow = 300 * time.Millisecond
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run("the member does not answer, "+string(family), func(t *testing.T) {
			t.Parallel()
			b := build(t, family)
			b.member(echo)
			b.dropSYNs()
			b.startFastL4(FastL4Profile{HandshakeTimeout: slow})
			stop := b.witnesses()
			if err := b.dialError(); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("the client got %v", err)
			}
			w := stop()
			p := b.proxy
			f := b.flow()
			if f.Reset != HandshakeExpired.Text || !f.Peer || !f.Connected.IsZero() {
				t.Errorf("the flow is %+v", f)
			}
			syn := with(w.at(clientside, false), flagSYN)[0]
			near, far := only(t, "RST to the client", with(w.client, flagRST)), only(t, "RST to the member", with(w.server, flagRST))
			if d := near.at.Sub(syn.at); d < slow || d > slow+time.Second {
				t.Errorf("the RST came after %v", d)
			}
			if near.ack != syn.seq+1 || far.seq != syn.seq+1 || far.flags&flagACK != 0 {
				t.Errorf("the RSTs for %v are %v and %v", syn, near, far)
			}
			checkResets(t, p, []Reset{{Serverside: true, Cause: HandshakeExpired}, {Cause: HandshakeExpired, Peer: true}})
			w.checkPassed(t, 1, 1)
			w.checkChecksums(t)
		})
	}
	t.Run("the client does not acknowledge", func(t *testing.T) {
		t.Parallel()
		b := build(t, topology.IPv4)
		b.member(echo)
		b.startFastL4(FastL4Profile{HandshakeTimeout: slow})
		stop := b.witnesses()
		b.ignoreAnswers()
		if err := b.dialError(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the client got %v", err)
		}
		w := stop()
		p := b.proxy
		f := b.flow()
		if f.Reset != HandshakeExpired.Text || f.Peer || f.Connected.IsZero() {
			t.Errorf("the flow is %+v", f)
		}
		answer := with(w.server, flagSYN|flagACK)[0]
		near, far := only(t, "RST to the client", with(w.client, flagRST)), only(t, "RST to the member", with(w.server, flagRST))
		if near.seq != answer.seq+1 || near.ack != answer.ack || far.seq != answer.ack || far.ack != answer.seq+1 {
			t.Errorf("after %v the RSTs are %v and %v", answer, near, far)
		}
		checkResets(t, p, []Reset{{Serverside: true, Cause: HandshakeExpired, Peer: true}, {Cause: HandshakeExpired}})
		w.checkPassed(t, 1, 1)
	})
}

// ignoreAnswers makes the client a half-open one: what it sends is never acknowledged,
// for its TCP is not given the SYN-ACK.
func (b *bench) ignoreAnswers() {
	b.t.Helper()
	c, err := nft.Open(b.Host(topology.Client))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if _, err := c.AddRule(nft.RuleSpec{Name: "deaf", Place: nft.Input, Segments: nft.SYNACKs, Answers: true,
		Servers: []netip.Addr{b.a.VIP.Addr()}, LogGroup: 1}); err != nil {
		b.t.Fatal(err)
	}
}

// hello dials and has a word with an [echo], so that the flow is established.
func (b *bench) hello() *net.TCPConn {
	b.t.Helper()
	c := b.dial()
	b.write(c, "hello")
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func TestAnIdleFastL4ConnectionEndsWhenItsProfileSays(t *testing.T) {
	t.Parallel()
	const idle = 600 * time.Millisecond
	for _, row := range []struct {
		name   string
		family topology.Family
		reset  bool
	}{
		{"with a RST to both ends, which both believe", topology.IPv4, true},
		{"so too with IPv6", topology.IPv6, true},
		{"without reset-on-timeout nobody is told, until he says something", topology.IPv4, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := build(t, row.family)
			atMember := make(chan error, 1)
			b.member(func(c *net.TCPConn) {
				_, err := io.Copy(c, c)
				atMember <- err
			})
			b.startFastL4(FastL4Profile{IdleTimeout: idle, ResetOnTimeout: &row.reset})
			stop := b.witnesses()
			c := b.hello()
			var last time.Time
			tick := time.NewTicker(idle / 4)
			defer tick.Stop()
			for range 8 { // what passes keeps the flow alive
				last = time.Now()
				b.write(c, ".")
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				<-tick.C
			}
			if !row.reset {
				labtest.Await(t, "the flow is forgotten", func() bool { return b.flowsOpen() == 0 })
				b.write(c, "is anybody there")
			}
			if _, wasReset, err := reset(c); !wasReset {
				t.Errorf("the client got %v", err)
			}
			p := b.proxy
			if row.reset {
				if err := receive(t, atMember, "the member waits"); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the member got %v", err)
				}
				w := stop()
				f := b.flow()
				if f.Reset != FlowExpired.Text || f.Peer {
					t.Errorf("the flow is %+v", f)
				}
				checkResets(t, p, []Reset{{Serverside: true, Cause: FlowExpired}, {Cause: FlowExpired}})
				w.checkPassed(t, 1, 1)
				w.checkChecksums(t)
				return
			}
			w := stop()
			f := b.flow()
			if f.Reset != "" || f.Closed.Sub(last) < idle {
				t.Errorf("the flow is %+v", f)
			}
			checkResets(t, p, []Reset{{Cause: NoFlowForACK}})
			rst := only(t, "RST", with(w.client, flagRST))
			if m := with(w.at(clientside, true), flagRST)[0].trailer.Medium; m.FlowType != flowTypeReject || m.PeerID != 0 || m.RSTCause.Text != NoFlowForACK.Text || rst.flags&flagACK != 0 {
				t.Errorf("%v has the trailer %+v", rst, m)
			}
		})
	}
}

// flowsOpen asks how many flows have not ended.
func (b *bench) flowsOpen() int {
	b.t.Helper()
	open, v := make(chan int, 1), b.proxy.fastL4
	v.loop.Post(func() { open <- v.open })
	return receive(b.t, open, "the proxy's loop does not turn")
}

func TestAPacketOfNoFlowIsAnsweredWithARSTOnEitherSideButNotTooOften(t *testing.T) {
	b := build(t, topology.IPv4)
	atMember := make(chan error, 1)
	resume := make(chan struct{})
	b.member(func(c *net.TCPConn) {
		<-resume
		_, err := io.WriteString(c, "is anybody there")
		for err == nil {
			_, err = c.Read(make([]byte, 16))
		}
		atMember <- err
	})
	noReset := false
	b.startFastL4(FastL4Profile{IdleTimeout: 20 * time.Millisecond, ResetOnTimeout: &noReset})
	b.dial()
	labtest.Await(t, "the flow is forgotten", func() bool { return b.flowsOpen() == 0 })
	stop := b.witnesses()
	close(resume)
	if err := receive(t, atMember, "the member waits"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the member got %v", err)
	}
	p := b.proxy
	stop()
	b.close()
	checkResets(t, p, []Reset{{Serverside: true, Cause: NoFlowForACK}})
	a, now := allowance{}, time.Unix(1000, 0)
	answered := 0
	for i := range 4 * maxRejectRate {
		if a.take(now.Add(time.Duration(i) * time.Second / (2 * maxRejectRate))) {
			answered++
		}
	}
	if answered != 2*maxRejectRate {
		t.Errorf("of twice as many as may be %d were answered in two seconds, want %d", answered, 2*maxRejectRate)
	}
}

func TestEitherEndsRSTPassesThrough(t *testing.T) {
	for _, who := range []string{"client", "member"} {
		t.Run("the "+who+"'s", func(t *testing.T) {
			b := build(t, topology.IPv4)
			conns := b.accepted()
			b.startFastL4(FastL4Profile{})
			stop := b.witnesses()
			c := b.dial()
			m := receive(t, conns, "the member was not called")
			from, to := c, m
			if who == "member" {
				from, to = m, c
			}
			if err := errors.Join(from.SetLinger(0), from.Close()); err != nil {
				t.Fatal(err)
			}
			if _, wasReset, err := reset(to); !wasReset {
				t.Errorf("the other end got %v", err)
			}
			w := stop()
			p := b.proxy
			if f := b.flow(); f.Reset != "" || f.Closed.IsZero() {
				t.Errorf("the flow is %+v", f)
			}
			checkResets(t, p, nil)
			w.checkPassed(t, 0, 0)
		})
	}
}

func TestAClientMayUseItsPortAgainAtOnce(t *testing.T) {
	for _, row := range []struct {
		name     string
		preserve bool
	}{{"with another source port", false}, {"with its own", true}} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(echo)
			b.startFastL4(FastL4Profile{}, func(c *Config) {
				if row.preserve {
					c.VirtualServer.SourcePort = Preserve
				}
			})
			stop := b.witnesses()
			local := netip.AddrPortFrom(b.a.Client, 54373)
			want := netip.AddrPortFrom(b.a.SNAT, 43166)
			if row.preserve {
				want = netip.AddrPortFrom(b.a.SNAT, 54373)
			}
			for range 3 {
				c := b.dialFrom(local)
				b.write(c, "hello")
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
					t.Fatal(err)
				}
				labtest.Await(t, "the flow has ended", func() bool { return b.flowsOpen() == 0 })
			}
			w := stop()
			for _, f := range b.close() {
				if f.SNAT != want || f.Client != local || f.Connected.IsZero() || f.Closed.IsZero() {
					t.Errorf("the flow is %+v", f)
				}
			}
			ids := map[uint64]bool{}
			for _, h := range w.f5 {
				if h.opens() && !h.serverside {
					continue
				}
				m := h.trailer.Medium
				if m.FlowID == 0 || m.PeerID == 0 {
					t.Errorf("%v has the trailer %+v", h, m)
				}
				ids[m.FlowID] = true
			}
			if len(ids) == 0 {
				t.Error("there are no flows")
			}
			w.checkPassed(t, 0, 0)
		})
	}
}

// dialFrom connects from a port of the client's.
func (b *bench) dialFrom(local netip.AddrPort) *net.TCPConn {
	b.t.Helper()
	var conn net.Conn
	dialed := make(chan error, 1)
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(local), Timeout: patience}
	d.SetMultipathTCP(false)
	if err := b.Host(topology.Client).Go(func() {
		var err error
		conn, err = d.DialContext(b.t.Context(), "tcp", b.a.VIP.String())
		dialed <- err
	}); err != nil {
		b.t.Fatal(err)
	}
	if err := receive(b.t, dialed, "the client is not connected"); err != nil {
		b.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

func TestFastL4PassesLargeTransfersBothWaysIntact(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			up, down := megabytes(6, 1), megabytes(6, 2)
			received := make(chan [32]byte, 1)
			b.member(func(c *net.TCPConn) {
				sent := make(chan error, 1)
				go func() {
					_, err := c.Write(down)
					sent <- errors.Join(err, c.CloseWrite())
				}()
				body, err := io.ReadAll(c)
				if err := errors.Join(err, <-sent); err != nil {
					t.Error(err)
				}
				received <- sha256.Sum256(body)
			})
			b.startFastL4(FastL4Profile{})
			c := b.dial()
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(up)
				sent <- errors.Join(err, c.CloseWrite())
			}()
			got, err := io.ReadAll(c)
			if err := errors.Join(err, receive(t, sent, "the body was not taken")); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, down) || receive(t, received, "the member did not finish") != sha256.Sum256(up) {
				t.Errorf("%d bytes came back; one of the bodies is another than was sent", len(got))
			}
			labtest.Await(t, "the flow has ended", func() bool { return b.flowsOpen() == 0 })
			if f := b.flow(); f.Tries != 1 || f.Connected.IsZero() || f.Closed.Before(f.Connected) {
				t.Errorf("the flow is %+v", f)
			}
		})
	}
}

func TestFastL4TranslatesAsTheSNATSays(t *testing.T) {
	for _, row := range []struct {
		name   string
		family topology.Family
		snat   SNAT
		from   []string // the addresses that the member sees; none: the client's own
	}{
		{"a snatpool, whose addresses have their turns", topology.IPv4, SNAT{Type: SNATPool, Pool: addresses("198.18.60.5", "198.18.60.6")}, []string{"198.18.60.5", "198.18.60.6"}},
		{"none", topology.IPv4, SNAT{Type: NoSNAT}, nil},
		{"none, IPv6", topology.IPv6, SNAT{Type: NoSNAT}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := Config{VirtualServer: VirtualServer{Type: FastL4}, SNAT: row.snat}
			b := buildFor(t, row.family, config)
			from := make(chan netip.AddrPort, 3)
			b.member(func(c *net.TCPConn) {
				from <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
				echo(c)
			})
			b.startWith(config)
			stop := b.witnesses()
			for i := range 2 {
				c := b.hello() // and the connection stays
				got := receive(t, from, "the member was not called")
				if row.from == nil && got != c.LocalAddr().(*net.TCPAddr).AddrPort() || row.from != nil && got.Addr().String() != row.from[i] {
					t.Errorf("the member sees %v", got)
				}
			}
			w := stop()
			checkResets(t, b.proxy, nil)
			if flows := b.close(); len(flows) != 2 {
				t.Errorf("%d flows", len(flows))
			}
			w.checkPassed(t, 0, 0)
		})
	}
}

func TestThreeHundredFastL4ConnectionsAtOnceAllGetTheirOwnAnswer(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(echo)
	b.startFastL4(FastL4Profile{})
	stop := b.witnesses()
	const n = 300
	var clients sync.WaitGroup
	for i := range n {
		c := b.dial()
		clients.Go(func() {
			word := fmt.Sprintf("connection %d", i)
			_, err := io.WriteString(c, word)
			err = errors.Join(err, c.CloseWrite())
			got, err2 := io.ReadAll(c)
			if string(got) != word || errors.Join(err, err2) != nil {
				t.Errorf("%s got %q, %v, %v", word, got, err, err2)
			}
		})
	}
	clients.Wait()
	labtest.Await(t, "all flows have ended", func() bool { return b.flowsOpen() == 0 })
	w := stop()
	flows := b.close()
	sources := map[netip.AddrPort]bool{}
	for _, f := range flows {
		sources[f.SNAT] = true
		if f.Connected.IsZero() || f.Closed.IsZero() || f.Reset != "" {
			t.Errorf("the flow is %+v", f)
		}
	}
	if len(flows) != n || len(sources) != n {
		t.Errorf("%d flows from %d sources, want %d", len(flows), len(sources), n)
	}
	w.checkPassed(t, 0, 0)
}

func TestAClosedFastL4VirtualServerLeavesNoDescriptorAndNoThread(t *testing.T) {
	b := build(t, topology.IPv4)
	conns := b.accepted()
	for i := range 3 {
		before, threads := labtest.Descriptors(t), labtest.Strangers(t)
		b.startFastL4(FastL4Profile{})
		c := b.dial()
		m := receive(t, conns, "the member was not called")
		if f := b.flow(); f.Connected.IsZero() || f.Closed.IsZero() {
			t.Errorf("the flow is %+v", f)
		}
		if err := errors.Join(c.SetLinger(0), c.Close(), m.SetLinger(0), m.Close()); err != nil {
			t.Fatal(err)
		}
		if after, now := labtest.Descriptors(t), labtest.Strangers(t); i > 0 && (after > before || now > threads) { // the first one leaves what is set up for good
			t.Errorf("%d descriptors and %d threads before, %d and %d after", before, threads, after, now)
		}
	}
}

// checkResets compares the proxy's ledger, and what the capture has seen of it.
func checkResets(t *testing.T, p *Proxy, want []Reset) {
	t.Helper()
	seen := p.Table().RSTs()
	for i, r := range p.Resets() {
		k := Reset{Serverside: r.Serverside, Cause: r.Cause, Peer: r.Peer}
		if i >= len(want) || k != want[i] || seen.ByCause[k] != 1 {
			t.Errorf("line %d of the ledger is %+v", i, r)
		}
	}
	if len(p.Resets()) != len(want) || seen.Sent != uint64(len(want)) || p.Crafted() != seen.Sent || len(seen.Rejected) != 0 {
		t.Errorf("the ledger has %d lines, %d sent, the capture %+v", len(p.Resets()), p.Crafted(), seen)
	}
}
