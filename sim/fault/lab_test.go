package fault

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 20 * time.Second

func inject(t *testing.T, lab *topology.Lab, f Fault, seed uint64, order int) *Injector {
	t.Helper()
	i, err := Inject(lab, f, seed, order)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// knock sends one SYN from the f5 and takes no interest in the answer; a second
// one would come after a second.
func knock(t *testing.T, lab *topology.Lab, from, to netip.AddrPort) {
	t.Helper()
	if err := lab.Host(topology.F5).Run(func() error { return eventloop.Knock(from, to) }); err != nil {
		t.Fatal(err)
	}
}

// report waits for the lab to be quiet and checks the report against the counter.
func report(t *testing.T, lab *topology.Lab, i *Injector) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := lab.AwaitQuiet(ctx, i.Busy); err != nil {
		t.Fatal(err)
	}
	r, err := i.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(r.Entries)) != r.Counter {
		t.Errorf("the ledger holds %d packets, the kernel counted %d", len(r.Entries), r.Counter)
	}
	for _, e := range r.Entries {
		if e.Fault != r.Fault.Name || e.At != r.Fault.At || e.Direction != r.Fault.Direction || e.Seq == 0 && r.Fault.Match != RST || time.Since(e.Time) > time.Minute || time.Until(e.Time) > time.Second {
			t.Fatalf("the entry is %+v", e)
		}
	}
	return r
}

// sources are the source ports of a ledger and how often each is there.
func sources(r Report) map[uint16]int {
	n := map[uint16]int{}
	for _, e := range r.Entries {
		n[e.Source.Port()]++
	}
	return n
}

func TestTheKernelsHashPicksExactlyTheTuplesPredicted(t *testing.T) {
	for _, row := range []struct {
		family topology.Family
		at     string
		p      float64
	}{{topology.IPv4, "firewall", 0.1}, {topology.IPv6, "firewall", 0.1}, {topology.IPv4, "link:f5-firewall", 0.5}, {topology.IPv6, "server1", 0.02}} {
		t.Run(fmt.Sprintf("%s at %s", row.family, row.at), func(t *testing.T) {
			a := topology.StandardAddresses(row.family)
			var middles []string
			f := valid()
			f.At, f.Per, f.Probability = row.at, PerTuple, row.p
			if f.IsLink() {
				middles = append(middles, f.At)
			}
			lab := labtest.Build(t, row.family, middles...)
			const seed, n = 99, 3000
			i := inject(t, lab, f, seed, 7)
			want := 0
			predicted := map[uint16]bool{}
			for k := range n {
				from := netip.AddrPortFrom(a.SNAT, uint16(20000+k))
				if f.TupleFate(seed, Tuple(from, a.Server1)) {
					predicted[from.Port()] = true
					want++
				}
				knock(t, lab, from, a.Server1)
			}
			hit := sources(report(t, lab, i))
			for port := range hit {
				if !predicted[port] {
					t.Errorf("port %d was hit and was not to be", port)
				}
			}
			if len(hit) != want || want == 0 || want == n {
				t.Errorf("%d tuples hit, %d predicted of %d", len(hit), want, n)
			}
		})
	}
}

func TestArmedTuplesAreHitUntilTheirNextTurn(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			lab := labtest.Build(t, family)
			a := topology.StandardAddresses(family)
			f := valid()
			i := inject(t, lab, f, 5, 7)
			from := func(o int) netip.AddrPort { return netip.AddrPortFrom(a.SNAT, uint16(30000+o)) }
			want := map[uint16]int{}
			for o := range 200 {
				i.Arm(o, 0, from(o), a.Server1)
				knock(t, lab, from(o), a.Server1)
				knock(t, lab, from(o), a.Server2) // another tuple
				knock(t, lab, from(o), a.Server1) // a retry is hit too
				if f.Fate(5, o, 0) {
					want[from(o).Port()] = 2
				}
			}
			// Of a client that gives no ordinal no tuple is hit, not even one that was before.
			for port := range want {
				again := netip.AddrPortFrom(a.SNAT, port)
				i.Arm(-1, 0, again, a.Server1)
				knock(t, lab, again, a.Server1)
			}
			i.Arm(-1, 0, from(999), a.Server1)
			knock(t, lab, from(999), a.Server1)
			r := report(t, lab, i)
			got := sources(r)
			if len(got) != len(want) || len(want) == 0 || i.Fault() != f {
				t.Errorf("%d tuples hit, want %d", len(got), len(want))
			}
			for port, n := range want {
				if got[port] != n {
					t.Errorf("port %d was hit %d times, want %d", port, got[port], n)
				}
			}
			for _, e := range r.Entries {
				if e.Destination != a.Server1 {
					t.Errorf("a SYN to %v was hit", e.Destination)
				}
			}
		})
	}
}

