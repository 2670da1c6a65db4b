package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// forbid is a fault that rejects SYNs with an ICMP error.
func forbid(name, at string, p float64) fault.Fault {
	f := reject(name, at, p)
	f.With = fault.WithAdminProhibited
	return f
}

// back turns a fault to what comes back.
func back(match fault.Match, f fault.Fault) fault.Fault {
	f.Match, f.Direction = match, fault.ToClient
	return f
}

// hitBy are the requests that a fault has hit, each once.
func hitBy(f *Facts, name string) (ordinals []int) {
	for _, h := range f.Ledger {
		if h.Fault == name {
			ordinals = append(ordinals, h.Ordinal)
		}
	}
	slices.Sort(ordinals)
	return slices.Compact(ordinals)
}

// plannedFor are the requests that a plan names for a fault.
func plannedFor(planned []Planned, name string) []int {
	return plannedOrdinals(slices.DeleteFunc(slices.Clone(planned), func(p Planned) bool { return p.Fault != name }))
}

func TestWhatOnlyAnotherFaultMakesIsHitWhereThatOneStrikes(t *testing.T) {
	t.Parallel()
	resets := act("cause", "server2", fault.Reset, 0.4)
	probes := bigip.Fast
	probes.KeepAliveInterval, probes.MinimumRTO = time.Second, 50*time.Millisecond
	three := 3
	probes.MaxRetrans = &three
	for _, row := range []struct {
		name        string
		cause, loss fault.Fault
		event       bigip.Cause
	}{
		{"an ICMP error of the firewall's, lost before the f5", forbid("cause", "firewall", 0.3), back(fault.ICMP, drop("loss", "link:f5-firewall", fault.PerConnection, 0.5)), bigip.RetransmitTimeout},
		{"one of a server's, lost in the firewall", forbid("cause", "server2", 0.4), back(fault.ICMP, drop("loss", "firewall", fault.PerConnection, 0.5)), bigip.RetransmitTimeout},
		{"one of a server's, lost per tuple", forbid("cause", "server1", 0.4), back(fault.ICMP, drop("loss", "link:switch-server1", fault.PerTuple, 0.5)), bigip.RetransmitTimeout},
		{"every RST of a closed port", reject("cause", "server2", 0.4), back(fault.RST, drop("loss", "firewall", fault.PerConnection, 1)), bigip.RetransmitTimeout},
		{"every RST of a server that resets", resets, back(fault.RST, drop("loss", "firewall", fault.PerConnection, 1)), bigip.KeepAlive},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				t.Parallel()
				c := config(60, 16, row.cause, row.loss)
				c.Family, c.F5.Serverside = family, probes
				planned, predictable, err := c.Plan()
				if err != nil || !predictable {
					t.Fatal(predictable, err)
				}
				f := checked(t, play(t, c))
				if got, want := failing(f), plannedFor(planned, "cause"); !slices.Equal(got, want) || len(want) == 0 {
					t.Errorf("requests %v failed, planned were %v", got, want)
				}
				lost := plannedFor(planned, "loss")
				if got := hitBy(f, "loss"); !slices.Equal(got, lost) || len(lost) == 0 {
					t.Errorf("answers to %v were lost, planned were %v", got, lost)
				}
				for _, o := range lost {
					if !slices.ContainsFunc(f.Resets, func(r bigip.Reset) bool { return r.Ordinal == o && r.Cause == row.event && r.Peer }) {
						t.Errorf("the f5 did not reset the client of request %d for %q", o, row.event.Text)
					}
				}
			})
		}
	}
}

