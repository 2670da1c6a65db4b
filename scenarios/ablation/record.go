package ablation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Recording is a run to be recorded for a trial.
type Recording struct {
	Name     string // of its directory
	Scenario *scenarios.Scenario
	Requests int
	Large    bool // requests of several segments, from a client of its own
}

// Size of a recording: small, so that thousands of cases are quick, with enough
// failures to count.
const (
	requests    = 1500
	concurrency = 128
	failures    = 22 // expected …
	fewest      = 15 // … and the bounds of what is taken, by choice of the seed
	most        = 30
)

// recorded are the scenarios that a trial is about, as far as the catalogue has
// them: one packet lost at one place each, and nothing lost.
var recorded = []string{"firewall-drops-syn", "firewall-drops-syn-ack", "link-drops-syn-before-firewall", "link-drops-syn-after-firewall",
	"link-drops-syn-ack", "server-ignores-syn", "no-fault"}

// once are scenarios that are recorded once, with their own settings and the fast schedule:
// what a stateful firewall refuses by itself, what a wire does to packets, what is hit for
// its size, what comes before an answer and after it.
var once = []string{"firewall-drops-data", "firewall-drops-keep-alive", "firewall-holds-session", "firewall-session-table-full", "firewall-syn-rate",
	"link-corrupts-syn", "link-injects-rst", "link-mtu-blackhole", "link-reorders-and-duplicates", "server-listen-queue-full", "server-time-wait-challenge"}

// Recordings lists the runs of a whole trial: each scenario with the proxy's SYN
// schedule of the incident and with a fast one, one with three faults at
// different hops, some with large requests, and those of once.
func Recordings() ([]Recording, error) {
	all, err := scenarios.All()
	if err != nil {
		return nil, err
	}
	var list []Recording
	add := func(s *scenarios.Scenario, name string, profile bigip.TCPProfile, n int) {
		c := *s
		c.F5.Serverside = profile
		c.Faults = rare(s.Faults, float64(failures)/float64(n))
		list = append(list, Recording{Name: name, Scenario: &c, Requests: n})
	}
	for _, s := range all {
		if s.Traffic.Protocol == client.HTTP2 {
			continue // the judge tells requests by their connections
		}
		if slices.ContainsFunc(recorded, func(name string) bool { return s.Name == name || strings.HasPrefix(s.Name, name+"-") }) {
			add(s, s.Name+"-fast", bigip.Fast, requests)
			add(s, s.Name+"-incident", s.F5.Serverside, requests)
		}
	}
	mixed := threeFaults()
	add(mixed, mixed.Name+"-fast", bigip.Fast, requests)
	add(mixed, mixed.Name+"-incident", bigip.TCPProfile{}, requests)
	large := []*scenarios.Scenario{mixed}
	for _, s := range all {
		if s.Name == "firewall-drops-syn" || s.Name == "server-ignores-syn" {
			large = append(large, s)
		}
	}
	for _, s := range large {
		add(s, s.Name+"-large", bigip.Fast, largeRequests)
		list[len(list)-1].Large = true
	}
	for _, s := range all {
		if !slices.Contains(once, s.Name) {
			continue
		}
		n := requests
		if s.Firewall.Stateful() { // so many fill a table, or come round
			n = s.Traffic.Requests
		}
		own := s.F5.Serverside
		own.SYNMaxRetrans, own.SYNRTOBase, own.SYNBackoff = bigip.Fast.SYNMaxRetrans, bigip.Fast.SYNRTOBase, bigip.Fast.SYNBackoff
		own.MaxRetrans, own.MinimumRTO = bigip.Fast.MaxRetrans, bigip.Fast.MinimumRTO
		add(s, s.Name, own, n)
		if c := list[len(list)-1].Scenario; c.Traffic.LargeRequests > 0 {
			c.Traffic.LargeRequests = float64(failures) / float64(n)
		}
	}
	return list, nil
}

// rare gives the faults together a share of the requests. One at a server meets
// only the requests that go there, which are half of them.
func rare(faults []fault.Fault, share float64) []fault.Fault {
	faults = slices.Clone(faults)
	for i := range faults {
		f := &faults[i]
		if f.Match == fault.LargeData {
			continue // it hits the requests that are large, and how many those are is the traffic's
		}
		f.Probability = share / float64(len(faults))
		if strings.Contains(f.At, topology.Server1) || strings.Contains(f.At, topology.Server2) {
			f.Probability *= 2
		}
	}
	return faults
}