// serve accepts connections on a server and closes them. It answers a SYN once:
// its repetitions would only make the test longer.
func serve(t *testing.T, host *topology.Host, at netip.AddrPort) {
	t.Helper()
	if err := host.Set("net.ipv4.tcp_synack_retries", "0"); err != nil {
		t.Fatal(err)
	}
	accept(t, host, at, func(net.Conn) {})
}

// accept gives each connection to a server to a function, one after the other, and
// closes it then.
func accept(t *testing.T, host *topology.Host, at netip.AddrPort, with func(c net.Conn)) {
	t.Helper()
	l, err := host.Listen(t.Context(), "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			with(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
}

// received returns how many segments server1's TCP has been given.
func received(t *testing.T, lab *topology.Lab) uint64 {
	t.Helper()
	counters, err := lab.Host(topology.Server1).SNMP()
	if err != nil {
		t.Fatal(err)
	}
	return counters["Tcp.InSegs"]
}

// forgotten waits until server1 has been given so many segments and has given up
// what it has answered.
func forgotten(t *testing.T, lab *topology.Lab, segments uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		got := received(t, lab) // first: what comes later is half open then
		n, err := lab.Host(topology.Server1).HalfOpen()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && got >= segments {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still half open, %d segments of %d have come", n, got, segments)
		}
	}
}

func TestAnswersAreHitByTheTupleOfTheirSYN(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		family topology.Family
		at     string
		per    Per
	}{
		{topology.IPv4, "firewall", PerConnection}, {topology.IPv6, "firewall", PerConnection},
		{topology.IPv4, "firewall", PerTuple}, {topology.IPv6, "firewall", PerTuple},
		{topology.IPv4, "link:switch-server1", PerTuple}, {topology.IPv6, "link:f5-firewall", PerConnection},
	} {
		t.Run(fmt.Sprintf("%s at %s per %s", row.family, row.at, row.per), func(t *testing.T) {
			t.Parallel()
			a := topology.StandardAddresses(row.family)
			f := valid()
			answers(&f)
			f.At, f.Per, f.Probability = row.at, row.per, 0.3
			var middles []string
			if f.IsLink() {
				middles = append(middles, f.At)
			}
			lab := labtest.Build(t, row.family, middles...)
			serve(t, lab.Host(topology.Server1), a.Server1)
			const seed, n = 5, 200
			i := inject(t, lab, f, seed, 7)
			predicted := map[netip.AddrPort]bool{}
			for o := range n {
				from := netip.AddrPortFrom(a.SNAT, uint16(20000+o))
				if row.per == PerTuple && f.TupleFate(seed, Tuple(from, a.Server1)) || row.per == PerConnection && f.Fate(seed, o, 0) {
					predicted[from] = true
				}
				i.Arm(o, 0, from, a.Server1)
				knock(t, lab, from, a.Server1)
			}
			forgotten(t, lab, n)
			hit := map[netip.AddrPort]bool{}
			for _, e := range report(t, lab, i).Entries {
				if e.Source != a.Server1 {
					t.Fatalf("a packet from %v was hit", e.Source)
				}
				from, _ := e.Ends()
				hit[from] = true
			}
			if !maps.Equal(hit, predicted) || len(hit) == 0 || len(hit) == n {
				t.Errorf("%d tuples hit, %d predicted of %d", len(hit), len(predicted), n)
			}
		})
	}
}

