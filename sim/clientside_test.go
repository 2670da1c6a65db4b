package sim

import (
	"context"
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

// atClient is a fault between client and f5.
func atClient(name string, match fault.Match, per fault.Per, p float64) fault.Fault {
	return of(match, drop(name, fault.ClientLink, per, p))
}

func TestWhatIsLostBetweenClientAndF5IsAccountedForPacketByPacket(t *testing.T) {
	t.Parallel()
	const conn, tuple = fault.PerConnection, fault.PerTuple
	const all, fewer = "all", "fewer"
	for _, row := range []struct {
		name   string
		edit   func(*Config)
		faults []fault.Fault
		flows  string // that the f5 opens: all, as for every request, or fewer; "": that is chance
	}{
		{"SYNs", nil, []fault.Fault{atClient("x", fault.SYN, conn, 0.2)}, fewer},
		{"SYNs, per tuple, in IPv6", func(c *Config) { c.Family = topology.IPv6 }, []fault.Fault{atClient("x", fault.SYN, tuple, 0.2)}, fewer},
		{"every SYN per packet", nil, []fault.Fault{atClient("x", fault.SYN, fault.PerPacket, 1)}, fewer},
		{"SYN-ACKs", nil, []fault.Fault{atClient("x", fault.SYNACK, conn, 0.2)}, fewer},
		{"SYN-ACKs, in IPv6", func(c *Config) { c.Family = topology.IPv6 }, []fault.Fault{atClient("x", fault.SYNACK, conn, 0.2)}, fewer},
		{"data", nil, []fault.Fault{atClient("x", fault.Data, conn, 0.2)}, fewer},
		{"data, per tuple, in IPv6", func(c *Config) { c.Family = topology.IPv6 }, []fault.Fault{atClient("x", fault.Data, tuple, 0.2)}, fewer},
		{"data, until the f5's idle timeout", func(c *Config) { c.F5.Clientside.IdleTimeout, c.Timeout = time.Second, 3*time.Second },
			[]fault.Fault{atClient("x", fault.Data, conn, 0.2)}, fewer},
		{"responses", nil, []fault.Fault{atClient("x", fault.Response, conn, 0.2)}, all},
		{"responses, per tuple, in IPv6", func(c *Config) { c.Family = topology.IPv6 }, []fault.Fault{atClient("x", fault.Response, tuple, 0.2)}, all},
		{"every class at once, and the same behind the f5", nil, []fault.Fault{
			atClient("a", fault.Response, conn, 0.2), atClient("b", fault.Data, conn, 0.2), atClient("c", fault.SYNACK, conn, 0.2), atClient("d", fault.SYN, conn, 0.2),
			drop("e", "firewall", conn, 0.2), dropAnswer("f", "firewall", conn, 0.2), of(fault.Data, drop("g", "firewall", conn, 0.2))}, fewer},
		{"with a client that misbehaves", nil, []fault.Fault{
			atClient("syn", fault.SYN, conn, 0.3), atClient("data", fault.Data, conn, 0.3), atClient("response", fault.Response, conn, 0.3), act("aborts", topology.Client, fault.Abort, 0.3)}, fewer},
		{"over TLS", func(c *Config) {
			c.Protocol, c.F5.VirtualServer.Profiles = client.HTTPS, []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL}
		}, []fault.Fault{atClient("syn", fault.SYN, conn, 0.2), atClient("data", fault.Data, conn, 0.2), atClient("response", fault.Response, conn, 0.2)}, fewer},
		{"SYNs, of an f5 that does not read requests", func(c *Config) { c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP} },
			[]fault.Fault{atClient("x", fault.SYN, conn, 0.2)}, fewer},
		{"data, of an f5 that does not read requests", func(c *Config) { c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP} },
			[]fault.Fault{atClient("x", fault.Data, conn, 0.2)}, all},
		{"requests with an old time stamp", nil, []fault.Fault{backdating(fault.ClientLink, fault.Data, fault.ToServer)}, fewer},
		{"responses with an old time stamp", nil, []fault.Fault{backdating(fault.ClientLink, fault.Response, fault.ToClient)}, all},
		{"responses with an old time stamp, to a client that gives up before the f5 does", func(c *Config) { five := 5; c.F5.Clientside.MaxRetrans = &five },
			[]fault.Fault{backdating(fault.ClientLink, fault.Response, fault.ToClient)}, all},
		{"SYNs with another number", nil, []fault.Fault{rewriting(fault.ClientLink, fault.SYN, fault.ToServer, 0, 0, 5)}, fewer},
		{"SYNs that come damaged", nil, []fault.Fault{wired("x", fault.ClientLink, fault.Corrupt, fault.SYN, 0.2)}, fewer},
		{"RSTs in the f5's name", nil, []fault.Fault{wired("x", fault.ClientLink, fault.InjectRST, fault.Data, 0.2)}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(40, 16, row.faults...)
			c.Timeout, c.F5.Clientside = 3*time.Second, bigip.Fast
			if row.edit != nil {
				row.edit(&c)
			}
			planned, predictable, err := c.Plan()
			if err != nil || !predictable {
				t.Fatalf("%v, %v", predictable, err)
			}
			f := checked(t, play(t, c))
			got := failing(f)
			if want := plannedOrdinals(planned); !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("%d requests failed: %v, planned were %v", len(got), got, want)
			}
			if row.flows != "" && (len(f.Flows) == c.Requests) != (row.flows == all) {
				t.Errorf("%d requests made the f5 open %d connections", c.Requests, len(f.Flows))
			}
		})
	}
}

