package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// withoutHTTP are the virtual servers that do not read the request.
var withoutHTTP = []struct {
	name string
	edit func(c *Config)
}{
	{"FastL4", func(c *Config) {
		c.F5.VirtualServer.Type = bigip.FastL4
		c.F5.FastL4.HandshakeTimeout = 500 * time.Millisecond
	}},
	{"standard without an http profile", func(c *Config) { c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP} }},
}

func TestVirtualServersThatDoNotReadTheRequestAreHeldToTheSameAccounts(t *testing.T) {
	t.Parallel()
	for _, vs := range withoutHTTP {
		for _, row := range []struct {
			name   string
			family topology.Family
			faults []fault.Fault
		}{
			{"without a fault", topology.IPv4, nil},
			{"without a fault, IPv6", topology.IPv6, nil},
			{"SYNs per tuple", topology.IPv4, []fault.Fault{drop("x", "firewall", fault.PerTuple, 0.1)}},
			{"SYNs per tuple, IPv6", topology.IPv6, []fault.Fault{drop("x", "firewall", fault.PerTuple, 0.1)}},
			{"all SYNs to one server", topology.IPv4, []fault.Fault{drop("x", "link:switch-server2", fault.PerTuple, 1)}},
			{"answers per tuple", topology.IPv4, []fault.Fault{dropAnswer("x", "link:f5-firewall", fault.PerTuple, 0.1)}},
			{"SYNs per packet", topology.IPv4, []fault.Fault{drop("x", "firewall", fault.PerPacket, 0.1)}},
		} {
			t.Run(vs.name+", "+row.name, func(t *testing.T) {
				t.Parallel()
				c := config(200, 32, row.faults...)
				c.Family = row.family
				vs.edit(&c)
				planned, predictable, err := c.Plan()
				if len(planned) > 0 || predictable != (row.faults == nil) || err != nil {
					t.Errorf("planned %v, %v, %v before anybody knows its members", planned, predictable, err)
				}
				f := checked(t, play(t, c))
				for _, flow := range f.Flows {
					if r := f.Requests[flow.Ordinal]; r.Local != flow.Client {
						t.Errorf("the flow %+v is said to be of %+v", flow, r)
					}
				}
				if len(f.Flows) != c.Requests {
					t.Errorf("%d flows", len(f.Flows))
				}
				if row.faults != nil && row.faults[0].Per == fault.PerPacket {
					return
				}
				if got, want := failing(f), plannedOrdinals(f.Planned); !slices.Equal(got, want) || len(want) == 0 != (row.faults == nil) {
					t.Errorf("requests %v failed, to be hit by the flows were %v", got, want)
				}
				for _, o := range failing(f) {
					want := client.Reset
					if vs.name == "FastL4" {
						want = client.Refused
					}
					if r := f.Requests[o]; r.Outcome != want {
						t.Errorf("the client saw %+v, want it %s", r, want)
					}
				}
			})
		}
	}
}

func TestAFaultPerConnectionNeedsAVirtualServerThatReadsTheRequest(t *testing.T) {
	for _, vs := range withoutHTTP {
		c := config(1, 1, drop("x", "firewall", fault.PerConnection, 0.1))
		vs.edit(&c)
		const want = `fault x: per "connection": without an http profile the f5 does not know which request a connection is for; it must be tuple or packet`
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("%s: got %v", vs.name, err)
		}
	}
}
