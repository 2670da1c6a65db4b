package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 60 * time.Second

// file is a capture file that nobody reads.
type file struct{ io.Writer }

func (file) Close() error { return nil }

func discard(*capture.Point) (io.WriteCloser, error) { return file{io.Discard}, nil }

func drop(name, at string, per fault.Per, p float64) fault.Fault {
	return fault.Fault{Name: name, At: at, Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: per, Probability: p}
}

// dropAnswer is a fault that takes SYN-ACKs.
func dropAnswer(name, at string, per fault.Per, p float64) fault.Fault {
	return of(fault.SYNACK, drop(name, at, per, p))
}

// of makes a fault one of other packets.
func of(match fault.Match, f fault.Fault) fault.Fault {
	f.Match = match
	if match == fault.SYNACK || match == fault.Response {
		f.Direction = fault.ToClient
	}
	return f
}

// largerThan1400 is a fault that takes what is larger.
func largerThan1400(name, at string) fault.Fault {
	f := of(fault.LargeData, drop(name, at, fault.PerConnection, 1))
	f.LargerThan = 1400
	return f
}

// reject is a fault that refuses SYNs.
func reject(name, at string, p float64) fault.Fault {
	f := drop(name, at, fault.PerConnection, p)
	f.Do = fault.Reject
	return f
}

// act is a fault of a server's own.
func act(name, at string, do fault.Do, p float64) fault.Fault {
	return fault.Fault{Name: name, At: at, Do: do, Per: fault.PerConnection, Probability: p}
}

// patient is [bigip.Fast] with more time for an answer to a SYN, which a busy machine needs,
// the more so under the race detector: an answer that comes after the next SYN is reset.
// SYNs at 0 and 500 ms, reset after a second.
var patient = func() bigip.TCPProfile {
	p, once := bigip.Fast, 1
	p.SYNMaxRetrans, p.SYNRTOBase = &once, 500*time.Millisecond
	return p
}()

func config(requests, concurrency int, faults ...fault.Fault) Config {
	return Config{F5: bigip.Config{Serverside: bigip.Fast}, Requests: requests, Concurrency: concurrency, Seed: 7, Faults: faults, Create: discard}
}

// play runs a configuration; it skips only where the machine says, by type, that
// it cannot.
func play(t *testing.T, c Config) *Facts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := Run(ctx, c)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checked asserts that a run is valid.
func checked(t *testing.T, f *Facts) *Facts {
	t.Helper()
	if problems := f.Check(); len(problems) > 0 {
		t.Fatalf("the run is invalid: %s", strings.Join(problems, "; "))
	}
	return f
}

// failing are the ordinals of the requests that failed.
func failing(f *Facts) (ordinals []int) {
	for _, r := range f.Requests {
		if r.Outcome.Failed() {
			ordinals = append(ordinals, r.Ordinal)
		}
	}
	return ordinals
}

// plannedOrdinals are the requests that a plan names, each once.
func plannedOrdinals(planned []Planned) (ordinals []int) {
	for _, p := range planned {
		ordinals = append(ordinals, p.Ordinal)
	}
	slices.Sort(ordinals)
	return slices.Compact(ordinals)
}

func TestThePlanIsWhatFailsAtAnyConcurrency(t *testing.T) {
	t.Parallel()
	for _, per := range []fault.Per{fault.PerConnection, fault.PerTuple} {
		for _, concurrency := range []int{1, 16, 256} {
			t.Run(fmt.Sprintf("per %s, %d at once", per, concurrency), func(t *testing.T) {
				t.Parallel()
				c := config(300, concurrency, drop("syn-drop", "firewall", per, 0.02))
				planned, predictable, err := c.Plan()
				if err != nil || !predictable || len(planned) == 0 {
					t.Fatalf("%d planned, %v, %v", len(planned), predictable, err)
				}
				one := c
				one.Concurrency = 1
				if again, _, _ := one.Plan(); !slices.Equal(again, planned) {
					t.Error("the plan depends on the concurrency")
				}
				f := checked(t, play(t, c))
				if got, want := failing(f), plannedOrdinals(planned); !slices.Equal(got, want) {
					t.Errorf("requests %v failed, planned were %v", got, want)
				}
				for _, o := range failing(f) {
					if r := f.Requests[o]; r.Outcome != client.Reset {
						t.Errorf("the record is %+v", r)
					}
				}
				if n := uint64(len(f.Ledger)); n != f.Reports[0].Counter || int(n) != len(planned)*bigip.Fast.Tries() {
					t.Errorf("the ledger holds %d packets, the kernel counted %d, %d connections of %d SYNs were planned",
						n, f.Reports[0].Counter, len(planned), bigip.Fast.Tries())
				}
			})
		}
	}
}