// threeFaults is a scenario with a firewall, a cable and a server to blame.
func threeFaults() *scenarios.Scenario {
	syn := func(name, at string) fault.Fault {
		return fault.Fault{Name: name, At: at, Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: fault.PerConnection}
	}
	expect := func(hop string, cause analyzer.Cause) scenarios.Expectation {
		return scenarios.Expectation{Pair: scenarios.Pair{Hop: hop, Cause: cause}}
	}
	return &scenarios.Scenario{
		Name: "three-faults", Title: "A firewall, a cable and a server share the blame", Symptom: "Some POSTs fail.",
		Faults: []fault.Fault{syn("firewall-drop", topology.Firewall), syn("cable-drop", "link:firewall-switch"), syn("server-drop", topology.Server2)},
		Expect: []scenarios.Expectation{expect("firewall", analyzer.SYNDropped), expect("link:firewall-server1", analyzer.SYNDropped),
			expect("link:firewall-server2", analyzer.SYNDropped), expect("server2", analyzer.NoAnswer)},
	}
}

// Seed returns the first seed from one on with which the faults hit a fair number
// of requests. Without faults, or with ones that cannot be planned, it is from.
func (rec *Recording) Seed(from uint64) (uint64, error) {
	const tries = 1000
	for seed := from; seed < from+tries; seed++ {
		c := rec.Scenario.Config(seed)
		c.Requests, c.Concurrency = rec.Requests, concurrency
		planned, predictable, err := c.Plan()
		if err != nil {
			return 0, fmt.Errorf("record %s: %w", rec.Name, err)
		}
		hit := map[int]bool{}
		for _, p := range planned {
			hit[p.Ordinal] = true
		}
		if len(c.Faults) == 0 || !predictable || len(hit) >= fewest && len(hit) <= most {
			return seed, nil
		}
	}
	return 0, fmt.Errorf("record %s: no seed from %d to %d hits %d to %d requests; change the faults' probability", rec.Name, from, from+tries-1, fewest, most)
}

// Record plays a recording, its captures and truth into dir/NAME. A run that fails
// its own checks is an error.
func Record(ctx context.Context, dir string, rec Recording, seed uint64) error {
	o := scenarios.Options{Requests: rec.Requests, Concurrency: concurrency, Seed: &seed, Out: filepath.Join(dir, rec.Name)}
	if rec.Large {
		o.Configure = func(c *sim.Config) { c.Send = sendLarge }
	}
	r, err := scenarios.Run(ctx, rec.Scenario, o)
	if err != nil {
		return fmt.Errorf("record %s: %w", rec.Name, err)
	}
	if !r.Valid {
		return fmt.Errorf("record %s: the run is invalid, because %v", rec.Name, r.InvalidBecause)
	}
	return nil
}

// Recorded returns the run directories in a folder, by name.
func Recorded(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "result.json"))
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	if err == nil && len(found) == 0 {
		if _, missing := os.Stat(dir); missing != nil {
			return nil, missing
		}
	}
	return found, err
}

// A large request is several segments long; there are fewer of them.
const (
	largeRequests = 600
	largeBytes    = 5000
)

// sendLarge is a client whose requests have large bodies.
func sendLarge(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
	records := make([]client.Record, b.Requests)
	errs := make([]error, b.Requests)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(b.Concurrency, 64) {
		wg.Go(func() {
			for o := range next {
				records[o], errs[o] = postLarge(ctx, from, b.Server, o)
			}
		})
	}
	for o := range b.Requests {
		next <- o
	}
	close(next)
	wg.Wait()
	return records, errors.Join(errs...)
}

func postLarge(ctx context.Context, from *topology.Host, server netip.AddrPort, ordinal int) (client.Record, error) {
	r := client.Record{Ordinal: ordinal, Start: time.Now(), Outcome: client.OK}
	c, err := from.Dial(ctx, "tcp", server.String())
	if err != nil {
		return r, err
	}
	defer c.Close()
	r.Local = netip.MustParseAddrPort(c.LocalAddr().String())
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+server.String()+"/batch", strings.NewReader(strings.Repeat("x", largeBytes)))
	if err != nil {
		return r, err
	}
	post.Close = true
	post.Header.Set("X-Request-ID", strconv.Itoa(ordinal))
	answer := []byte{}
	if err = post.Write(c); err == nil {
		answer, err = io.ReadAll(c)
	}
	r.End = time.Now()
	switch {
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		r.Outcome = client.Reset
	case err != nil:
		return r, err
	case !strings.HasPrefix(string(answer), "HTTP/1.1 200 "):
		r.Outcome = client.Error
	default:
		r.Status = http.StatusOK
	}
	return r, nil
}