func TestARouterAnswersWhatComesWithATTLThatIsUp(t *testing.T) {
	t.Parallel()
	up := rewriting("link:f5-firewall", fault.SYN, fault.ToServer, 1, 0, 0)
	down := rewriting("link:firewall-switch", fault.SYNACK, fault.ToClient, 1, 0, 0)
	down.Name = "down"
	for _, row := range []struct {
		name   string
		faults []fault.Fault
		lost   bool // ICMP errors, per connection
	}{
		{"and another hop says ICMP errors too", []fault.Fault{up, forbid("forbids", "server1", 0.4)}, false},
		{"and so does the firewall", []fault.Fault{up, forbid("forbids", "firewall", 0.4)}, false},
		{"both ways, to each its own", []fault.Fault{up, down, forbid("forbids", "server1", 0.4)}, false},
		{"and the answers of some are lost", []fault.Fault{up, back(fault.ICMP, drop("loss", "link:f5-firewall", fault.PerConnection, 0.5))}, true},
		{"and some of what it says, to whomever, is lost", []fault.Fault{down, back(fault.ICMP, drop("loss", "link:f5-firewall", fault.PerPacket, 0.3)),
			forbid("forbids", "firewall", 0.3)}, false},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				t.Parallel()
				c := config(60, 16, row.faults...)
				c.Family = family
				f := checked(t, play(t, c))
				var want []int
				for _, x := range row.faults {
					if x.Match != fault.ICMP {
						want = append(want, plannedFor(f.Planned, x.Name)...)
					}
				}
				slices.Sort(want)
				if got := failing(f); !slices.Equal(got, slices.Compact(want)) || len(got) == 0 {
					t.Errorf("requests %v failed, planned were %v", got, want)
				}
				if lost := plannedFor(f.Planned, "loss"); row.lost && (len(lost) == 0 || !slices.Equal(hitBy(f, "loss"), lost)) {
					t.Errorf("answers to %v were lost, planned were %v", hitBy(f, "loss"), lost)
				}
				var said uint64
				for _, b := range f.Balances {
					if b.Of == ICMPErrors && b.Where == topology.Firewall {
						said += b.Made
					}
				}
				if said == 0 {
					t.Error("the firewall said nothing")
				}
			})
		}
	}
}

func TestTheF5GoesOnWithItsSYNsUponICMPErrors(t *testing.T) {
	t.Parallel()
	for _, at := range []string{topology.Firewall, topology.Server1} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(fmt.Sprintf("%s at %s", family, at), func(t *testing.T) {
				c := config(40, 16, forbid("x", at, 0.4))
				c.Family = family
				f := checked(t, play(t, c))
				if got, want := failing(f), plannedOrdinals(f.Planned); !slices.Equal(got, want) || len(want) == 0 {
					t.Errorf("requests %v failed, planned were %v", got, want)
				}
				for _, flow := range f.Flows {
					if hit := slices.Contains(plannedOrdinals(f.Planned), flow.Ordinal); hit && flow.Tries != bigip.Fast.Tries() {
						t.Errorf("request %d had %d SYNs, want %d", flow.Ordinal, flow.Tries, bigip.Fast.Tries())
					}
				}
			})
		}
	}
}

func TestWhoseFINIsLostSucceedsEvenSo(t *testing.T) {
	t.Parallel()
	for _, way := range []fault.Direction{fault.ToServer, fault.ToClient} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(fmt.Sprintf("%s, %s", way, family), func(t *testing.T) {
				t.Parallel()
				x := of(fault.FIN, drop("x", "firewall", fault.PerConnection, 0.2))
				x.Direction = way
				c := config(40, 16, x)
				c.Family, c.Timeout = family, time.Second
				f := checked(t, play(t, c))
				if hit := hitBy(f, "x"); len(failing(f)) > 0 || len(hit) == 0 || !slices.Equal(hit, plannedOrdinals(f.Planned)) {
					t.Errorf("requests %v failed, the FINs of %v were lost, planned were %v", failing(f), hit, plannedOrdinals(f.Planned))
				}
				for _, r := range f.Requests {
					late := r.End.Sub(r.Start) >= c.Timeout
					if waits := way == fault.ToClient && slices.Contains(plannedOrdinals(f.Planned), r.Ordinal); late != waits || r.Status != 200 {
						t.Errorf("request %d took %v and got %d", r.Ordinal, r.End.Sub(r.Start), r.Status)
					}
				}
			})
		}
	}
}

