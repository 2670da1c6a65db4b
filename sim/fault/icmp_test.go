package fault

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// ears hears the ICMP errors that come to the f5.
type ears struct {
	net.PacketConn
	family topology.Family
}

func listen(t *testing.T, lab *topology.Lab, family topology.Family) *ears {
	t.Helper()
	e := &ears{family: family}
	network, any := "ip4:icmp", "0.0.0.0"
	if family == topology.IPv6 {
		network, any = "ip6:ipv6-icmp", "::"
	}
	if err := lab.Host(topology.F5).Run(func() (err error) {
		e.PacketConn, err = net.ListenPacket(network, any)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// heard is an ICMP error and the source port of the segment that it quotes.
type heard struct {
	from       netip.Addr
	what, code byte
	port       uint16
}

// next returns the next error; false if none comes within a time.
func (e *ears) next(t *testing.T, within time.Duration) (heard, bool) {
	t.Helper()
	if err := e.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1500); ; {
		n, from, err := e.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return heard{}, false
		}
		if err != nil {
			t.Fatal(err)
		}
		head := 20
		if e.family == topology.IPv6 {
			if head = 40; b[0] >= 128 {
				continue // neighbours that look for each other
			}
		}
		if n < 8+head+4 {
			t.Fatalf("%d bytes of ICMP: % x", n, b[:n])
		}
		quote := b[8+head:]
		addr, _ := netip.AddrFromSlice(from.(*net.IPAddr).IP)
		return heard{addr.Unmap(), b[0], b[1], uint16(quote[0])<<8 | uint16(quote[1])}, true
	}
}

// outspoken has nodes say every ICMP error.
func outspoken(t *testing.T, lab *topology.Lab, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		for key, value := range map[string]string{"net.ipv4.icmp_ratemask": "0", "net.ipv6.icmp.ratemask": "127"} {
			if err := lab.Host(node).Set(key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestASYNIsAnsweredByTheHopThatRejectsItAsItIsToldTo(t *testing.T) {
	for _, row := range []struct {
		with   With
		v4, v6 [2]byte // type and code
	}{
		{WithAdminProhibited, [2]byte{3, 13}, [2]byte{1, 1}},
		{WithPortUnreachable, [2]byte{3, 3}, [2]byte{1, 4}},
	} {
		for _, at := range []string{topology.Firewall, topology.Server1} {
			for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
				t.Run(fmt.Sprintf("%s: %s at %s", family, row.with, at), func(t *testing.T) {
					t.Parallel()
					lab := labtest.Build(t, family)
					a := topology.StandardAddresses(family)
					f := valid()
					f.At, f.Do, f.With, f.Per, f.Probability = at, Reject, row.with, PerTuple, 1
					i, hears := inject(t, lab, f, 5, 7), listen(t, lab, family)
					knock(t, lab, netip.AddrPortFrom(a.SNAT, 30000), a.Server1)
					got, ok := hears.next(t, patience)
					want := heard{what: row.v4[0], code: row.v4[1], port: 30000}
					if family == topology.IPv6 {
						want.what, want.code = row.v6[0], row.v6[1]
					}
					if want.from = a.Server1.Addr(); at == topology.Firewall {
						want.from = got.from
						if got.from == a.Server1.Addr() || got.from == a.SNAT {
							t.Errorf("the firewall answers in the name of %v", got.from)
						}
					}
					if !ok || got != want {
						t.Errorf("got %+v, %v; want %+v", got, ok, want)
					}
					if r := report(t, lab, i); r.Counter != 1 || r.Entries[0].Source.Port() != 30000 || r.Entries[0].Destination != a.Server1 {
						t.Errorf("got %+v", r)
					}
				})
			}
		}
	}
}

func TestICMPErrorsOfTheConnectionsThatAreHitAreLostAndNoOthers(t *testing.T) {
	for _, row := range []struct {
		at  string
		per Per
	}{{topology.Firewall, PerConnection}, {"link:f5-firewall", PerConnection}, {"link:f5-firewall", PerTuple}} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(fmt.Sprintf("%s: per %s at %s", family, row.per, row.at), func(t *testing.T) {
				t.Parallel()
				var middles []string
				refuses, loses := valid(), valid()
				loses.Name, loses.At, loses.Match, loses.Direction, loses.Per = "icmp-drop", row.at, ICMP, ToClient, row.per
				if loses.IsLink() {
					middles = append(middles, loses.At)
				}
				lab := labtest.Build(t, family, middles...)
				a := topology.StandardAddresses(family)
				outspoken(t, lab, topology.Server1)
				refuses.At, refuses.Do, refuses.With, refuses.Per, refuses.Probability = topology.Server1, Reject, WithPortUnreachable, PerTuple, 1
				inject(t, lab, refuses, 5, 7)
				i, hears := inject(t, lab, loses, 5, 8), listen(t, lab, family)
				const n = 20
				lost := map[uint16]bool{}
				for o := range n {
					from := netip.AddrPortFrom(a.SNAT, uint16(30000+o))
					i.Arm(o, 0, from, a.Server1)
					if row.per == PerConnection && loses.Fate(5, o, 0) || row.per == PerTuple && loses.TupleFate(5, Tuple(from, a.Server1)) {
						lost[from.Port()] = true
					}
					knock(t, lab, from, a.Server1)
				}
				if len(lost) == 0 || len(lost) == n {
					t.Fatal("the seed shows nothing")
				}
				came := map[uint16]bool{}
				for range n - len(lost) {
					got, ok := hears.next(t, patience)
					if came[got.port] = true; !ok || lost[got.port] {
						t.Errorf("got %+v, %v", got, ok)
					}
				}
				if len(came) != n-len(lost) {
					t.Errorf("the errors of %d connections came, want %d", len(came), n-len(lost))
				}
				r := report(t, lab, i)
				if len(r.Entries) != len(lost) {
					t.Errorf("%d errors were hit, want %d", len(r.Entries), len(lost))
				}
				for _, e := range r.Entries {
					if from, to := e.Ends(); from.Addr() != a.SNAT || to != a.Server1 || !lost[from.Port()] {
						t.Errorf("%v → %v was hit", from, to)
					}
				}
			})
		}
	}
}

func TestARefusalWhoseRSTIsLostIsNone(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			lab := labtest.Build(t, family)
			a := topology.StandardAddresses(family)
			f := valid()
			f.Match, f.Direction = RST, ToClient
			i := inject(t, lab, f, 5, 7)
			hits := 0
			for o := range requests { // nobody listens
				from, want := netip.AddrPortFrom(a.SNAT, uint16(30000+o)), refused
				if f.Fate(5, o, 0) {
					want, hits = unconnected, hits+1
				}
				i.Arm(o, 0, from, a.Server1)
				if got := ask(t, lab, from, a.Server1); got != want {
					t.Errorf("request %d was %s, want %s", o, got, want)
				}
			}
			if r := report(t, lab, i); len(r.Entries) != hits || hits == 0 || hits == requests {
				t.Errorf("%d RSTs were hit, want %d", len(r.Entries), hits)
			}
		})
	}
}

func TestAPolicerLetsItsBurstAndItsRatePassAndDropsTheRest(t *testing.T) {
	for _, at := range []string{topology.Firewall, "link:f5-firewall", topology.Server1} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(fmt.Sprintf("%s at %s", family, at), func(t *testing.T) {
				t.Parallel()
				f := valid()
				f.At, f.Do, f.Per, f.Probability, f.Rate, f.Burst = at, RateLimit, PerPacket, 1, 10, 7
				var middles []string
				if f.IsLink() {
					middles = append(middles, f.At)
				}
				lab := labtest.Build(t, family, middles...)
				a := topology.StandardAddresses(family)
				i := inject(t, lab, f, 5, 7)
				const n = 100
				begin := time.Now()
				for o := range n {
					knock(t, lab, netip.AddrPortFrom(a.SNAT, uint16(30000+o)), a.Server1)
				}
				r := report(t, lab, i)
				passed, most := n-int(r.Counter), f.Burst+1+int(time.Since(begin).Seconds()*float64(f.Rate))
				if passed < f.Burst || passed > min(most, n-1) {
					t.Errorf("%d of %d passed, want %d to %d", passed, n, f.Burst, most)
				}
			})
		}
	}
}
