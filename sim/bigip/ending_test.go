package bigip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sent is what the f5 sends to one side to end a connection: a RST with a cause, a FIN,
// or neither.
type sent struct {
	packet packet
	cause  Cause
	peer   bool
}

var (
	nothing = sent{}
	aFIN    = sent{packet: fin}
)

func aRST(cause Cause, peer bool) sent { return sent{rst, cause, peer} }

// sentTo reads from the f5's capture how it ended the connections of one side.
func sentTo(vlan uint16, frames []seen) sent {
	s := nothing
	for _, f := range frames {
		if f.vlan != vlan || f.trailer.Low.Ingress {
			continue
		}
		if m := f.trailer.Medium; f.has(flagRST) {
			return aRST(Cause{Text: m.RSTCause.Text}, m.RSTCause.Peer)
		}
		if f.has(flagFIN) {
			s = aFIN
		}
	}
	return s
}

// unplug takes a node's interface down: what is sent to it from now on is lost.
func (b *bench) unplug(node, face string) {
	b.t.Helper()
	err := b.Host(node).Run(func() error {
		l, err := netlink.LinkByName(face)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(l)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// respond writes an answer with a body of n bytes.
func respond(c net.Conn, n int) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
}

// take reads a request up to the end of its header.
func take(c net.Conn) {
	b := make([]byte, 1<<16)
	for at := 0; !strings.Contains(string(b[:at]), "\r\n\r\n"); {
		n, err := c.Read(b[at:])
		if err != nil {
			return
		}
		at += n
	}
}

// TestWhatEndsAConnectionShowsOnTheWire brings every event about, by what really brings
// it about, and reads from the f5's capture who got what.
func TestWhatEndsAConnectionShowsOnTheWire(t *testing.T) {
	t.Parallel()
	const quickly = 300 * time.Millisecond
	plain := []Profile{ProfileTCP}
	tlsProfiles := []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL}
	impatient := TCPProfile{MaxRetrans: retrans(2), MinimumRTO: 50 * time.Millisecond}
	for _, row := range []struct {
		name               string
		config             Config
		buffer             int                            // Bytes that the member's kernel takes of a connection; zero: as many as it likes
		member             func(b *bench, c *net.TCPConn) // nil: reads the request and answers
		client             func(b *bench, c *net.TCPConn) // nil: asks, and reads to the end
		toClient, toMember sent
		flows              int
	}{
		{name: "all is said: a FIN each way", toClient: aFIN, toMember: aFIN, flows: 1},
		{name: "the member resets in the middle of its response",
			member: func(_ *bench, c *net.TCPConn) {
				take(c)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
				c.SetLinger(0)
			},
			toClient: aRST(RemoteReset, true), flows: 1},
		{name: "the client resets while the member thinks",
			member:   func(b *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 0)); b.awaitFlow(); c.SetLinger(0); c.Close() },
			toMember: aRST(RemoteReset, true), flows: 1},
		{name: "the member does not acknowledge data",
			config: Config{Serverside: impatient, Clientside: impatient},
			member: func(b *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 4))
				b.awaitFlow()
				b.unplug(topology.Server1, topology.ServerFace)
				b.write(c, "data")
			},
			toClient: aRST(RetransmitTimeout, true), flows: 1},
		{name: "the client does not acknowledge data",
			config: Config{Serverside: impatient, Clientside: impatient},
			member: func(b *bench, c *net.TCPConn) {
				take(c)
				b.unplug(topology.Client, topology.ClientFace)
				respond(c, 10)
				io.Copy(io.Discard, c)
			},
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 0)) },
			toMember: aRST(RetransmitTimeout, true), flows: 1},
		{name: "the client's window stays shut",
			config:   Config{Clientside: TCPProfile{ZeroWindowTimeout: quickly}},
			member:   func(_ *bench, c *net.TCPConn) { take(c); respond(c, 8<<20) },
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 0)); b.awaitNobody() },
			toClient: aRST(ZeroWindow, false), toMember: aRST(ZeroWindow, true), flows: 1},
		{name: "the member's window stays shut",
			config:   Config{Serverside: TCPProfile{ZeroWindowTimeout: quickly}},
			member:   func(b *bench, c *net.TCPConn) { take(c); <-b.t.Context().Done() },
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 16<<20)); c.Write(megabytes(16, 1)) },
			toClient: aRST(ZeroWindow, true), toMember: aRST(ZeroWindow, false), flows: 1},
		{name: "the member's window is shut to what the f5 has written already",
			config:   Config{Serverside: TCPProfile{ZeroWindowTimeout: quickly}},
			buffer:   32 << 10,
			member:   func(b *bench, c *net.TCPConn) { <-b.t.Context().Done() },
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 100<<10)); c.Write(make([]byte, 100<<10)) },
			toClient: aRST(ZeroWindow, true), toMember: aRST(ZeroWindow, false), flows: 1},
		{name: "nothing passes for the clientside's idle timeout",
			config:   Config{Clientside: TCPProfile{IdleTimeout: quickly}},
			member:   func(_ *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			toClient: aRST(FlowExpired, false), toMember: aRST(FlowExpired, false), flows: 1},
		{name: "nothing passes for the serverside's idle timeout",
			config:   Config{Serverside: TCPProfile{IdleTimeout: quickly}},
			member:   func(_ *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			toClient: aRST(FlowExpired, false), toMember: aRST(FlowExpired, false), flows: 1},
		{name: "a client that says nothing",
			config:   Config{Clientside: TCPProfile{IdleTimeout: quickly}},
			client:   func(b *bench, c *net.TCPConn) { io.Copy(io.Discard, c) },
			toClient: aRST(FlowExpired, false)},
		{name: "idle without reset-on-timeout, until the client speaks again",
			config: Config{Clientside: TCPProfile{IdleTimeout: quickly, ResetOnTimeout: enabled(false)}},
			member: func(_ *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 4))
				b.awaitNobody()
				b.write(c, "late")
				io.Copy(io.Discard, c)
			},
			toClient: aRST(NoFlowForACK, false), flows: 1},
		{name: "one client too many",
			config: Config{VirtualServer: VirtualServer{ConnectionLimit: 1}},
			member: func(b *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 0))
				b.awaitFlow()
				// It may be reset before it knows that it is connected.
				if second, err := b.Host(topology.Client).Dial(b.t.Context(), "tcp", b.a.VIP.String()); err == nil {
					io.Copy(io.Discard, second)
					second.Close()
				}
			},
			toClient: aRST(LimitExceeded, false), toMember: aFIN, flows: 1},
		{name: "one connection too many for the member",
			config: Config{Pool: Pool{Members: []Member{{ConnectionLimit: 1}}}},
			member: func(b *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 0))
				b.awaitFlow()
				second := b.dial()
				b.write(second, request(1, 0))
				io.Copy(io.Discard, second)
			},
			toClient: aRST(LimitExceeded, false), toMember: aFIN, flows: 1},
		{name: "the client does not answer keep-alive probes",
			config: Config{Clientside: TCPProfile{KeepAliveInterval: time.Second, MaxRetrans: retrans(2), MinimumRTO: 50 * time.Millisecond}},
			member: func(b *bench, c *net.TCPConn) {
				take(c)
				b.unplug(topology.Client, topology.ClientFace)
				io.Copy(io.Discard, c)
			},
			client:   func(b *bench, c *net.TCPConn) { b.write(c, request(0, 0)) },
			toMember: aRST(KeepAlive, true), flows: 1},
		{name: "the member does not answer keep-alive probes",
			config: Config{Serverside: TCPProfile{KeepAliveInterval: time.Second, MaxRetrans: retrans(2), MinimumRTO: 50 * time.Millisecond}},
			member: func(b *bench, c *net.TCPConn) {
				take(c)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
				io.Copy(io.Discard, c)
			},
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 0))
				_, _ = io.ReadFull(c, make([]byte, len("HTTP/1.1 200 OK")))
				b.unplug(topology.Server1, topology.ServerFace)
				_, _ = io.Copy(io.Discard, c)
			},
			// The kernel's own RST to the member, of which nobody knew before.
			toClient: aRST(KeepAlive, true), toMember: sent{packet: rst}, flows: 1},
		{name: "there is no pool", config: Config{Pool: Pool{Members: []Member{}}}, toClient: aRST(NoServerSelected, false)},
		{name: "no member is enabled", config: Config{Pool: Pool{Members: []Member{{State: Disabled}}}}, toClient: aRST(NoPoolMember, false)},
		{name: "no source port is left",
			config: Config{SNAT: SNAT{Ports: 1}},
			member: func(b *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, request(0, 0))
				b.awaitFlow()
				second := b.dial()
				b.write(second, request(1, 0))
				io.Copy(io.Discard, second)
			},
			toClient: aRST(NoLocalPort, false), toMember: aFIN, flows: 1},
		{name: "a rule rejects", config: Config{Rules: []Rule{{Path: "/batch", Do: RuleReject}}}, toClient: aRST(IRuleReject, false)},
		{name: "a rule for another header does not", config: Config{Rules: []Rule{{Header: "Host: other", Do: RuleReject}}}, toClient: aFIN, toMember: aFIN, flows: 1},
		{name: "a rule drops", config: Config{Rules: []Rule{{Header: "Host: vs", Do: RuleDrop}}},
			client: func(b *bench, c *net.TCPConn) { b.write(c, request(0, 0)); b.awaitNobody() }},
		{name: "a request that is no HTTP", client: func(b *bench, c *net.TCPConn) { b.write(c, "HELO there\r\n\r\n"); io.Copy(io.Discard, c) },
			toClient: aRST(HTTPInternal, false)},
		{name: "too many header fields", config: Config{HTTP: HTTPProfile{MaxHeaderCount: 2}},
			toClient: aRST(Cause{Text: "HTTP header count exceeded maximum allowed count of 2"}, false)},
		{name: "too large a header", config: Config{HTTP: HTTPProfile{MaxHeaderSize: 40}},
			toClient: aRST(Cause{Text: "HTTP header (40) exceeded maximum allowed size of 40"}, false)},
		{name: "without an http profile the member is asked at once, and may speak first",
			config: Config{VirtualServer: VirtualServer{Profiles: plain}},
			member: func(_ *bench, c *net.TCPConn) { io.WriteString(c, "220 hello\r\n") },
			client: func(b *bench, c *net.TCPConn) {
				if got, _ := io.ReadAll(c); string(got) != "220 hello\r\n" {
					b.t.Errorf("got %q", got)
				}
			},
			toClient: aFIN, toMember: aFIN, flows: 1},

		{name: "no TLS to a TLS port", config: Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}}, toClient: aRST(BadSSLRecord, false)},
		{name: "no cipher suite in common",
			config: Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}, ClientSSL: ClientSSL{Ciphers: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", MaxVersion: TLS12}},
			client: func(b *bench, c *net.TCPConn) {
				s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
				var alert tls.AlertError
				if err := s.HandshakeContext(b.t.Context()); !errors.As(err, &alert) && !strings.Contains(err.Error(), "handshake failure") {
					b.t.Errorf("the client got %v, want a TLS alert", err)
				}
			},
			toClient: aRST(NoSharedCiphers, false)},
		{name: "a TLS handshake that does not begin",
			config: Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}, ClientSSL: ClientSSL{HandshakeTimeout: quickly}},
			client: func(b *bench, c *net.TCPConn) { io.Copy(io.Discard, c) }, toClient: aRST(SSLHandshakeExpired, false)},
		{name: "a client that does not trust the certificate",
			config: Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}},
			client: func(b *bench, c *net.TCPConn) {
				_ = tls.Client(c, &tls.Config{ServerName: "f5.hopblame.example"}).HandshakeContext(b.t.Context())
				io.Copy(io.Discard, c)
			},
			toClient: aRST(SSLAlert, false)},
		{name: "https, and the member resets",
			config:   Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}},
			member:   func(_ *bench, c *net.TCPConn) { take(c); c.SetLinger(0) },
			client:   func(b *bench, c *net.TCPConn) { secure(b, c, request(0, 0)) },
			toClient: aRST(RemoteReset, true), flows: 1},
		{name: "https, and the client resets",
			config: Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}},
			member: func(_ *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client: func(b *bench, c *net.TCPConn) {
				s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				b.write(s, request(0, 0))
				b.awaitFlow()
				c.SetLinger(0)
				c.Close()
			},
			toMember: aRST(RemoteReset, true), flows: 1},
		{name: "https, and nothing passes for the idle timeout",
			config:   Config{VirtualServer: VirtualServer{Profiles: tlsProfiles}, Clientside: TCPProfile{IdleTimeout: quickly}},
			member:   func(_ *bench, c *net.TCPConn) { take(c); io.Copy(io.Discard, c) },
			client:   func(b *bench, c *net.TCPConn) { secure(b, c, request(0, 0)) },
			toClient: aRST(FlowExpired, false), toMember: aRST(FlowExpired, false), flows: 1},
		{name: "https to a member without an http profile",
			config: Config{VirtualServer: VirtualServer{Profiles: []Profile{ProfileTCP, ProfileClientSSL}}},
			member: func(_ *bench, c *net.TCPConn) { io.WriteString(c, "220 hello\r\n") },
			client: func(b *bench, c *net.TCPConn) {
				got, _ := io.ReadAll(tls.Client(c, &tls.Config{InsecureSkipVerify: true}))
				if string(got) != "220 hello\r\n" {
					b.t.Errorf("got %q", got)
				}
			},
			toClient: aFIN, toMember: aFIN, flows: 1},
		{name: "lb-failed answers 503 where no member is up",
			config: Config{Pool: Pool{Members: []Member{{State: Disabled}}}, HTTP: HTTPProfile{LBFailed: LBFailed503}},
			client: func(b *bench, c *net.TCPConn) {
				b.write(c, "GET / HTTP/1.1\r\nHost: vs\r\nConnection: close\r\n\r\n")
				if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 503 ") {
					b.t.Errorf("got %q", got)
				}
			},
			toClient: aFIN},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := build(t, topology.IPv4)
			serve := row.member
			if serve == nil {
				serve = func(_ *bench, c *net.TCPConn) { take(c); respond(c, 2) }
			}
			if row.buffer > 0 { // before there is a listener: what comes at once is to find it so
				if err := b.Host(topology.Server1).Set("net.ipv4.tcp_rmem", fmt.Sprintf("4096 %d %[1]d", row.buffer)); err != nil {
					t.Fatal(err)
				}
			}
			b.member(func(c *net.TCPConn) { serve(b, c) })
			if m := row.config.Pool.Members; len(m) > 0 {
				row.config.Pool.Members = slices.Clone(m)
				row.config.Pool.Members[0].Name, row.config.Pool.Members[0].Address = topology.Server1, b.a.Server1
			}
			b.startWith(row.config)
			stop := b.capture()
			c := b.dial()
			if row.client == nil {
				b.write(c, request(0, 0))
				_, _ = io.Copy(io.Discard, c)
			} else {
				row.client(b, c)
			}
			if row.toMember != aFIN {
				b.awaitNobody()
			}
			p := b.proxy
			if flows := b.close(); len(flows) != row.flows {
				t.Errorf("%d flows, want %d", len(flows), row.flows)
			}
			frames := stop()
			row.toClient.cause.line, row.toMember.cause.line = 0, 0
			if got := sentTo(ClientsideVLAN, frames); got != row.toClient {
				t.Errorf("the client was sent %+v, want %+v", got, row.toClient)
			}
			if got := sentTo(ServersideVLAN, frames); got != row.toMember {
				t.Errorf("the member was sent %+v, want %+v", got, row.toMember)
			}
			made := map[Reset]int{}
			for _, r := range p.Resets() {
				made[r.Kind()]++
			}
			for r, n := range made {
				if seen := p.Table().RSTs().ByCause[r]; seen != n {
					t.Errorf("the ledger has %d of %+v, the capture %d", n, r, seen)
				}
			}
		})
	}
}