func TestARequestThatIsSentAloneMeetsWhatItMetAmongTheOthers(t *testing.T) {
	t.Parallel()
	c := config(300, 256, drop("syn-drop", "firewall", fault.PerConnection, 0.02))
	whole, _, err := c.Plan()
	if err != nil || len(whole) < 2 {
		t.Fatal(whole, err)
	}
	hit := whole[1].Ordinal
	for _, protocol := range []client.Protocol{client.HTTP, client.HTTPS, client.HTTP2} {
		t.Run(string(protocol), func(t *testing.T) {
			c := c
			c.Protocol = protocol
			if protocol.Secure() {
				c.F5.VirtualServer.Profiles = tlsProfiles
			}
			if protocol == client.HTTP2 {
				c.F5.VirtualServer.Profiles = append(slices.Clone(tlsProfiles), bigip.ProfileHTTP2)
			}
			c.Only = []int{3, hit, 299}
			slices.Sort(c.Only)
			if planned, _, err := c.Plan(); err != nil || !slices.Equal(plannedOrdinals(planned), []int{hit}) {
				t.Fatalf("planned are %v, %v; want %d", planned, err, hit)
			}
			f := checked(t, play(t, c))
			if got := failing(f); !slices.Equal(got, []int{hit}) {
				t.Errorf("requests %v failed, want %d", got, hit)
			}
			if len(f.Requests) != 300 {
				t.Fatalf("%d records", len(f.Requests))
			}
			for o, r := range f.Requests {
				if sent := slices.Contains(c.Only, o); r.Ordinal != o || sent != (r.Outcome != client.NotSent) || sent != r.Local.IsValid() {
					t.Errorf("the record of request %d is %+v", o, r)
				}
			}
		})
	}
}

