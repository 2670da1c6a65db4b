package sim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
)

// stateful is a firewall that refuses nothing but what belongs to no session.
var stateful = firewall.Config{TimeoutTCP: time.Hour}

// past is a fault that leads connections past the firewall.
func past(name string, per fault.Per, p float64) fault.Fault {
	return fault.Fault{Name: name, At: topology.F5, Direction: fault.ToServer, Match: fault.Any, Do: fault.Detour, Per: per, Probability: p}
}

func TestAConnectionOnADetourFailsAtTheFirewallItWasLedPast(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		family      topology.Family
		per         fault.Per
		probability float64
		edit        func(*Config)
	}{
		{"some, by request", topology.IPv4, fault.PerConnection, 0.1, func(*Config) {}},
		{"some, by request, in IPv6", topology.IPv6, fault.PerConnection, 0.1, func(*Config) {}},
		{"some, by a hash of the addresses", topology.IPv4, fault.PerTuple, 0.1, func(*Config) {}},
		{"some, by a hash of the addresses, in IPv6", topology.IPv6, fault.PerTuple, 0.1, func(*Config) {}},
		{"all", topology.IPv4, fault.PerTuple, 1, func(*Config) {}},
		{"some of a snatpool's", topology.IPv4, fault.PerTuple, 0.1, func(c *Config) {
			c.F5.SNAT = bigip.SNAT{Type: bigip.SNATPool, Pool: []netip.Addr{netip.MustParseAddr("198.18.60.5"), netip.MustParseAddr("198.18.60.6")}}
		}},
		{"some of the clients' own addresses", topology.IPv4, fault.PerTuple, 0.1, func(c *Config) { c.F5.SNAT.Type = bigip.NoSNAT }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(100, 16, past("detour", row.per, row.probability))
			c.Family, c.Firewall = row.family, stateful
			row.edit(&c)
			f := checked(t, play(t, c))
			planned := plannedOrdinals(f.Planned)
			if foreseen := c.F5.SNAT.Type != bigip.SNATPool; f.Predictable != foreseen {
				t.Errorf("the hits are said to be predictable: %v", f.Predictable)
			}
			if got := failing(f); !slices.Equal(got, planned) || len(got) == 0 {
				t.Errorf("requests %v failed, planned were %v", got, planned)
			}
			tries := uint64(len(planned) * bigip.Fast.Tries())
			for _, r := range f.Reports {
				if r.Fault.Name == "detour" && r.Counter != tries {
					t.Errorf("%d packets were led past the firewall, %d SYNs were sent", r.Counter, tries)
				}
				if r.Fault.Name == string(firewall.NoSessionAnswers) && r.Counter < uint64(len(planned)) {
					t.Errorf("the firewall dropped %d answers to %d connections", r.Counter, len(planned))
				}
			}
		})
	}
}

func TestADetourOfNobodyHarmsNobody(t *testing.T) {
	c := config(50, 16, past("detour", fault.PerTuple, 0))
	c.Firewall = stateful
	if f := checked(t, play(t, c)); len(f.Ledger) > 0 || len(failing(f)) > 0 {
		t.Errorf("requests %v failed, the ledger holds %d packets", failing(f), len(f.Ledger))
	}
}

// What lies before the switch on the usual way sees nothing of a connection on a detour but
// its answers; what lies behind it sees all.
func TestOtherFaultsMeetAConnectionOnADetourWhereItsWayLeads(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		other fault.Fault
		meets bool
	}{
		{"SYNs before the firewall", drop("x", "link:f5-firewall", fault.PerConnection, 1), false},
		{"SYNs at the firewall", drop("x", "firewall", fault.PerConnection, 1), false},
		{"SYNs behind the firewall", drop("x", "link:firewall-switch", fault.PerConnection, 1), false},
		{"SYNs behind the switch", drop("x", "link:switch-server1", fault.PerConnection, 1), true},
		{"SYNs at the server", drop("x", "server1", fault.PerConnection, 1), true},
		{"SYN-ACKs behind the firewall", dropAnswer("x", "link:firewall-switch", fault.PerConnection, 1), true},
		{"SYN-ACKs before the firewall", dropAnswer("x", "link:f5-firewall", fault.PerConnection, 1), false},
		{"a server's deeds", act("x", "server1", fault.Reset, 1), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(60, 16, past("detour", fault.PerConnection, 0.3), row.other)
			c.Firewall = stateful
			f := checked(t, play(t, c))
			detoured, met := map[int]bool{}, map[int]bool{}
			for _, h := range f.Ledger {
				switch h.Fault {
				case "detour":
					detoured[h.Ordinal] = true
				case "x":
					met[h.Ordinal] = true
				}
			}
			both := 0
			for o := range detoured {
				if met[o] {
					both++
				}
			}
			if len(detoured) == 0 || len(met) == 0 || (both > 0) != row.meets {
				t.Errorf("%d requests were on a detour, %d met the other fault, %d both", len(detoured), len(met), both)
			}
		})
	}
}
