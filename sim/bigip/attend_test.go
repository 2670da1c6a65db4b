package bigip

import (
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// refused says whether a client's SYN is answered with a RST, or its ACK is, because the
// port was closed in between.
func (b *bench) refused() bool {
	b.t.Helper()
	c, err := b.Host(topology.Client).Dial(b.t.Context(), "tcp", b.a.VIP.String())
	if err == nil {
		c.Close()
		return false
	}
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) {
		b.t.Errorf("the client got %v", err)
	}
	return true
}

func TestAVirtualServerThatDoesNotListenSaysWhy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		config  Config
		refused bool
		cause   Cause
	}{
		{"disabled", Config{VirtualServer: VirtualServer{State: Disabled}}, true, NoLocalListener},
		{"of type reject", Config{VirtualServer: VirtualServer{Type: Reject}}, true, PolicyAction},
		{"no member can be used, and it is to reset at once", Config{VirtualServer: VirtualServer{ServiceDown: ServiceDownReset},
			Pool: Pool{Members: []Member{{State: Disabled}}}}, true, VIPDown},
		{"disabled, and of type fastl4", Config{VirtualServer: VirtualServer{Type: FastL4, State: Disabled}}, true, NoLocalListener},
		{"of type fastl4 without a member, and it is to reset at once", Config{VirtualServer: VirtualServer{Type: FastL4, ServiceDown: ServiceDownReset},
			Pool: Pool{Members: []Member{{State: Disabled}}}}, true, VIPDown},
		{"no member can be used, and nothing is said", Config{Pool: Pool{Members: []Member{{State: Disabled}}}}, false, NoPoolMember},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				t.Parallel()
				b := build(t, family)
				c := row.config
				if c.Pool.Members = slices.Clone(c.Pool.Members); c.Pool.Members != nil {
					c.Pool.Members[0].Name, c.Pool.Members[0].Address = topology.Server1, b.a.Server1
				}
				b.startWith(c)
				stop := b.capture()
				if row.refused != b.refused() {
					t.Errorf("the SYN is refused: %v", !row.refused)
				}
				if !row.refused {
					if _, wasReset := b.ask(0); !wasReset {
						t.Error("the client is not reset")
					}
				}
				b.close()
				cause := row.cause
				cause.line = 0
				if got := sentTo(ClientsideVLAN, stop()); got != aRST(cause, false) && row.refused {
					t.Errorf("the client was sent %+v", got)
				}
			})
		}
	}
}

// TestThePortIsClosedWhileNoMemberIsUp follows service-down-immediate-action through a
// member's fall and rise. A connection that is there stays.
func TestThePortIsClosedWhileNoMemberIsUp(t *testing.T) {
	b := build(t, topology.IPv4)
	serve := func() (stop func()) {
		l, err := b.Host(topology.Server1).Listen(t.Context(), "tcp", b.a.Server1.String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { take(c); respond(c, 2); c.Close() }()
			}
		}()
		return func() { l.Close() }
	}
	fall := serve()
	b.startWith(Config{Serverside: Fast, VirtualServer: VirtualServer{ServiceDown: ServiceDownReset}, Pool: Pool{Monitor: promptly(MonitorTCP)}})
	stop := b.capture()
	b.awaitStatus()
	early := b.dial()
	b.write(early, "POST /batch HTTP/1.1\r\n") // and the rest of it later

	fall()
	labtest.Await(t, "the virtual server has gone down", b.refused)
	b.write(early, "Host: vs\r\n\r\n")
	if _, wasReset, _ := reset(early); !wasReset {
		t.Error("a client from before is not told that there is no member")
	}

	rise := serve()
	t.Cleanup(rise)
	labtest.Await(t, "the virtual server has come up again", func() bool { return !b.refused() })
	if got, wasReset := b.ask(1); wasReset || got == "" {
		t.Errorf("the client got %q, a reset: %v", got, wasReset)
	}
	p := b.proxy
	b.close()
	stop()
	refusals, midway := 0, 0
	for _, r := range p.Table().RSTs().Rejected {
		if r.Serverside {
			continue
		}
		switch refusals++; r.Cause {
		case VIPDown:
		case NoFlowForACK: // one that was about to connect when the port was closed
			midway++
		default:
			t.Errorf("a client was refused for %q", r.Cause.Text)
		}
	}
	if midway > 1 {
		t.Errorf("%d clients in a row were about to connect when the port was closed", midway)
	}
	if made := p.Resets(); refusals == 0 || len(made) != 1 || made[0].Cause != NoPoolMember {
		t.Errorf("%d clients were refused; the proxy's ledger is %+v", refusals, made)
	}
}

// TestAClientThatIsConnectedWhenThePortClosesIsServed fills the listener's queue while
// the proxy is busy, and closes the port then.
func TestAClientThatIsConnectedWhenThePortClosesIsServed(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(func(c *net.TCPConn) { take(c); respond(c, 2) })
	b.startWith(Config{Serverside: Fast, VirtualServer: VirtualServer{ServiceDown: ServiceDownReset}})
	p := b.proxy
	const clients = 20
	held, done := make(chan struct{}), make(chan struct{})
	p.loop.Post(func() { // the loop accepts nobody meanwhile
		<-held
		p.memberIs(0, false)
		p.memberIs(0, true)
		close(done)
	})
	var all []*net.TCPConn
	for i := range clients {
		c := b.dial()
		b.write(c, request(i, 0))
		all = append(all, c)
	}
	close(held)
	receive(t, done, "the proxy's loop does not turn")
	for i, c := range all {
		if got, wasReset, _ := reset(c); wasReset || len(got) == 0 {
			t.Errorf("client %d got %q, a reset: %v", i, got, wasReset)
		}
	}
	if b.refused() {
		t.Error("the port is not open again")
	}
}
