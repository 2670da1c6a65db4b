package sim

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// tested is a pool whose members are tested by a monitor that is soon done.
func tested(kind bigip.MonitorType) bigip.Pool {
	return bigip.Pool{Monitor: bigip.Monitor{Type: kind, Interval: 50 * time.Millisecond, Timeout: 160 * time.Millisecond}}
}

func TestThePlanIsWhatFailsHoweverTheF5ChoosesMemberAndSource(t *testing.T) {
	t.Parallel()
	snatpool := bigip.SNAT{Type: bigip.SNATPool, Pool: []netip.Addr{netip.MustParseAddr("198.18.60.5"), netip.MustParseAddr("198.18.60.6")}}
	least := bigip.Pool{LoadBalancing: bigip.LeastConnections}
	ratio := bigip.Pool{LoadBalancing: bigip.RatioMember, Members: []bigip.Member{{Name: topology.Server1, Ratio: 3}, {Name: topology.Server2}}}
	one := bigip.Pool{Members: []bigip.Member{{Name: topology.Server1, State: bigip.Disabled}, {Name: topology.Server2}}}
	limit := bigip.Pool{Members: []bigip.Member{{Name: topology.Server1, ConnectionLimit: 3}, {Name: topology.Server2}}}
	connection, tuple, server2 := drop("x", "firewall", fault.PerConnection, 0.1), drop("x", "firewall", fault.PerTuple, 0.1), drop("x", "server2", fault.PerTuple, 0.2)
	for _, row := range []struct {
		name     string
		f5       bigip.Config
		fault    fault.Fault
		family   topology.Family
		foreseen bool
	}{
		{"by ratio", bigip.Config{Pool: ratio}, server2, topology.IPv4, true},
		{"with one member disabled", bigip.Config{Pool: one}, server2, topology.IPv4, true},
		{"with the client's source ports", bigip.Config{VirtualServer: bigip.VirtualServer{SourcePort: bigip.Preserve}}, tuple, topology.IPv4, true},
		{"without SNAT", bigip.Config{SNAT: bigip.SNAT{Type: bigip.NoSNAT}}, tuple, topology.IPv4, true},
		{"without SNAT, in IPv6", bigip.Config{SNAT: bigip.SNAT{Type: bigip.NoSNAT}}, connection, topology.IPv6, true},
		{"by a snatpool, per connection", bigip.Config{SNAT: snatpool}, connection, topology.IPv4, true},
		{"by a snatpool, per tuple", bigip.Config{SNAT: snatpool}, tuple, topology.IPv4, false},
		{"by the members' load, per connection", bigip.Config{Pool: least}, connection, topology.IPv4, false},
		{"by the members' load, per tuple in a server", bigip.Config{Pool: least}, server2, topology.IPv4, false},
		{"with a limit that one member reaches", bigip.Config{Pool: limit}, server2, topology.IPv4, false},
		{"with a monitor, per connection", bigip.Config{Pool: tested(bigip.MonitorTCP)}, connection, topology.IPv4, false},
		{"with a half-open monitor, in IPv6", bigip.Config{Pool: tested(bigip.MonitorTCPHalfOpen)}, connection, topology.IPv6, false},
		{"with an http monitor, per tuple", bigip.Config{Pool: tested(bigip.MonitorHTTP)}, tuple, topology.IPv4, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(100, 16, row.fault)
			c.F5, c.Family = row.f5, row.family
			c.F5.Serverside = patient
			planned, predictable, err := c.Plan()
			if err != nil || predictable != row.foreseen || (len(planned) > 0) != row.foreseen {
				t.Fatalf("%d planned, predictable: %v, %v", len(planned), predictable, err)
			}
			f := checked(t, play(t, c))
			if got, want := failing(f), plannedOrdinals(f.Planned); !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("requests %v failed, planned were %v", got, want)
			}
			if (len(f.Probes) > 0) != (row.f5.Pool.Monitor.Type != "") {
				t.Errorf("members were tested %d times", len(f.Probes))
			}
		})
	}
}

