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

// wired is a fault that a wire does to what goes to the server.
func wired(name, at string, do fault.Do, match fault.Match, p float64) fault.Fault {
	f := of(match, drop(name, at, fault.PerConnection, p))
	f.Do = do
	return f
}

// rewriting is a fault that changes a field of what goes one way.
func rewriting(at string, match fault.Match, way fault.Direction, ttl, mss, seq int) fault.Fault {
	f := wired("x", at, fault.Rewrite, match, 0.3)
	f.Direction, f.TTL, f.MSS, f.Seq = way, ttl, mss, seq
	return f
}

// backdating is a fault that makes the time stamps older of what goes one way.
func backdating(at string, match fault.Match, way fault.Direction) fault.Fault {
	f := rewriting(at, match, way, 0, 0, 0)
	f.TSval = 86_400_000
	return f
}

func TestWhatAWireDoesIsAccountedForPacketByPacket(t *testing.T) {
	t.Parallel()
	late := wired("x", "link:f5-firewall", fault.Delay, fault.Data, 0.3)
	late.After, late.Jitter = 200*time.Millisecond, 50*time.Millisecond
	lateSYN := func(after time.Duration) fault.Fault {
		f := wired("x", "link:f5-firewall", fault.Delay, fault.SYN, 1)
		f.After = after
		return f
	}
	back := func(f fault.Fault) fault.Fault { f.Direction = fault.ToClient; return f }
	toServer := func(f fault.Fault) fault.Fault { f.To = fault.ToTheServer; return f }
	perTuple := func(f fault.Fault) fault.Fault { f.Per = fault.PerTuple; return f }
	all := func(at string) (faults []fault.Fault) {
		for i, do := range []fault.Do{fault.Reorder, fault.Duplicate, fault.Delay} {
			f := wired(fmt.Sprint("f", i), at, do, fault.Any, 0.3)
			if do == fault.Delay {
				f.After = 30 * time.Millisecond
			}
			faults = append(faults, f)
			f.Name += "-back"
			faults = append(faults, back(f))
		}
		return faults
	}
	for _, row := range []struct {
		name   string
		faults []fault.Fault
		fails  bool // what is hit
	}{
		{"requests that are late", []fault.Fault{late}, false},
		{"every packet twice", []fault.Fault{wired("x", "link:firewall-switch", fault.Duplicate, fault.Any, 1), back(wired("y", "link:f5-firewall", fault.Duplicate, fault.Any, 1))}, false},
		{"packets that change places", []fault.Fault{wired("x", "link:switch-server1", fault.Reorder, fault.Any, 0.5), back(wired("y", "link:f5-firewall", fault.Reorder, fault.Any, 0.5))}, false},
		{"several wires on one link, of which the first takes a packet", all("link:f5-firewall"), false},
		{"a RST in the firewall, ahead of the request", []fault.Fault{wired("x", "firewall", fault.InjectRST, fault.Data, 0.3)}, true},
		{"a RST in the firewall, ahead of the response", []fault.Fault{wired("x", "firewall", fault.InjectRST, fault.Response, 0.3)}, true},
		{"a RST to the server, ahead of the request", []fault.Fault{toServer(wired("x", "link:f5-firewall", fault.InjectRST, fault.Data, 0.3))}, true},
		{"a RST to the server, ahead of its SYN-ACK", []fault.Fault{toServer(back(wired("x", "firewall", fault.InjectRST, fault.SYNACK, 0.3)))}, true},
		{"a RST to the server on a link, ahead of its SYN-ACK", []fault.Fault{toServer(back(wired("x", "link:firewall-switch", fault.InjectRST, fault.SYNACK, 0.3)))}, true},
		{"a RST on a link, per tuple", []fault.Fault{perTuple(wired("x", "link:switch-server2", fault.InjectRST, fault.Data, 0.5))}, true},
		{"damaged SYNs", []fault.Fault{wired("x", "link:firewall-switch", fault.Corrupt, fault.SYN, 0.3)}, true},
		{"damaged SYN-ACKs", []fault.Fault{wired("x", "link:f5-firewall", fault.Corrupt, fault.SYNACK, 0.3)}, true},
		{"damaged requests", []fault.Fault{wired("x", "link:switch-server1", fault.Corrupt, fault.Data, 0.5)}, true},
		{"two wires that damage the same packets", []fault.Fault{wired("x", "link:f5-firewall", fault.Corrupt, fault.SYN, 0.5), wired("y", "link:firewall-switch", fault.Corrupt, fault.SYN, 0.5)}, true},
		{"SYNs whose TTL is up at the firewall", []fault.Fault{rewriting("link:f5-firewall", fault.SYN, fault.ToServer, 1, 0, 0)}, true},
		{"SYN-ACKs whose TTL is up at the firewall", []fault.Fault{rewriting("link:switch-server1", fault.SYNACK, fault.ToClient, 1, 0, 0)}, true},
		{"responses whose TTL is up at the firewall", []fault.Fault{rewriting("link:firewall-switch", fault.Response, fault.ToClient, 1, 0, 0)}, true},
		{"SYNs that go no further than their TTL", []fault.Fault{rewriting("link:firewall-switch", fault.SYN, fault.ToServer, 1, 0, 0)}, false},
		{"SYNs whose TTL is enough", []fault.Fault{rewriting("link:f5-firewall", fault.SYN, fault.ToServer, 2, 0, 0)}, false},
		{"SYNs with another MSS", []fault.Fault{rewriting("link:f5-firewall", fault.SYN, fault.ToServer, 0, 120, 0)}, false},
		{"SYN-ACKs with another MSS", []fault.Fault{rewriting("link:f5-firewall", fault.SYNACK, fault.ToClient, 0, 9000, 0)}, false},
		{"SYNs with another number", []fault.Fault{rewriting("link:f5-firewall", fault.SYN, fault.ToServer, 0, 0, 5)}, true},
		{"SYN-ACKs with another number", []fault.Fault{rewriting("link:firewall-switch", fault.SYNACK, fault.ToClient, 0, 0, 5)}, true},
		{"requests with another number", []fault.Fault{rewriting("link:f5-firewall", fault.Data, fault.ToServer, 0, 0, 1<<30)}, true},
		{"responses with another number", []fault.Fault{rewriting("link:f5-firewall", fault.Response, fault.ToClient, 0, 0, 5)}, true},
		{"requests with an old time stamp", []fault.Fault{backdating("link:f5-firewall", fault.Data, fault.ToServer)}, true},
		{"requests with an old time stamp, of the firewall's", []fault.Fault{backdating("firewall", fault.Data, fault.ToServer)}, true},
		{"SYNs with another number, of the firewall's", []fault.Fault{rewriting("firewall", fault.SYN, fault.ToServer, 0, 0, 5)}, true},
		{"SYN-ACKs that leave the firewall with a TTL of 1", []fault.Fault{rewriting("firewall", fault.SYNACK, fault.ToClient, 1, 0, 0)}, false},
		{"responses with an old time stamp", []fault.Fault{backdating("link:firewall-switch", fault.Response, fault.ToClient)}, true},
		{"what a wire sends late is dropped further on", []fault.Fault{lateSYN(10 * time.Millisecond), drop("y", "firewall", fault.PerConnection, 0.3)}, true},
		{"what a wire sends after the f5 has given up is dropped too", []fault.Fault{lateSYN(600 * time.Millisecond), drop("y", "firewall", fault.PerConnection, 0.3)}, true},
		{"what is dropped on a link does not come to its wire", []fault.Fault{wired("x", "link:f5-firewall", fault.Duplicate, fault.Any, 1), drop("y", "link:f5-firewall", fault.PerConnection, 0.3)}, true},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+" "+string(family), func(t *testing.T) {
				t.Parallel()
				c := config(40, 16, row.faults...)
				c.Family, c.Timeout = family, 5*time.Second
				if !row.fails {
					// A busy machine's answer comes later than Fast's next SYN, whose socket then
					// resets it: nothing of the wire's.
					c.F5.Serverside = bigip.Shipped
				}
				f := checked(t, play(t, c))
				switch got := failing(f); {
				case !row.fails && len(got) > 0:
					t.Errorf("requests %v failed", got)
				case row.fails && len(got) == 0:
					t.Error("nothing failed: the seed shows nothing")
				}
				if len(f.Ledger) == 0 || len(f.Planned) == 0 {
					t.Errorf("%d packets were hit, of %d connections that were planned", len(f.Ledger), len(f.Planned))
				}
				for _, r := range f.Reports {
					if r.Fault.OnWire() && (r.Wire.Returned != r.Counter || r.Taken() != 0) {
						t.Errorf("%s: %d packets were taken and %d put back", r.Fault.Name, r.Counter, r.Wire.Returned)
					}
				}
			})
		}
	}
}