func TestAClientThatGivesUpBeforeAHealthyServerAnswersFailsByItself(t *testing.T) {
	t.Parallel()
	impatient := act("impatient", topology.Client, fault.GiveUp, 0.3)
	impatient.After = 300 * time.Millisecond
	c := config(40, 40, impatient)
	c.AnswerAfter = time.Second
	f := checked(t, play(t, c))
	got := failing(f)
	if want := plannedOrdinals(f.Planned); !slices.Equal(got, want) || len(got) == 0 || len(f.Flows) != c.Requests {
		t.Errorf("%v failed, planned were %v; the f5 opened %d connections", got, want, len(f.Flows))
	}
	for _, o := range got {
		if r := f.Requests[o]; r.Outcome != client.Timeout || r.End.Sub(r.Start) >= c.AnswerAfter {
			t.Errorf("the record is %+v", r)
		}
	}
}

func TestWhatAConnectionCanDoWithoutOrIsOnlyLateHarmsNoRequest(t *testing.T) {
	late := wired("late", fault.ClientLink, fault.Delay, fault.Any, 0.3)
	late.After = 20 * time.Millisecond
	for _, x := range []fault.Fault{
		atClient("acks", fault.ACK, fault.PerConnection, 0.3), late,
		wired("twice", fault.ClientLink, fault.Duplicate, fault.Response, 0.3),
		wired("turned", fault.ClientLink, fault.Reorder, fault.Any, 0.3),
	} {
		t.Run(x.Name, func(t *testing.T) {
			t.Parallel()
			f := checked(t, play(t, config(40, 16, x)))
			if got := failing(f); len(got) > 0 || len(f.Ledger) == 0 {
				t.Errorf("%d packets were hit, and %v failed", len(f.Ledger), got)
			}
		})
	}
}

func TestWhereLargePacketsDoNotPassToTheF5TheLargeRequestsFail(t *testing.T) {
	t.Parallel()
	x := largerThan1400("small", fault.ClientLink)
	c := config(40, 16, x)
	c.LargeRequests, c.Timeout = 0.2, 1500*time.Millisecond
	f := checked(t, play(t, c))
	for _, r := range f.Requests {
		if (r.Outcome == client.OK) == c.large(r.Ordinal) {
			t.Errorf("request %d, large: %v, was %s", r.Ordinal, c.large(r.Ordinal), r.Outcome)
		}
	}
}