func TestHalfAResponseIsNotWholeForWantOfAFIN(t *testing.T) {
	t.Parallel()
	cuts := act("cuts", "server1", fault.CutResponse, 0.3)
	c := config(40, 16, cuts, back(fault.FIN, drop("x", "firewall", fault.PerConnection, 1)))
	c.Timeout = time.Second
	f := checked(t, play(t, c))
	if got, want := failing(f), plannedFor(f.Planned, "cuts"); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("requests %v failed, the responses of %v were cut", got, want)
	}
	for _, o := range failing(f) {
		if r := f.Requests[o]; r.Outcome != client.Timeout {
			t.Errorf("the record is %+v", r)
		}
	}
}

func TestAPolicerIsAccountedForAndNotPredicted(t *testing.T) {
	t.Parallel()
	x := of(fault.Data, drop("x", "link:f5-firewall", fault.PerPacket, 1))
	x.Do, x.Rate, x.Burst = fault.RateLimit, 50, 10
	c := config(200, 64, x)
	if planned, predictable, err := c.Plan(); len(planned) > 0 || predictable || err != nil {
		t.Errorf("planned %v, %v, %v", planned, predictable, err)
	}
	f := checked(t, play(t, c))
	if f.Reports[0].Counter == 0 || f.Reports[0].Counter != uint64(len(f.Ledger)) {
		t.Errorf("the kernel counted %d packets, the ledger holds %d", f.Reports[0].Counter, len(f.Ledger))
	}
}

func TestAnICMPErrorThatTheLedgerDoesNotHaveMakesARunInvalid(t *testing.T) {
	t.Parallel()
	f := play(t, config(20, 4, forbid("x", "firewall", 0.5), forbid("y", "server1", 0.5)))
	if problems := f.Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	at := slices.IndexFunc(f.Balances, func(b Balance) bool {
		return b.Of == ICMPErrors && b.Where == "firewall" && b.Direction == fault.ToClient
	})
	if at < 0 || f.Balances[at].Made == 0 {
		t.Fatalf("no balance of ICMP errors: %+v", f.Balances)
	}
	f.Balances[at].Out--
	for i := range f.Captures {
		if f.Captures[i].Point.Hop == topology.Server1 {
			f.Captures[i].Counts[0].OutICMP++
		}
	}
	got := strings.Join(f.Check(), "\n")
	for _, want := range []string{"firewall, to-client: ", " ICMP errors went in and ", "server1: it sent "} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestALossOfWhatNobodyMakesIsRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		faults []fault.Fault
		want   string // "" for none
	}{
		{"RSTs, and nobody resets", []fault.Fault{back(fault.RST, drop("x", "firewall", fault.PerConnection, 0.5))},
			`fault x: match "rst": no fault behind firewall resets, so there is nothing to hit; add one, or say per: packet`},
		{"ICMP errors of the firewall's, lost where it has not said them yet", []fault.Fault{forbid("a", "firewall", 0.5), back(fault.ICMP, drop("x", "firewall", fault.PerConnection, 0.5))},
			`fault x: match "icmp": no fault behind firewall rejects with an ICMP error`},
		{"RSTs where SYNs are refused by ICMP", []fault.Fault{forbid("a", "server1", 0.5), back(fault.RST, drop("x", "firewall", fault.PerTuple, 0.5))},
			`fault x: match "rst": no fault behind firewall resets`},
		{"never", []fault.Fault{back(fault.RST, drop("x", "firewall", fault.PerConnection, 0))}, ""},
		{"single packets", []fault.Fault{back(fault.ICMP, drop("x", "firewall", fault.PerPacket, 1))}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(10, 1, row.faults...)
			err := c.Validate()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
