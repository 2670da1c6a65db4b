package fault

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// echo answers every line on a server with the same line.
func echo(t *testing.T, host *topology.Host, at netip.AddrPort) {
	t.Helper()
	accept(t, host, at, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(patience))
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			_, _ = io.WriteString(c, line)
		}
	})
}

// asked is how far a request came.
type asked string

const (
	refused     asked = "refused"
	unconnected asked = "not connected"
	unheard     asked = "not acknowledged"
	unanswered  asked = "acknowledged and not answered"
	answered    asked = "answered"
	endless     asked = "answered, and its connection not ended"
)

// ask sends a line from a port of the f5 and sees what becomes of it within the time
// that a few retransmissions take.
func ask(t *testing.T, lab *topology.Lab, from, to netip.AddrPort) asked {
	t.Helper()
	const patience = 500 * time.Millisecond
	var c net.Conn
	err := lab.Host(topology.F5).Run(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: patience}
		d.SetMultipathTCP(false)
		c, err = d.DialContext(t.Context(), "tcp", to.String())
		return err
	})
	var timeout net.Error
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return unconnected
	case err != nil:
		t.Fatal(err)
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	_ = tcp.SetLinger(0) // what was not acknowledged is not sent again
	_ = tcp.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(c)
	line, err := answer.ReadString('\n')
	if err == nil && line == "hello\n" {
		if _, err := answer.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
			return endless
		}
		return answered // the server has closed as well: nothing is on its way any more
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v", line, err)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if err := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || info == nil {
		t.Fatal(err)
	}
	if info.Unacked > 0 {
		return unheard
	}
	return unanswered
}

const requests = 4

func TestEachClassOfPacketsIsHitOnItsWayAndNothingElse(t *testing.T) {
	for _, row := range []struct {
		match Match
		do    Do
		at    string
		hit   asked
		least int // packets of a connection that is hit
	}{
		{SYN, Drop, "firewall", unconnected, 1},
		{SYN, Reject, "firewall", refused, 1},
		{SYN, Reject, "server1", refused, 1},
		{SYNACK, Drop, "link:firewall-switch", unconnected, 1},
		{ACK, Drop, "firewall", answered, 2}, // the handshake's, and the response's
		{ACK, Drop, "link:f5-firewall", answered, 2},
		{Data, Drop, "firewall", unheard, 2},
		{Data, Drop, "link:switch-server1", unheard, 2},
		{AfterSYN, Drop, "server1", unheard, 2},
		{Response, Drop, "firewall", unanswered, 2},
		{Response, Drop, "link:f5-firewall", unanswered, 2},
		{FIN, Drop, "firewall", endless, 1},
		{FIN, Drop, "link:f5-firewall", endless, 1},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(fmt.Sprintf("%s: %s %s at %s", family, row.do, row.match, row.at), func(t *testing.T) {
				t.Parallel()
				f := valid()
				f.Match, f.Direction, f.Do, f.At = row.match, cmp.Or(classes[row.match].way, ToClient), row.do, row.at
				var middles []string
				if f.IsLink() {
					middles = append(middles, f.At)
				}
				lab := labtest.Build(t, family, middles...)
				a := topology.StandardAddresses(family)
				server := lab.Host(topology.Server1)
				echo(t, server, a.Server1)
				if err := server.Set("net.ipv4.tcp_synack_retries", "0"); err != nil { // how often is not the question
					t.Fatal(err)
				}
				i := inject(t, lab, f, 5, 7)
				hits := map[netip.AddrPort]int{}
				for o := range requests {
					from := netip.AddrPortFrom(a.SNAT, uint16(30000+o))
					i.Arm(o, 0, from, a.Server1)
					want := answered
					if f.Fate(5, o, 0) {
						want, hits[from] = row.hit, 0
					}
					if got := ask(t, lab, from, a.Server1); got != want {
						t.Errorf("request %d was %s, want %s", o, got, want)
					}
				}
				if len(hits) == 0 || len(hits) == requests {
					t.Fatal("the seed shows nothing")
				}
				for _, e := range settled(t, lab, i).Entries {
					from, to := e.Ends()
					if n, planned := hits[from]; planned {
						hits[from] = n + 1
					} else {
						t.Errorf("%v → %v was hit", from, to)
					}
				}
				for from, n := range hits {
					if n < row.least {
						t.Errorf("%v was hit %d times, want %d at least", from, n, row.least)
					}
				}
			})
		}
	}
}

// settled is a report once nothing more can be hit.
func settled(t *testing.T, lab *topology.Lab, i *Injector) Report {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		open := 0
		for _, node := range []string{topology.F5, topology.Server1} {
			n, err := lab.Host(node).Unsettled()
			if err != nil {
				t.Fatal(err)
			}
			open += n
		}
		if open == 0 {
			return report(t, lab, i)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections still repeat what they sent", open)
		}
	}
}

func TestWithoutATupleOnlyTheDirectionTellsRequestFromResponse(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		for match, want := range map[Match]asked{Data: unheard, Response: unanswered} {
			t.Run(fmt.Sprintf("%s: %s", family, match), func(t *testing.T) {
				t.Parallel()
				lab := labtest.Build(t, family)
				a := topology.StandardAddresses(family)
				echo(t, lab.Host(topology.Server1), a.Server1)
				f := valid()
				f.Match, f.Direction, f.Per, f.Probability = match, classes[match].way, PerTuple, 1
				i := inject(t, lab, f, 5, 7)
				if got := ask(t, lab, netip.AddrPortFrom(a.SNAT, 30000), a.Server1); got != want {
					t.Errorf("the request was %s, want %s", got, want)
				}
				for _, e := range settled(t, lab, i).Entries {
					if from, to := e.Ends(); to != a.Server1 || from.Addr() != a.SNAT {
						t.Errorf("%v → %v was hit", e.Source, e.Destination)
					}
				}
			})
		}
	}
}

func TestWhatAnActorDoesIsNotInjected(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	f := valid()
	behaves(Reset)(&f)
	if _, err := Inject(lab, f, 1, 7); err == nil || err.Error() != "fault syn-drop: reset is up to an actor, and no packets are hit" {
		t.Errorf("got %v", err)
	}
}