// TestWhatAnF5RefusesByItselfIsAccountedFor lets requests fail without any fault.
func TestWhatAnF5RefusesByItselfIsAccountedFor(t *testing.T) {
	deaf := tested(bigip.MonitorHTTP)
	deaf.Monitor.Receive = "nothing says this"
	down := bigip.VirtualServer{ServiceDown: bigip.ServiceDownReset}
	const all = -1
	for _, row := range []struct {
		name    string
		f5      bigip.Config
		failed  int // 0: some and not all
		outcome client.Outcome
		cause   bigip.Cause
	}{
		{"members that the monitor has marked down", bigip.Config{Pool: deaf}, all, client.Reset, bigip.NoPoolMember},
		{"the same, where the service is to be down then", bigip.Config{Pool: deaf, VirtualServer: down}, all, client.Refused, bigip.VIPDown},
		{"a virtual server that is disabled", bigip.Config{VirtualServer: bigip.VirtualServer{State: bigip.Disabled}}, all, client.Refused, bigip.NoLocalListener},
		{"one that rejects", bigip.Config{VirtualServer: bigip.VirtualServer{Type: bigip.Reject}}, all, client.Refused, bigip.PolicyAction},
		{"a snatpool of another family", bigip.Config{SNAT: bigip.SNAT{Type: bigip.SNATPool, Pool: []netip.Addr{netip.MustParseAddr("2001:db8:60::5")}}},
			all, client.Reset, bigip.NoSNATAddress},
		{"fewer source ports than connections", bigip.Config{SNAT: bigip.SNAT{Ports: 5}}, 0, client.Reset, bigip.NoLocalPort},
		{"fewer connections than there are clients", bigip.Config{VirtualServer: bigip.VirtualServer{ConnectionLimit: 10}}, 0, client.Reset, bigip.LimitExceeded},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(200, 32)
			c.F5 = row.f5
			if planned, predictable, err := c.Plan(); len(planned) > 0 || predictable || err != nil {
				t.Errorf("planned %v, predictable: %v, %v", planned, predictable, err)
			}
			f := checked(t, play(t, c))
			told := map[int]bool{}
			for _, r := range f.Resets {
				if r.Serverside { // the monitor's
					continue
				}
				if r.Cause == bigip.NoFlowForACK && r.Ordinal < 0 { // an answer to what was sent before the RST was heard of
					continue
				}
				if told[r.Ordinal] = true; r.Cause != row.cause || r.Peer {
					t.Errorf("the ledger has %+v", r)
				}
			}
			got := failing(f)
			if row.failed == all && len(got) != c.Requests || row.failed == 0 && (len(got) == 0 || len(got) == c.Requests) {
				t.Errorf("%d of %d requests failed", len(got), c.Requests)
			}
			for _, o := range got {
				if f.Requests[o].Outcome != row.outcome || !told[o] {
					t.Errorf("the record is %+v, in the ledger: %v", f.Requests[o], told[o])
				}
			}
		})
	}
}

// TestFaultsMeetTheMonitorToo sees that they are told from the requests' connections,
// and that the run ends though the monitor would go on for ever.
func TestFaultsMeetTheMonitorToo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault fault.Fault
	}{
		{"SYNs per tuple", drop("x", "firewall", fault.PerTuple, 0.5)},
		{"SYNs per packet", drop("x", "link:f5-firewall", fault.PerPacket, 0.5)},
		{"answers per tuple", dropAnswer("x", "firewall", fault.PerTuple, 0.5)},
		{"all SYNs", drop("x", "firewall", fault.PerPacket, 1)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(60, 16, row.fault)
			c.F5.Pool = tested(bigip.MonitorTCP)
			f := checked(t, play(t, c))
			monitors := 0
			for _, h := range f.Ledger {
				if h.Monitor {
					monitors++
					if h.Flow != nil || h.Ordinal >= 0 {
						t.Errorf("a packet of the monitor's is a request's as well: %+v", h)
					}
				}
			}
			if monitors == 0 {
				t.Error("no packet of the monitor's was hit: the seed shows nothing")
			}
		})
	}
}

func TestAMonitorsConnectionThatWasHitAndShouldNotHaveBeenMakesARunInvalid(t *testing.T) {
	t.Parallel()
	c := config(60, 16, drop("x", "firewall", fault.PerTuple, 0.5))
	c.F5.Pool = tested(bigip.MonitorTCP)
	f := checked(t, play(t, c))
	for _, row := range []struct {
		name string
		edit func(f *Facts)
		want string
	}{
		{"one was to be hit and was not", func(f *Facts) {
			i := slices.IndexFunc(f.Ledger, func(h Hit) bool { return h.Monitor })
			from, _ := f.Ledger[i].Ends()
			f.Ledger = slices.DeleteFunc(f.Ledger, func(h Hit) bool { s, _ := h.Ends(); return s == from && h.Monitor })
		}, "fault x: it was to hit 1 connections of the monitor and did not, and hit 0 that it was not to"},
		{"the monitor knows nothing of it", func(f *Facts) {
			for i := range f.Ledger {
				f.Ledger[i].Monitor = false
			}
		}, "that are none of the f5's flows"},
		{"another seed had said otherwise", func(f *Facts) { f.Config.Seed++ }, "connections of the monitor and did not, and hit "},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := doctored(f)
			row.edit(d)
			if got := strings.Join(d.Check(), "; "); !strings.Contains(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestConnectionsThatAreKeptForLaterAreAccountedForWhenTheyEnd(t *testing.T) {
	c := config(100, 16)
	c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileOneConnect}
	f := checked(t, play(t, c))
	if len(failing(f)) > 0 || len(f.Flows) >= c.Requests {
		t.Errorf("%d requests failed; there were %d serverside connections", len(failing(f)), len(f.Flows))
	}
}