func TestARunIsValidAndFailsWhatItShould(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		edit   func(*Config)
		failed int // -1: whatever is planned
	}{
		{"without a fault nothing fails", func(*Config) {}, 0},
		{"with probability 0 nothing fails", func(c *Config) { c.Faults = []fault.Fault{drop("x", "firewall", fault.PerConnection, 0)} }, 0},
		{"with probability 1 everything fails", func(c *Config) { c.Faults = []fault.Fault{drop("x", "firewall", fault.PerConnection, 1)} }, 40},
		{"with probability 1 per packet everything fails", func(c *Config) { c.Faults = []fault.Fault{drop("x", "firewall", fault.PerPacket, 1)} }, 40},
		{"a server that takes nothing fails half", func(c *Config) { c.Faults = []fault.Fault{drop("x", "server2", fault.PerTuple, 1)} }, 20},
		{"in IPv6", func(c *Config) {
			c.Family, c.Faults = topology.IPv6, []fault.Fault{drop("x", "firewall", fault.PerConnection, 0.2)}
		}, -1},
		{"in IPv6 per tuple in a server", func(c *Config) {
			c.Family, c.Faults = topology.IPv6, []fault.Fault{drop("x", "server1", fault.PerTuple, 0.3)}
		}, -1},
		{"with the legacy trailer", func(c *Config) {
			c.F5.Format, c.Faults = bigip.Legacy, []fault.Fault{drop("x", "firewall", fault.PerConnection, 0.2)}
		}, -1},
		{"with a filter that keeps nearly all out of the f5's capture", func(c *Config) {
			c.F5.Tcpdump, c.Faults = "0.0:nnnp tcp[tcpflags] & tcp-rst != 0", []fault.Fault{drop("x", "firewall", fault.PerConnection, 0.2)}
		}, -1},
		{"two faults at different places", func(c *Config) {
			c.Faults = []fault.Fault{drop("wire", "link:f5-firewall", fault.PerConnection, 0.3), drop("server", "server2", fault.PerConnection, 0.5)}
		}, -1},
		{"two faults at one place", func(c *Config) {
			c.Faults = []fault.Fault{drop("a", "firewall", fault.PerConnection, 0.4), drop("b", "firewall", fault.PerTuple, 0.4)}
		}, -1},
		{"answers lost in the firewall", func(c *Config) { c.Faults = []fault.Fault{dropAnswer("x", "firewall", fault.PerConnection, 0.2)} }, -1},
		{"answers lost on a link, per tuple, in IPv6", func(c *Config) {
			c.Family, c.Faults = topology.IPv6, []fault.Fault{dropAnswer("x", "link:firewall-switch", fault.PerTuple, 0.2)}
		}, -1},
		{"SYNs lost on the way out shadow answers lost on the way back", func(c *Config) {
			c.Faults = []fault.Fault{dropAnswer("near", "link:f5-firewall", fault.PerConnection, 0.4), dropAnswer("far", "link:switch-server1", fault.PerConnection, 0.4),
				drop("out", "firewall", fault.PerConnection, 0.4)}
		}, -1},
		{"data lost in the firewall", func(c *Config) {
			c.Faults = []fault.Fault{of(fault.Data, drop("x", "firewall", fault.PerConnection, 0.2))}
		}, -1},
		{"data lost on a link, per tuple, in IPv6", func(c *Config) {
			c.Family, c.Faults = topology.IPv6, []fault.Fault{of(fault.Data, drop("x", "link:switch-server1", fault.PerTuple, 0.3))}
		}, -1},
		{"responses lost on a link", func(c *Config) {
			c.Timeout, c.Faults = time.Second, []fault.Fault{of(fault.Response, drop("x", "link:f5-firewall", fault.PerConnection, 0.2))}
		}, -1},
		{"SYNs that the firewall refuses", func(c *Config) { c.Faults = []fault.Fault{reject("x", "firewall", 0.3)} }, -1},
		{"a closed port, in IPv6", func(c *Config) { c.Family, c.Faults = topology.IPv6, []fault.Fault{reject("x", "server2", 0.5)} }, -1},
		{"a server that resets", func(c *Config) { c.Faults = []fault.Fault{act("x", "server1", fault.Reset, 0.5)} }, -1},
		{"servers that die, in IPv6", func(c *Config) {
			c.Family = topology.IPv6
			c.Faults = []fault.Fault{act("x", "server1", fault.Die, 0.3), act("y", "server2", fault.Die, 0.3)}
		}, -1},
		{"a server that cuts its responses", func(c *Config) { c.Faults = []fault.Fault{act("x", "server2", fault.CutResponse, 0.5)} }, -1},
		{"a server that answers 503", func(c *Config) { c.Faults = []fault.Fault{act("x", "server2", fault.AnswerError, 0.5)} }, -1},
		{"a server that says nothing", func(c *Config) {
			c.Timeout, c.Faults = time.Second, []fault.Fault{act("x", "server2", fault.StaySilent, 0.5)}
		}, -1},
		{"a server that answers after the client has gone", func(c *Config) {
			c.Timeout, c.Faults = 500*time.Millisecond, []fault.Fault{act("x", "server2", fault.AnswerSlowly, 0.5)}
			c.Faults[0].After = time.Second
		}, -1},
		{"a server in every mood shadows itself, and its lost responses", func(c *Config) {
			c.Timeout = time.Second
			all := slices.DeleteFunc(fault.Behaviours(topology.Server1), func(do fault.Do) bool { return do == fault.NeverRead }) // it is for large requests
			for i, do := range all {
				c.Faults = append(c.Faults, act(fmt.Sprint("f", i), "server1", do, 0.2))
				if do == fault.AnswerSlowly {
					c.Faults[i].After = 2 * time.Second
				}
			}
			c.Faults = append(c.Faults, of(fault.Response, drop("late", "firewall", fault.PerConnection, 0.3)), reject("closed", "server1", 0.2))
		}, -1},
		{"every link and a server at once", func(c *Config) {
			for i, at := range []string{"link:f5-firewall", "link:firewall-switch", "link:switch-server1", "link:switch-server2", "server1"} {
				c.Faults = append(c.Faults, drop(fmt.Sprint("f", i), at, fault.PerConnection, 0.2))
			}
		}, -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(40, 16)
			row.edit(&c)
			f := checked(t, play(t, c))
			got := failing(f)
			if want := plannedOrdinals(f.Planned); !slices.Equal(got, want) || row.failed >= 0 && len(got) != row.failed {
				t.Errorf("%d requests failed: %v, planned were %v", len(got), got, want)
			}
			if row.failed < 0 && len(got) == 0 {
				t.Error("nothing failed: the seed shows nothing")
			}
			if len(f.Flows) != c.Requests || len(f.Captures) != 6 || f.Settings[topology.Client] == nil || f.Timing.Traffic <= 0 {
				t.Errorf("%d flows, %d captures, timing %+v", len(f.Flows), len(f.Captures), f.Timing)
			}
			for _, h := range f.Ledger {
				from, _ := h.Ends()
				if h.Flow == nil || h.Ordinal != h.Flow.Ordinal || from != h.Flow.SNAT || h.Time.Before(h.Flow.Opened) {
					t.Errorf("the hit is %+v", h)
				}
			}
		})
	}
}