func TestAnswersAreHitUntilTheirTuplesNextTurn(t *testing.T) {
	t.Parallel()
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	server := lab.Host(topology.Server1)
	serve(t, server, a.Server1)
	if err := server.Set("net.ipv4.tcp_synack_retries", "1"); err != nil {
		t.Fatal(err)
	}
	f := valid()
	answers(&f)
	i := inject(t, lab, f, 5, 7)
	var hit, spared int // ordinals
	for !f.Fate(5, hit, 0) {
		hit++
	}
	for f.Fate(5, spared, 0) {
		spared++
	}
	from := netip.AddrPortFrom(a.SNAT, 30000)
	turn := func(ordinal, want int, why string) {
		t.Helper()
		before, segments := report(t, lab, i).Counter, received(t, lab)
		i.Arm(ordinal, 0, from, a.Server1)
		knock(t, lab, from, a.Server1)
		forgotten(t, lab, segments+1)
		if n := int(report(t, lab, i).Counter - before); n != want {
			t.Errorf("%s: %d SYN-ACKs were hit, want %d", why, n, want)
		}
	}
	turn(hit, 2, "the server repeats it after the other side has given up")
	turn(spared, 0, "the tuple comes round with another fate")
	turn(hit, 2, "and once more with its own")
}

func TestPerPacketEveryBlockHasItsHits(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	f := valid()
	f.Per, f.Probability = PerPacket, 0.03
	i := inject(t, lab, f, 1, 7)
	numbers := map[uint32]bool{}
	for _, n := range f.numbers(1, 3, 100) {
		numbers[n] = true
	}
	const n = 1000
	for k := range n {
		knock(t, lab, netip.AddrPortFrom(a.SNAT, uint16(20000+k)), a.Server1)
	}
	hit := sources(report(t, lab, i))
	if len(hit) != n*3/100 {
		t.Errorf("%d of %d hit, want %d", len(hit), n, n*3/100)
	}
	for port := range hit {
		if !numbers[uint32(port-20000)%100] {
			t.Errorf("packet %d was hit; of each block %v are to be", port-20000, numbers)
		}
	}
}

func TestProbabilities0And1AreExactAndTwoFaultsKeepTheirLedgersApart(t *testing.T) {
	for _, per := range []Per{PerTuple, PerPacket, PerConnection} {
		t.Run(string(per), func(t *testing.T) {
			lab := labtest.Build(t, topology.IPv4)
			a := topology.StandardAddresses(topology.IPv4)
			never, always := valid(), valid()
			never.Name, never.Per, never.Probability = "never", per, 0
			always.Name, always.Per, always.Probability, always.At = "always", per, 1, topology.Server2
			both := []*Injector{inject(t, lab, never, 1, 7), inject(t, lab, always, 1, 8)}
			for k := range 50 {
				from := netip.AddrPortFrom(a.SNAT, uint16(20000+k))
				for _, i := range both {
					i.Arm(k, 0, from, a.Server2)
				}
				knock(t, lab, from, a.Server2)
			}
			if r := report(t, lab, both[0]); r.Counter != 0 {
				t.Errorf("probability 0 hit %d", r.Counter)
			}
			if r := report(t, lab, both[1]); r.Counter != 50 {
				t.Errorf("probability 1 hit %d of 50", r.Counter)
			}
		})
	}
}

func TestAFaultThatCannotBeInjectedSaysWhyAndLeavesNothing(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	f := valid()
	f.At = "link:f5-firewall"
	if _, err := Inject(lab, f, 1, 7); err == nil || err.Error() != "fault syn-drop: link:f5-firewall has no middle to drop packets in" {
		t.Errorf("got %v", err)
	}
	f.At = "nowhere"
	if _, err := Inject(lab, f, 1, 7); err == nil {
		t.Error("a fault at a place there is not was injected")
	}
	good := valid()
	round := func() {
		i, err := Inject(lab, good, 1, 7)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	good.Name = "a"
	round()
	before := labtest.Descriptors(t)
	for _, good.Name = range []string{"b", "c", "d"} {
		round()
	}
	labtest.Await(t, "no more descriptors are open than before", func() bool { return labtest.Descriptors(t) <= before })
}