func TestADelayIsAsLongAsItSays(t *testing.T) {
	x := wired("x", "link:f5-firewall", fault.Delay, fault.Data, 0.5)
	x.After = 300 * time.Millisecond
	f := checked(t, play(t, config(40, 16, x)))
	for _, r := range f.Requests {
		planned := slices.ContainsFunc(f.Planned, func(p Planned) bool { return p.Ordinal == r.Ordinal })
		if took := r.End.Sub(r.Start); r.Outcome != client.OK || planned != (took >= x.After) {
			t.Errorf("request %d took %v, planned to be late: %v", r.Ordinal, took, planned)
		}
	}
}

func TestADelayThatOutlastsPatienceFailsWhatItHits(t *testing.T) {
	late := func(at string, match fault.Match, way fault.Direction, after time.Duration) fault.Fault {
		f := wired("late", at, fault.Delay, match, 0.3)
		f.After, f.Direction = after, way
		return f
	}
	for _, row := range []struct {
		name    string
		late    fault.Fault
		others  []fault.Fault
		outcome client.Outcome
	}{
		{"the f5's, which waits for 400 ms for a SYN's answer", late("link:f5-firewall", fault.SYN, fault.ToServer, 700*time.Millisecond), nil, client.Reset},
		{"the same, and the SYN-ACK is late", late("link:firewall-switch", fault.SYNACK, fault.ToClient, 700*time.Millisecond), nil, client.Reset},
		{"the same, and all that comes back is late", late("link:firewall-switch", fault.Any, fault.ToClient, 700*time.Millisecond), nil, client.Reset},
		{"the same, and what is never sent is not dropped", late("link:f5-firewall", fault.SYN, fault.ToServer, 700*time.Millisecond),
			[]fault.Fault{of(fault.Data, drop("data", "firewall", fault.PerConnection, 0.3))}, client.Reset},
		{"the client's, which waits for a second for the response", late("link:firewall-switch", fault.Response, fault.ToClient, 1500*time.Millisecond), nil, client.Timeout},
		{"the same, and the request is late", late("link:switch-server1", fault.Data, fault.ToServer, 1500*time.Millisecond), nil, client.Timeout},
	} {
		for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
			t.Run(row.name+" "+string(family), func(t *testing.T) {
				t.Parallel()
				c := config(40, 16, append([]fault.Fault{row.late}, row.others...)...)
				c.Family, c.Timeout = family, 10*time.Second
				if row.outcome == client.Timeout {
					c.Timeout, c.F5.Serverside = time.Second, patient
				}
				f := checked(t, play(t, c))
				n := 0
				for _, p := range f.Planned {
					if p.Fault != "late" {
						continue
					}
					n++
					if got := f.Requests[p.Ordinal].Outcome; got != row.outcome {
						t.Errorf("request %d: %s, want %s", p.Ordinal, got, row.outcome)
					}
				}
				if n == 0 {
					t.Error("the seed shows nothing")
				}
			})
		}
	}
}

