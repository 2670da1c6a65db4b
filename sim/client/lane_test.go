package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// behindF5 builds a lab with our own f5 and one server behind it, and returns a batch of
// one request for it. What the f5 did is known once it has ended.
func behindF5(t *testing.T, f5 bigip.Config) (host *topology.Host, b Batch, end func() (flows []*bigip.Flow, resets []bigip.Reset)) {
	t.Helper()
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	server, err := backend.Start(t.Context(), lab.Host(topology.Server1), a.Server1, backend.Habits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	f5.VirtualServer.Name, f5.VirtualServer.Destination, f5.SNAT.SelfIP = "/Common/vs", a.VIP, a.SNAT
	f5.Pool.Members = []bigip.Member{{Name: topology.Server1, Address: a.Server1}}
	proxy, err := bigip.Start(lab.Host(topology.F5), f5, bigip.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() ([]*bigip.Flow, []bigip.Reset) {
		if ended {
			return nil, nil
		}
		ended = true
		labtest.Await(t, "the server is done", func() bool { return server.Busy() == 0 })
		flows, err := proxy.Close()
		if err != nil {
			t.Error(err)
		}
		return flows, proxy.Resets()
	}
	t.Cleanup(func() { end() })
	return lab.Host(topology.Client), Batch{Server: a.VIP, Local: a.Client, Requests: 1, Concurrency: 1, Timeout: patience}, end
}

var (
	httpsProfiles = []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL}
	http2Profiles = append(slices.Clone(httpsProfiles), bigip.ProfileHTTP2)
)

func TestRequestsInARowShareAConnectionFromThePortOfTheFirst(t *testing.T) {
	for _, row := range []struct {
		protocol    Protocol
		per         int
		concurrency int
	}{
		{HTTPS, 0, 1}, {HTTPS, 1, 16}, {HTTPS, 4, 1}, {HTTPS, 4, 16}, {HTTPS, 100, 3},
		{HTTP2, 0, 1}, {HTTP2, 1, 16}, {HTTP2, 0, 3}, {HTTP2, 8, 64}, {HTTP2, 100, 256},
	} {
		t.Run(fmt.Sprintf("%s, %d a connection, %d at once", row.protocol, row.per, row.concurrency), func(t *testing.T) {
			host, b, end := behindF5(t, bigip.Config{VirtualServer: bigip.VirtualServer{Profiles: http2Profiles}})
			b.Protocol, b.PerConnection, b.Concurrency, b.Requests = row.protocol, row.per, row.concurrency, 203
			last := 0
			b.Progress = func(done, failed int) {
				if last++; done != last || failed != 0 {
					t.Errorf("progress %d, %d failed", done, failed)
				}
			}
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			per := row.per
			if per == 0 {
				per = map[Protocol]int{HTTPS: 1, HTTP2: 8}[row.protocol]
			}
			want := map[netip.AddrPort]int{}
			for i, r := range records {
				local := netip.AddrPortFrom(b.Local, Port(i/per*per))
				want[local]++
				if r.Ordinal != i || r.Outcome != OK || r.Status != 200 || r.Local != local || r.End.Before(r.Start) {
					t.Errorf("the record is %+v, want it from %v", r, local)
				}
			}
			got := map[netip.AddrPort]int{}
			flows, resets := end()
			for _, f := range flows {
				got[f.Client]++
			}
			if !maps.Equal(got, want) || len(resets) > 0 || last != b.Requests {
				t.Errorf("the f5 had %d connections with %d requests and made %d RSTs, want %d with %d; %d reports", len(got), len(flows), len(resets), len(want), len(records), last)
			}
		})
	}
}

func TestWhatComesAfterABrokenConnectionHasAnother(t *testing.T) {
	for _, row := range []struct {
		name     string
		protocol Protocol
		before   func(n int, c *net.TCPConn) bool
		handle   http.HandlerFunc
		want     []Outcome
		from     []int // the ordinal whose port each request has
	}{
		{"after one that ends in the second of five requests", HTTPS, nil, func(w http.ResponseWriter, r *http.Request) {
			if ordinalOf(r) == "1" {
				panic(http.ErrAbortHandler)
			}
		}, []Outcome{OK, Truncated, OK, OK, OK}, []int{0, 0, 2, 2, 2}},
		{"after one that the server wants to be the last", HTTPS, nil, func(w http.ResponseWriter, r *http.Request) {
			if ordinalOf(r) == "2" {
				w.Header().Set("Connection", "close")
			}
		}, []Outcome{OK, OK, OK, OK, OK}, []int{0, 0, 0, 3, 3}},
		{"after two that did not come about", HTTPS, func(n int, c *net.TCPConn) bool {
			if n < 2 {
				resets(c)
			}
			return n < 2
		}, func(http.ResponseWriter, *http.Request) {}, []Outcome{Reset, Reset, OK, OK, OK}, []int{0, 1, 2, 2, 2}},
		{"after two that did not come about, for streams", HTTP2, func(n int, c *net.TCPConn) bool {
			if n < 2 {
				resets(c)
			}
			return n < 2
		}, func(http.ResponseWriter, *http.Request) {}, []Outcome{Reset, Reset, OK, OK, OK}, []int{0, 1, 2, 2, 2}},
		{"a stream that is reset leaves the others alone", HTTP2, nil, func(w http.ResponseWriter, r *http.Request) {
			if ordinalOf(r) == "1" {
				panic(http.ErrAbortHandler)
			}
		}, []Outcome{OK, Reset, OK, OK, OK}, []int{0, 0, 0, 0, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			host, b := buildTLS(t, nil, row.before, row.handle)
			b.Protocol, b.PerConnection, b.Requests, b.Concurrency = row.protocol, 5, 5, 3
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range records {
				if r.Outcome != row.want[i] || r.Local.Port() != Port(row.from[i]) {
					t.Errorf("the record is %+v, want %s from port %d", r, row.want[i], Port(row.from[i]))
				}
			}
		})
	}
}

func TestNoMoreThanSoManyRequestsAreInFlightOverTLS(t *testing.T) {
	for _, row := range []struct {
		protocol         Protocol
		per, concurrency int
	}{{HTTPS, 1, 1}, {HTTPS, 4, 5}, {HTTP2, 8, 1}, {HTTP2, 8, 5}, {HTTP2, 8, 20}, {HTTP2, 30, 7}} {
		t.Run(fmt.Sprintf("%s, %d a connection, %d at once", row.protocol, row.per, row.concurrency), func(t *testing.T) {
			var mu sync.Mutex
			now, most := 0, 0
			seen := map[string]int{}
			host, b := buildTLS(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				seen[ordinalOf(r)]++
				now++
				most = max(most, now)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				now-- // before the answer: the client starts the next one upon it
				mu.Unlock()
			})
			b.Protocol, b.PerConnection, b.Requests, b.Concurrency = row.protocol, row.per, 100, row.concurrency
			if _, err := Run(t.Context(), host, b); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) != b.Requests || most > row.concurrency {
				t.Errorf("%d requests arrived, %d at once", len(seen), most)
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("request %s arrived %d times", id, n)
				}
			}
		})
	}
}