func TestWhereLargePacketsDoNotPassTheLargeRequestsFailAndNoOther(t *testing.T) {
	t.Parallel()
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		for _, at := range []string{"firewall", "link:f5-firewall", "link:switch-server1"} {
			t.Run(fmt.Sprintf("%s, %s", family, at), func(t *testing.T) {
				t.Parallel()
				c := config(40, 16, largerThan1400("x", at))
				c.Family, c.LargeRequests = family, 0.3
				planned, predictable, err := c.Plan()
				if err != nil || !predictable {
					t.Fatalf("predictable %v, %v", predictable, err)
				}
				var want []int
				for _, p := range planned {
					want = append(want, p.Ordinal)
				}
				f := checked(t, play(t, c))
				if got := failing(f); !slices.Equal(got, want) || len(got) == 0 || len(got) == c.Requests {
					t.Errorf("requests %v failed, want %v", got, want)
				}
				for _, h := range f.Ledger {
					if !c.large(h.Ordinal) {
						t.Errorf("request %d is not large, and was hit: %+v", h.Ordinal, h)
					}
				}
			})
		}
	}
}

func TestWhatIsHitForItsSizeNeedsLargeRequests(t *testing.T) {
	c := config(10, 1, largerThan1400("x", "firewall"))
	for share, want := range map[float64]string{0.1: "", 0: `fault x: match "large-data": no request is large; say how many are, such as large-requests: 0.01 of traffic`,
		-1: "traffic: large-requests -1: must be 0 to 1", 1.5: "traffic: large-requests 1.5: must be 0 to 1"} {
		c.LargeRequests = share
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: got %q, want %q", share, got, want)
		}
	}
}

func TestARequestThatAFaultSlowsDownSucceeds(t *testing.T) {
	slow := act("x", "server2", fault.AnswerSlowly, 0.5)
	slow.After = 300 * time.Millisecond
	for _, x := range []fault.Fault{slow, of(fault.ACK, drop("x", "firewall", fault.PerConnection, 0.3))} {
		t.Run(string(x.Do)+" "+string(x.Match), func(t *testing.T) {
			t.Parallel()
			f := checked(t, play(t, config(40, 16, x)))
			if len(failing(f)) > 0 || len(f.Planned) == 0 {
				t.Errorf("requests %v failed, %d connections were planned to be hit", failing(f), len(f.Planned))
			}
			for _, p := range f.Planned {
				if r := f.Requests[p.Ordinal]; x.Acts() && r.End.Sub(r.Start) < x.After {
					t.Errorf("request %d took %v", p.Ordinal, r.End.Sub(r.Start))
				}
			}
		})
	}
}

func TestFaultsPerPacketAreNotPredictedButAccountedFor(t *testing.T) {
	t.Parallel()
	c := config(100, 16, drop("x", "firewall", fault.PerPacket, 0.1))
	if planned, predictable, err := c.Plan(); len(planned) > 0 || predictable || err != nil {
		t.Errorf("planned %v, %v, %v", planned, predictable, err)
	}
	f := checked(t, play(t, c))
	// 100 first SYNs and a retry for each one dropped.
	if n := f.Reports[0].Counter; n < 10 || n > 13 {
		t.Errorf("%d SYNs dropped, want one in ten", n)
	}
	f = checked(t, play(t, config(100, 16, dropAnswer("x", "firewall", fault.PerPacket, 0.1))))
	if n := f.Reports[0].Counter; n < 10 || n > 13 {
		t.Errorf("%d SYN-ACKs dropped, want one in ten", n)
	}
}

// doctored returns valid facts that each case may spoil; the ledger, the reports
// and the balances are copies.
func doctored(f *Facts) *Facts {
	d := *f
	d.Ledger, d.Planned, d.Requests = slices.Clone(f.Ledger), slices.Clone(f.Planned), slices.Clone(f.Requests)
	d.Reports, d.Balances, d.Captures = slices.Clone(f.Reports), slices.Clone(f.Balances), slices.Clone(f.Captures)
	return &d
}