func TestAWireThatKeepsAPacketMakesARunInvalid(t *testing.T) {
	f := doctored(checked(t, play(t, config(40, 16, wired("copies", "link:f5-firewall", fault.Duplicate, fault.Data, 0.5)))))
	f.Reports[0].Wire.Returned--
	if got := strings.Join(f.Check(), "; "); !strings.Contains(got, fmt.Sprintf("fault copies: the wire was to put %d packets back and has put back %d", f.Reports[0].Counter, f.Reports[0].Counter-1)) {
		t.Errorf("got %q", got)
	}
}

func TestFaultsOnWiresThatTheRestOfALabDoesNotGoWithAreRefused(t *testing.T) {
	delay := func(match fault.Match, after time.Duration) fault.Fault {
		f := wired("x", "link:f5-firewall", fault.Delay, match, 0.1)
		f.After, f.Jitter = after, 50*time.Millisecond
		return f
	}
	for _, row := range []struct {
		name  string
		fault fault.Fault
		edit  func(*Config)
		want  string // "" is valid
	}{
		{"SYNs that are answered before the next", delay(fault.SYN, 40*time.Millisecond), nil, ""},
		{"SYNs that are answered after the next", delay(fault.SYN, 50*time.Millisecond), nil, "fault x: after 50ms: with a jitter of 50ms the answer to a SYN comes after the f5 has sent the next; the sum must be below its syn-rto-base, 100ms, or after at least 500ms, when it has long given up"},
		{"SYNs that are answered when the f5 has given up", delay(fault.SYN, 500*time.Millisecond), nil, ""},
		{"SYNs of which only some are late", delay(fault.SYN, 500*time.Millisecond), func(c *Config) { c.Faults[0].Per = fault.PerPacket },
			"fault x: after 500ms: nobody waits so long for a packet, and what becomes of its connection without it is chance; per must be connection or tuple"},
		{"SYNs of clients, of which a fastl4 virtual server makes none of its own", delay(fault.SYN, 5*time.Second), func(c *Config) { c.F5.VirtualServer.Type, c.Faults[0].Per = bigip.FastL4, fault.PerTuple },
			"the answer to a SYN comes after the next SYN; the sum must be below 100ms"},
		{"responses that some clients may wait for", delay(fault.Response, 3*time.Second), func(c *Config) { c.Timeout, c.Faults[0].Direction = 5*time.Second, fault.ToClient },
			"fault x: after 3s: with a jitter of 50ms it is chance whether it is waited for, for 5s; the sum must be at most half of that, or after at least all of it"},
		{"responses for which the f5 does not keep a flow", delay(fault.Response, 4*time.Second), func(c *Config) {
			c.F5.Clientside.IdleTimeout, c.Faults[0].Direction = 3*time.Second, fault.ToClient
		}, "a flow is idle for longer than its idle-timeout, 3s; the sum must be below it"},
		{"requests, whose SYNs are long answered", delay(fault.Data, 500*time.Millisecond), nil, ""},
		{"old time stamps", backdating("link:f5-firewall", fault.Data, fault.ToServer), nil, ""},
		{"old time stamps where there are none", backdating("link:f5-firewall", fault.Data, fault.ToServer), func(c *Config) { off := false; c.F5.Serverside.Timestamps = &off },
			"fault x: tsval 86400000: with timestamps: false in the f5's tcp profile no packet has a time stamp"},
		{"a RST in a firewall that knows of no sessions", wired("x", "firewall", fault.InjectRST, fault.Data, 0.1), nil, ""},
		{"a RST in a firewall that does", wired("x", "firewall", fault.InjectRST, fault.Data, 0.1), func(c *Config) { c.Firewall.MaxSessions = 1000 },
			`fault x: at "firewall": a stateful firewall would miss what is sent on there`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(10, 1, row.fault)
			if row.edit != nil {
				row.edit(&c)
			}
			if err := c.Validate(); row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
