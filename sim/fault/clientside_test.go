package fault

import (
	"net/netip"
	"testing"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// A full proxy asks a server when it has the request, and answers when it has been answered.
func TestTheStagesOfARequestAreThoseOfTheClientsHalfAroundThoseOfTheServers(t *testing.T) {
	at := func(place string, m Match) Fault {
		return Fault{At: place, Match: m, Direction: classes[m].way, Do: Drop}
	}
	order := []Fault{
		at(ClientLink, SYN), at(ClientLink, SYNACK), at(ClientLink, ACK), {At: topology.Client, Do: Abort}, at(ClientLink, Data),
		at("firewall", SYN), at("firewall", SYNACK), at("firewall", ACK), at("firewall", Data), at("server1", AfterSYN),
		{At: "server1", Do: Die}, at("firewall", Response), at(ClientLink, Response),
	}
	for i := range order[1:] {
		if a, b := &order[i], &order[i+1]; a.Stage() >= b.Stage() {
			t.Errorf("%s %s%s comes at stage %d, and then %s %s%s at %d", a.At, a.Match, a.Do, a.Stage(), b.At, b.Match, b.Do, b.Stage())
		}
	}
	if large, data := at(ClientLink, LargeData), at(ClientLink, Data); large.Stage() != data.Stage() {
		t.Error("large data is not at the stage of data")
	}
}

func TestOnTheClientsLinkTheClientsConnectionsAreHitAndNoOther(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		for _, match := range []Match{SYN, SYNACK} {
			t.Run(string(family)+": "+string(match), func(t *testing.T) {
				t.Parallel()
				lab := labtest.Build(t, family, ClientLink)
				a := topology.StandardAddresses(family)
				serve(t, lab.Host(topology.F5), a.VIP)
				f := valid()
				f.At, f.Match, f.Direction = ClientLink, match, classes[match].way
				i := inject(t, lab, f, 5, 7)
				want := map[netip.AddrPort]bool{}
				for o := range 100 {
					from := netip.AddrPortFrom(a.Client, uint16(30000+o))
					i.Arm(o, 0, from, a.VIP)
					if err := lab.Host(topology.Client).Run(func() error { return eventloop.Knock(from, a.VIP) }); err != nil {
						t.Fatal(err)
					}
					if f.Fate(5, o, 0) {
						want[from] = true
					}
				}
				hit := map[netip.AddrPort]bool{}
				for _, e := range report(t, lab, i).Entries {
					from, to := e.Ends()
					if hit[from] = true; !want[from] || to != a.VIP {
						t.Errorf("%v → %v was hit", e.Source, e.Destination)
					}
				}
				if len(hit) != len(want) || len(want) == 0 || len(want) == 100 {
					t.Errorf("%d connections were hit, want %d", len(hit), len(want))
				}
			})
		}
	}
}