func TestFactsThatDisagreeMakeARunInvalidAndSayHow(t *testing.T) {
	f := checked(t, play(t, config(40, 16, drop("syn-drop", "firewall", fault.PerConnection, 0.2), drop("deaf", "server2", fault.PerConnection, 0.2))))
	hit := f.Ledger[0]
	spared := slices.IndexFunc(f.Requests, func(r client.Record) bool { return r.Outcome == client.OK })
	server2 := slices.IndexFunc(f.Captures, func(c capture.Result) bool { return c.Point.Hop == topology.Server2 })
	for _, row := range []struct {
		name string
		edit func(f *Facts)
		want []string
	}{
		{"as it was", func(*Facts) {}, nil},
		{"a server sent a RST that it was not to", func(f *Facts) {
			c := f.Captures[server2].Counts[0]
			c.OutRST++
			f.Captures[server2].Counts = []capture.Count{c}
		}, []string{"server2: it sent 1 RSTs that end or refuse a connection, the ledger accounts for 0"}},
		{"a capture lost packets", func(f *Facts) { f.Captures[0].Dropped = 3 },
			[]string{"capture client/eth0 lost 3 packets: the machine was too busy; repeat with fewer requests in flight"}},
		{"the kernel counted one more than the ledger", func(f *Facts) { f.Reports[0].Counter++ },
			[]string{fmt.Sprintf("fault syn-drop: the kernel counted %d packets, the ledger holds %d", f.Reports[0].Counter+1, f.Reports[0].Counter)}},
		{"the ledger lost a report", func(f *Facts) { f.Reports[0].Entries = f.Reports[0].Entries[1:] },
			[]string{fmt.Sprintf("fault syn-drop: the kernel counted %d packets, the ledger holds %d", f.Reports[0].Counter, f.Reports[0].Counter-1)}},
		{"a packet vanished on the way", func(f *Facts) { f.Balances[0].In++ },
			[]string{fmt.Sprintf("link:client-f5, to-server: %d segments went in and %d came out, the ledger accounts for 0", f.Balances[0].In+1, f.Balances[0].Out)}},
		{"a packet came from nowhere", func(f *Facts) { f.Balances[1].Out++ },
			[]string{fmt.Sprintf("link:client-f5, to-client: %d segments went in and %d came out", f.Balances[1].In, f.Balances[1].Out+1)}},
		{"a connection was planned and not hit", func(f *Facts) {
			f.Planned = append(f.Planned, Planned{Fault: "deaf", Ordinal: spared})
		}, []string{fmt.Sprintf("request %d: fault deaf was to hit it and did not", spared)}},
		{"a connection was hit and not planned", func(f *Facts) {
			f.Planned = slices.DeleteFunc(f.Planned, func(p Planned) bool { return p.Fault == hit.Fault && p.Ordinal == hit.Ordinal })
		}, []string{fmt.Sprintf("request %d: fault %s hit it and was not to", hit.Ordinal, hit.Fault)}},
		{"a request failed untouched", func(f *Facts) { f.Requests[spared].Outcome, f.Requests[spared].Detail = client.Reset, "why" },
			[]string{fmt.Sprintf("request %d: failed (reset why) though no fault had touched it", spared)}},
		{"a request could not be sent", func(f *Facts) { f.Requests[spared].Outcome, f.Requests[spared].Detail = client.Local, "no port" },
			[]string{fmt.Sprintf("request %d: could not be sent: no port", spared)}},
		{"a stranger is in the ledger", func(f *Facts) { f.Ledger = append(f.Ledger, Hit{Entry: f.Ledger[0].Entry, Ordinal: -1}) },
			[]string{"the ledger holds packets of 1 connections that are none of the f5's flows; there are 0 attempts that it did not tell of"}},
		{"a later fault had hit what an earlier one was to hit", func(f *Facts) {
			i := slices.IndexFunc(f.Ledger, func(h Hit) bool { return h.Fault == "deaf" })
			f.Planned = append(f.Planned, Planned{Fault: "syn-drop", Ordinal: f.Ledger[i].Ordinal})
		}, []string{"fault syn-drop was to hit it and did not"}},
		{"an earlier fault kept a later one from what it was to hit", func(f *Facts) {
			i := slices.IndexFunc(f.Ledger, func(h Hit) bool { return h.Fault == "syn-drop" })
			f.Planned = append(f.Planned, Planned{Fault: "deaf", Ordinal: f.Ledger[i].Ordinal})
		}, nil},
		{"a retry of a hit connection got through", func(f *Facts) { f.Ledger = f.Ledger[1:] },
			[]string{fmt.Sprintf("request %d: the ledger does not hold exactly the SYNs that the f5 sent for it", hit.Ordinal)}},
		{"a request succeeded that was hit to the end", func(f *Facts) { f.Requests[hit.Ordinal].Outcome = client.OK },
			[]string{fmt.Sprintf("request %d: succeeded though a fault had hit it that it cannot survive", hit.Ordinal)}},
		{"an answer got through that was to be hit", func(f *Facts) {
			f.Config.Faults = slices.Clone(f.Config.Faults)
			for i := range f.Config.Faults {
				f.Config.Faults[i] = of(fault.SYNACK, f.Config.Faults[i])
			}
			flow := *hit.Flow
			flow.Connected = time.Now()
			for i := range f.Ledger {
				if f.Ledger[i].Flow == hit.Flow {
					f.Ledger[i].Flow = &flow
				}
			}
		}, []string{fmt.Sprintf("request %d: a SYN-ACK reached the f5 though a fault was to take them all", hit.Ordinal)}},
		{"the run itself had a problem", func(f *Facts) { f.problems = []string{"the ledger broke off"} }, []string{"the ledger broke off"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := doctored(f)
			row.edit(d)
			got := d.Check()
			if len(got) != len(row.want) {
				t.Fatalf("got %q, want %q", got, row.want)
			}
			for i := range got {
				if !strings.Contains(got[i], row.want[i]) {
					t.Errorf("got %q, want %q", got[i], row.want[i])
				}
			}
		})
	}
}