func TestClientsideFaultsOfWhichNobodyKnowsWhomTheyHitAreRefused(t *testing.T) {
	https := func(c *Config) {
		c.Protocol, c.F5.VirtualServer.Profiles = client.HTTPS, []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL}
	}
	for _, row := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"several requests on a connection", func(c *Config) { https(c); c.RequestsPerConnection = 4 },
			`fault x: at "link:client-f5": 4 requests share each of the client's connections there, and what hits one of them is not to be told from what hits all; say requests-per-connection: 1 of traffic`},
		{"one each", https, ""},
		{"somebody else's client", func(c *Config) {
			c.Send = func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) { return nil, nil }
		},
			`fault x: per "connection": with somebody else's client it must be tuple or packet there`},
		{"somebody else's proxy", func(c *Config) { c.Proxy = unaware }, ""},
		{"a cable that rejects", func(c *Config) { c.Faults[0].Do = fault.Reject }, `at "link:client-f5": a cable rejects nothing`},
		{"behind one that takes every SYN", func(c *Config) {
			c.Faults = append(c.Faults, drop("late", "firewall", fault.PerConnection, 0.5))
			c.Faults[0].Probability = 1
		},
			`fault late: at "firewall": no connection ever comes to it: x, with probability 1, is before it`},
		{"every response is taken, of what has been asked", func(c *Config) {
			c.Faults = []fault.Fault{atClient("x", fault.Response, fault.PerConnection, 1), drop("early", "firewall", fault.PerConnection, 0.5)}
		}, ""},
		{"every request is taken", func(c *Config) {
			c.Faults = []fault.Fault{atClient("x", fault.Data, fault.PerConnection, 1), drop("late", "firewall", fault.PerConnection, 0.5)}
		}, `fault late: at "firewall": no connection ever comes to it: x,`},
		{"every request is taken, and the f5 has connected by then", func(c *Config) {
			c.Faults = []fault.Fault{atClient("x", fault.Data, fault.PerConnection, 1), drop("early", "firewall", fault.PerTuple, 0.5)}
			c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP}
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(10, 1, atClient("x", fault.SYN, fault.PerConnection, 0.5))
			row.edit(&c)
			err := c.Validate()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestAPacketOfTheClientsThatNoRequestWasSentOnMakesARunInvalid(t *testing.T) {
	t.Parallel()
	c := config(10, 4, atClient("x", fault.SYN, fault.PerConnection, 0.5))
	c.Timeout = 1500 * time.Millisecond
	f := checked(t, play(t, c))
	other := doctored(f)
	other.Ledger[0].Ordinal = -1
	if problems := fmt.Sprint(other.Check()); !strings.Contains(problems, "the ledger holds 1 packets of clientside connections that no request was sent on") {
		t.Errorf("got %s", problems)
	}
	other = doctored(f)
	other.Requests = slices.Clone(f.Requests)
	other.Requests[f.Ledger[0].Ordinal].Outcome = client.OK
	if problems := fmt.Sprint(other.Check()); !strings.Contains(problems, "succeeded though a fault had hit it that it cannot survive") {
		t.Errorf("got %s", problems)
	}
}

func TestWhatAPolicerBeforeTheF5TakesIsNotForeseen(t *testing.T) {
	t.Parallel()
	x := drop("police", fault.ClientLink, fault.PerPacket, 1)
	x.Do, x.Rate, x.Burst = fault.RateLimit, 100, 20
	c := config(200, 64, x)
	c.Timeout = 3 * time.Second
	if planned, predictable, err := c.Plan(); err != nil || predictable || len(planned) > 0 {
		t.Fatalf("%d are planned, predictable %v, %v", len(planned), predictable, err)
	}
	if f := checked(t, play(t, c)); len(f.Ledger) == 0 || len(f.Planned) > 0 {
		t.Errorf("%d packets were hit, %d connections planned", len(f.Ledger), len(f.Planned))
	}
}