// secure sends a request inside TLS and reads to the end.
func secure(b *bench, c *net.TCPConn, text string) {
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	b.write(s, text)
	if _, err := io.Copy(io.Discard, s); !errors.Is(err, unix.ECONNRESET) {
		b.t.Errorf("the client saw %v, want a reset", err)
	}
}

// awaitFlow waits until the proxy is connected to the member.
func (b *bench) awaitFlow() {
	b.t.Helper()
	labtest.Await(b.t, "the proxy has connected to the member", func() bool { return b.dialed.Load() > 0 })
}

func TestAFINThatNobodyAnswersIsGivenUpAfterCloseWaitTimeout(t *testing.T) {
	b := build(t, topology.IPv4)
	asked, gone := make(chan struct{}), make(chan struct{})
	b.member(func(c *net.TCPConn) {
		take(c)
		close(asked)
		<-gone
		respond(c, 2) // lost, with the FIN that closes; the client's FIN has been passed on before
	})
	b.startWith(Config{Clientside: TCPProfile{CloseWaitTimeout: 200 * time.Millisecond, MinimumRTO: 50 * time.Millisecond}})
	c := b.dial()
	b.write(c, request(0, 0))
	receive(t, asked, "the member was not asked")
	_ = c.CloseWrite()
	b.unplug(topology.Client, topology.ClientFace)
	close(gone)
	b.awaitNobody()
	begin := time.Now()
	labtest.Await(t, "the kernel has forgotten the connection", func() bool {
		n, err := b.Host(topology.F5).Unsettled()
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	if d := time.Since(begin); d < 100*time.Millisecond || d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}
