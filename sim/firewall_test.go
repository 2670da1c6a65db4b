package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
)

// refused are the requests of which the firewall has dropped at least so many packets
// for a reason.
func refused(f *Facts, reason firewall.Reason, packets int) (ordinals []int) {
	syns := map[*bigip.Flow]int{}
	for _, h := range f.Ledger {
		if h.Fault == string(reason) {
			syns[h.Flow]++
		}
	}
	for flow, n := range syns {
		if n >= packets {
			ordinals = append(ordinals, flow.Ordinal)
		}
	}
	slices.Sort(ordinals)
	return ordinals
}

func TestAStatefulFirewallFailsTheRequestsThatItsLedgerSays(t *testing.T) {
	t.Parallel()
	all := bigip.Fast.Tries()
	for _, row := range []struct {
		name    string
		reason  firewall.Reason
		packets int // of a request that fails, at least
		edit    func(*Config)
	}{
		{"ports come round while their sessions are held", firewall.HeldSession, all, func(c *Config) {
			c.F5.SNAT.Ports = 20
			c.Firewall = firewall.Config{TimeWait: time.Second, TupleReuse: firewall.Drop}
		}},
		{"the table is full", firewall.TableFull, all, func(c *Config) { c.Firewall = firewall.Config{MaxSessions: 40, TimeWait: time.Second} }},
		{"the rate is exceeded", firewall.SYNRate, all, func(c *Config) { c.Firewall = firewall.Config{SYNRate: 20} }},
		// A server asks back twice a second at most (net.ipv4.tcp_invalid_ratelimit).
		{"ports come round while the servers are in TIME_WAIT", firewall.ChallengeACK, 1, func(c *Config) {
			never := false
			c.F5.SNAT.Ports, c.F5.Serverside.Timestamps = 40, &never
			c.Firewall = firewall.Config{ChallengeACK: firewall.Drop}
		}},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				t.Parallel()
				c := config(100, 16)
				c.Family = family
				row.edit(&c)
				planned, predictable, err := c.Plan()
				if err != nil || predictable || len(planned) > 0 {
					t.Errorf("planned are %v, predictable %v, %v", planned, predictable, err)
				}
				f := checked(t, play(t, c))
				if got, want := failing(f), refused(f, row.reason, row.packets); !slices.Equal(got, want) || len(got) == 0 {
					t.Errorf("requests %v failed, the ledger has what must have failed %v", got, want)
				}
			})
		}
	}
}

func TestPlannedFaultsAndAStatefulFirewallShareALedger(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault fault.Fault
	}{
		{"SYNs before the firewall", drop("x", "link:f5-firewall", fault.PerConnection, 0.1)},
		{"SYNs at the firewall", drop("x", "firewall", fault.PerConnection, 0.1)},
		{"SYNs that the firewall may have taken", drop("x", "server2", fault.PerConnection, 0.2)},
		{"SYN-ACKs", dropAnswer("x", "link:switch-server1", fault.PerConnection, 0.2)},
		{"requests", of(fault.Data, drop("x", "firewall", fault.PerConnection, 0.1))},
		{"a server's deeds", act("x", "server1", fault.Reset, 0.2)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(120, 16, row.fault)
			c.Firewall = firewall.Config{MaxSessions: 50, TimeWait: time.Second}
			f := checked(t, play(t, c))
			hit := map[string]int{}
			for _, h := range f.Ledger {
				hit[h.Fault]++
			}
			if hit["x"] == 0 || hit[string(firewall.TableFull)] == 0 {
				t.Errorf("the ledger holds %v", hit)
			}
		})
	}
}

func TestAFaultMayNotHaveTheNameOfAFirewallsReason(t *testing.T) {
	c := config(1, 1, drop(string(firewall.SYNRate), "server1", fault.PerConnection, 1))
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	c.Firewall = firewall.Config{SYNRate: 1}
	if err := c.Validate(); err == nil {
		t.Error("the ledger could not tell the two apart")
	}
}