func TestARealLossThatNoFaultOwnsUpToIsFound(t *testing.T) {
	// Counted as dropped by the fault, but taken out of the reports.
	f := play(t, config(40, 8, drop("syn-drop", "firewall", fault.PerConnection, 0.2)))
	f.Reports, f.Ledger, f.Balances, f.Planned = nil, nil, nil, nil
	f.balance()
	got := strings.Join(f.Check(), "; ")
	for _, want := range []string{"firewall, to-server: ", "the ledger accounts for 0", "though no fault had touched it"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestConfigurationsThatCannotRunAreRefusedBeforeAnythingIsBuilt(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no requests", func(c *Config) { c.Requests = 0 }, "traffic: requests 0"},
		{"a request that is none of the batch", func(c *Config) { c.Requests, c.Only = 9, []int{0, 9} }, "traffic: only 9: there are requests 0 to 8"},
		{"a request that comes twice", func(c *Config) { c.Requests, c.Only = 9, []int{4, 4} }, "traffic: only 4: comes after 4; write each once, in order"},
		{"requests of another client, which sends what it likes", func(c *Config) {
			c.Only, c.Faults = []int{4}, nil
			c.Send = func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) { return nil, nil }
		}, "traffic: only: somebody else's client sends what it likes"},
		{"none in flight", func(c *Config) { c.Concurrency = 0 }, "traffic: concurrency 0"},
		{"a family there is not", func(c *Config) { c.Family = "ipx" }, `family "ipx"`},
		{"a fault at a link there is not", func(c *Config) { c.Faults[0].At = "link:a-b" }, `at "link:a-b": there is no such place`},
		{"two faults of one name", func(c *Config) { c.Faults = append(c.Faults, c.Faults[0]) }, "fault x: named twice"},
		{"another proxy, which nobody can tell a fault of", func(c *Config) { c.Proxy = unaware },
			`fault x: per "connection": with somebody else's proxy it must be tuple or packet`},
		{"another server, which nobody can tell what to do", func(c *Config) { c.Faults, c.Server = []fault.Fault{act("x", "server1", fault.Die, 1)}, unmoved },
			`fault x: do "die": somebody else's server cannot be told`},
		{"servers that take too long for everything", func(c *Config) { c.AnswerAfter = 2 * time.Minute }, "traffic: answer-after 2m0s: must be 0s to 1m0s"},
		{"a client with no patience", func(c *Config) { c.Timeout = time.Millisecond }, "traffic: timeout 1ms: must be 100ms to 10m0s"},
		{"a client that speaks TLS to a virtual server that does not", func(c *Config) { c.Protocol = client.HTTPS },
			"traffic: protocol https: the virtual server has no client-ssl profile; write f5: {virtual-server: {profiles: [tcp, http, client-ssl]}}"},
		{"a client that speaks HTTP/2 to a virtual server that does not", func(c *Config) { c.Protocol, c.F5.VirtualServer.Profiles = client.HTTP2, tlsProfiles },
			"traffic: protocol h2: the virtual server has no http2 profile; write f5: {virtual-server: {profiles: [tcp, http, client-ssl, http2]}}"},
		{"a client that does not speak TLS to a virtual server that does", func(c *Config) { c.F5.VirtualServer.Profiles = tlsProfiles },
			"traffic: protocol http: the virtual server expects TLS, for it has a client-ssl profile; say https, or h2 with an http2 profile"},
		{"a protocol there is not", func(c *Config) { c.Protocol = "spdy" }, `traffic: protocol "spdy": must be http, https or h2`},
		{"many requests on a connection of one", func(c *Config) { c.RequestsPerConnection = 2 },
			"traffic: requests-per-connection 2: with protocol http every request has a connection of its own; say https or h2"},
		{"a client that speaks plain to a plain server", func(c *Config) { c.Faults[0] = act("x", "client", fault.SpeakPlain, 1) },
			`fault x: do "speak-plain": has no meaning with traffic's protocol http; it is for https and h2`},
		{"another client, which cannot be told what to do", func(c *Config) {
			c.Faults[0] = act("x", "client", fault.Abort, 1)
			c.Send = func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) { return nil, nil }
		}, `fault x: do "abort": somebody else's client cannot be told`},
		{"a schedule there is not", func(c *Config) { c.F5.Serverside.SYNBackoff = "never" }, `syn-backoff "never"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(1, 1, drop("x", "firewall", fault.PerConnection, 1))
			c.Create = func(*capture.Point) (io.WriteCloser, error) { t.Error("a file was made"); return nil, os.ErrInvalid }
			row.edit(&c)
			for _, err := range []error{c.Validate(), second(Run(t.Context(), c)), third(c.Plan())} {
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v, want %q", err, row.want)
				}
			}
		})
	}
}

func second[A any](_ A, err error) error      { return err }
func third[A, B any](_ A, _ B, e error) error { return e }

// left is what a run must leave as it was.
type left struct{ descriptors, goroutines, strangers int }

func now(t *testing.T) left {
	t.Helper()
	return left{labtest.Descriptors(t), runtime.NumGoroutine(), labtest.Strangers(t)}
}

func TestARunThatEndsEarlyLeavesNothing(t *testing.T) {
	errWhy, errFull := errors.New("enough"), errors.New("no space left")
	play(t, config(20, 4)) // whatever the first one sets up for good
	for _, row := range []struct {
		name string
		edit func(c *Config, cancel func(error))
		want error
	}{
		{"cancelled in the middle of the traffic", func(c *Config, cancel func(error)) {
			c.Progress = func(p Progress) {
				if p.Done > 5 {
					cancel(errWhy)
				}
			}
		}, errWhy},
		{"cancelled while it is built", func(c *Config, cancel func(error)) { c.Progress = func(Progress) { cancel(errWhy) } }, context.Canceled},
		{"a capture file cannot be made", func(c *Config, _ func(error)) {
			c.Create = func(p *capture.Point) (io.WriteCloser, error) {
				if p.Hop == topology.Server1 {
					return nil, errFull
				}
				return file{io.Discard}, nil
			}
		}, errFull},
		{"the disk is full in the middle", func(c *Config, _ func(error)) {
			c.Requests, c.Faults = 100_000, nil
			c.Create = func(p *capture.Point) (io.WriteCloser, error) { return file{&full{room: 300 << 10, err: errFull}}, nil }
		}, errFull},
		{"the client gives up", func(c *Config, _ func(error)) {
			c.Send = func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) { return nil, errWhy }
		}, errWhy},
		{"somebody else's server does not start", func(c *Config, _ func(error)) {
			c.Server = func(context.Context, *topology.Host, netip.AddrPort) (io.Closer, error) { return nil, errWhy }
		}, errWhy},
		{"somebody else's proxy does not start", func(c *Config, _ func(error)) {
			c.Faults = nil
			c.Proxy = func(context.Context, *topology.Host, bigip.Config) (Proxy, error) { return (*bigip.Proxy)(nil), errWhy }
		}, errWhy},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := now(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ctx, stop := context.WithTimeout(ctx, patience)
			defer stop()
			c := config(2000, 16, drop("x", "firewall", fault.PerConnection, 0.2))
			row.edit(&c, cancel)
			if f, err := Run(ctx, c); !errors.Is(err, row.want) || f != nil {
				t.Errorf("got %v, %v; want %v", f, err, row.want)
			}
			stop()
			var after left
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				after = now(t)
				if after.descriptors <= before.descriptors && after.strangers <= before.strangers && after.goroutines <= before.goroutines {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("before %+v, after %+v", before, after)
				}
			}
		})
	}
}

// full is a disk with little room.
type full struct {
	room int
	err  error
}

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, f.err
	}
	return len(b), nil
}

func TestSomebodyElsesClientSendsTheBatchAndFaultsFindItsRequests(t *testing.T) {
	t.Parallel()
	c := config(30, 4, drop("x", "firewall", fault.PerConnection, 0.3))
	var mu sync.Mutex
	used := 0
	c.Send = func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
		records := make([]client.Record, b.Requests)
		for i := range records {
			mu.Lock()
			used++
			mu.Unlock()
			conn, err := from.Dial(ctx, "tcp", b.Server.String())
			if err != nil {
				return nil, err
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			records[i] = client.Record{Ordinal: i, Local: conn.LocalAddr().(*net.TCPAddr).AddrPort(), Start: time.Now(), Outcome: client.OK}
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: vs\r\nConnection: close\r\nX-Request-ID: %d\r\n\r\n", i)
			if got, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 200")) {
				records[i].Outcome = client.Reset
			}
			records[i].End = time.Now()
			conn.Close()
		}
		return records, nil
	}
	f := checked(t, play(t, c))
	if got, want := failing(f), plannedOrdinals(f.Planned); used != 30 || !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("%d sent, %v failed, planned were %v", used, got, want)
	}
}

// unmoved is a server that nobody gets to start.
func unmoved(context.Context, *topology.Host, netip.AddrPort) (io.Closer, error) {
	return nil, os.ErrInvalid
}

// unaware is a proxy that tells no fault which request it dials for.
func unaware(_ context.Context, at *topology.Host, p bigip.Config) (Proxy, error) {
	return bigip.Start(at, p, bigip.Hooks{})
}

func TestSomebodyElsesProxyAndServersAreHeldToTheSameAccounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault fault.Fault
	}{
		{"SYNs per tuple", drop("x", "firewall", fault.PerTuple, 0.3)},
		{"all SYNs to one server", drop("x", "link:switch-server2", fault.PerTuple, 1)},
		{"answers per tuple", dropAnswer("x", "link:f5-firewall", fault.PerTuple, 0.3)},
		{"SYNs per packet", drop("x", "firewall", fault.PerPacket, 0.3)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config(60, 8, row.fault)
			c.Proxy = unaware
			var mu sync.Mutex
			served := map[netip.AddrPort]bool{}
			c.Server = func(ctx context.Context, at *topology.Host, address netip.AddrPort) (io.Closer, error) {
				mu.Lock()
				defer mu.Unlock()
				served[address] = true
				return backend.Start(ctx, at, address, backend.Habits{})
			}
			if planned, predictable, err := c.Plan(); len(planned) > 0 || predictable || err != nil {
				t.Errorf("planned %v, %v, %v before anybody knows its ports", planned, predictable, err)
			}
			f := checked(t, play(t, c))
			if len(served) != 2 || len(f.Flows) != c.Requests || f.Predictable {
				t.Errorf("%d servers, %d flows, predictable %v", len(served), len(f.Flows), f.Predictable)
			}
			if got, want := failing(f), plannedOrdinals(f.Planned); row.fault.Per == fault.PerTuple && (!slices.Equal(got, want) || len(want) == 0) {
				t.Errorf("requests %v failed, to be hit by the flows were %v", got, want)
			}
			for _, c := range f.Captures {
				if p := c.Point; p.AppendTrailer != nil || p.FirstFrame != nil || p.Taps[0].VLAN != 0 {
					t.Errorf("%s has a BIG-IP's trailer or tag", p.Name())
				}
			}
		})
	}
}

func TestServersMisbehaveBehindSomebodyElsesProxyAsWell(t *testing.T) {
	c := config(60, 8, act("x", "server2", fault.Reset, 0.4), act("y", "server1", fault.AnswerError, 0.4))
	c.Proxy = unaware
	f := checked(t, play(t, c))
	if got, want := failing(f), plannedOrdinals(f.Planned); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("requests %v failed, to be hit by the flows were %v", got, want)
	}
}

func TestAttemptsThatAProxyDoesNotTellOfMustEachHaveBeenHit(t *testing.T) {
	c := config(60, 8, drop("x", "firewall", fault.PerTuple, 0.3))
	c.Proxy = unaware
	f := checked(t, play(t, c))
	hit := f.Ledger[0].Flow
	// The proxy's log as it would be if each request that was hit had been tried
	// again, with success, and had only its last attempt in it.
	untold := func(attempt int) *Facts {
		d := doctored(f)
		d.Flows, d.Planned = nil, nil
		for _, flow := range f.Flows {
			again := *flow
			if flow.Tries > 1 {
				again.Attempt, again.SNAT = attempt, netip.AddrPortFrom(flow.SNAT.Addr(), 1)
			}
			d.Flows = append(d.Flows, &again)
		}
		for i := range d.Requests {
			d.Requests[i].Outcome = client.OK
		}
		d.Ledger = nil
		d.join()
		return d
	}
	checked(t, untold(1))
	for _, row := range []struct {
		name string
		got  *Facts
	}{{"a connection that is no attempt of any request", untold(0)}, {"an attempt that no fault hit", untold(2)}} {
		if problems := strings.Join(row.got.Check(), "; "); !strings.Contains(problems, "connections that are none of the f5's flows; there are ") {
			t.Errorf("%s: got %q (request %d was hit)", row.name, problems, hit.Ordinal)
		}
	}
}

func TestProgressTellsThePhasesInOrder(t *testing.T) {
	c := config(20, 4)
	var mu sync.Mutex
	var phases []string
	done := 0
	c.Progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		if p.Done < done || p.Total != 20 {
			t.Errorf("%+v after %d", p, done)
		}
		done = p.Done
	}
	play(t, c)
	if want := []string{"build", "traffic", "teardown"}; !reflect.DeepEqual(phases, want) || done != 20 {
		t.Errorf("got %v with %d done, want %v", phases, done, want)
	}
}