func TestACancelledBatchOverTLSEndsEarlyAndLeavesNothing(t *testing.T) {
	for _, protocol := range []Protocol{HTTPS, HTTP2} {
		t.Run(string(protocol), func(t *testing.T) {
			reached := make(chan struct{}, 1000)
			host, b := buildTLS(t, nil, nil, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				reached <- struct{}{}
				<-r.Context().Done() // never answers
			})
			b.Protocol, b.Requests, b.Concurrency = protocol, 100, 10
			round := func() {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() {
					_, err := Run(ctx, host, b)
					ended <- err
				}()
				for range b.Concurrency {
					<-reached
				}
				cancel()
				select {
				case err := <-ended:
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want the context's error", err)
					}
				case <-time.After(patience):
					t.Fatal("the batch does not end")
				}
			}
			round()
			before := settled(t, [2]int{})
			round()
			if after := settled(t, before); after[0] > before[0] || after[1] > before[1] {
				t.Errorf("descriptors and goroutines before: %v, after: %v", before, after)
			}
		})
	}
}

// settled waits until there are no more descriptors and goroutines than there were, or
// until their number does not fall any more; the server ends its own side in its time.
func settled(t *testing.T, than [2]int) (now [2]int) {
	t.Helper()
	still := 0
	for last := [2]int{}; still < 100; last = now {
		if now = state(t); now[0] <= than[0] && now[1] <= than[1] {
			break
		}
		if still++; now != last {
			still = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	return now
}
