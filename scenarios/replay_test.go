package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
)

// overlapping has three faults that meet in some requests.
const overlapping = `name: overlapping
title: Three faults share the blame
f5: {serverside: {syn-rto-base: 20ms}}
traffic: {requests: 300}
faults:
  - {name: syn-drop, at: firewall, direction: to-server, match: syn, do: drop, per: connection, probability: 0.3}
  - {name: deaf, at: server2, direction: to-server, match: syn, do: drop, per: connection, probability: 0.3}
  - {name: abrupt, at: server1, do: reset, per: connection, probability: 0.3}
expect:
  - {hop: firewall, cause: syn-dropped}
  - {hop: server2, cause: no-answer}
  - {hop: server1, cause: app-reset}
`

// record plays a scenario into a run directory and opens it again.
func record(t *testing.T, text string, seed uint64) *Recording {
	t.Helper()
	s, err := Load("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	first, out := run(t, s, seed)
	if !first.Valid {
		t.Fatalf("the run is invalid: %v", first.InvalidBecause)
	}
	r, err := OpenRecording(out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Result.Hits, first.Hits) {
		t.Fatal("the directory has other hits than the run")
	}
	return r
}

func replay(t *testing.T, r *Recording, o ReplayOptions) *Replay {
	t.Helper()
	c, err := r.Replay(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Valid {
		t.Fatalf("the repetition is invalid: %v", c.InvalidBecause)
	}
	return c
}

// The plan says, of each request, by what it is hit once a fault is gone.
func TestWithoutAFaultItsRequestsSucceedAndTheRestIsAsItWas(t *testing.T) {
	const seed = 3
	r := record(t, overlapping, seed)
	// Who fails when a fault is gone follows from the plan of what is left.
	config := r.Scenario.Config(seed)
	planned, _, err := config.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		without []string
	}{
		{"nothing", nil},
		{"one that comes before others", []string{"syn-drop"}},
		{"one that comes after another", []string{"abrupt"}},
		{"two", []string{"deaf", "syn-drop"}},
		{"all", []string{"syn-drop", "deaf", "abrupt"}},
		{"one, said twice", []string{"deaf", "deaf"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "again")
			c := replay(t, r, ReplayOptions{Without: row.without, Concurrency: 64, Out: out})
			if !c.Holds || !c.Predictable || c.Rest.Requests != c.Rest.Unchanged || c.Digest.Before != c.Digest.Now {
				t.Errorf("it does not hold: %+v", c)
			}
			var left, shared []int // requests that still fail; of them, those that a fault had hit which is gone
			for _, p := range planned {
				if !slices.Contains(row.without, p.Fault) {
					left = append(left, p.Ordinal)
				}
			}
			left = slices.Compact(left)
			for _, h := range r.Result.Hits {
				if slices.Contains(row.without, h.Fault) && slices.Contains(left, h.Ordinal) {
					shared = append(shared, h.Ordinal)
				}
			}
			var differ []int
			for _, d := range c.Differs {
				if differ = append(differ, d.Ordinal); !strings.HasPrefix(d.Because, "hit by ") {
					t.Errorf("request %d differs: %+v", d.Ordinal, d)
				}
			}
			if !slices.Equal(differ, shared) {
				t.Errorf("differ: %v, hit by others as well: %v", differ, shared)
			}
			again, err := OpenRecording(out)
			if err != nil {
				t.Fatal(err)
			}
			if got := failedOrdinals(again.Result); !slices.Equal(got, left) {
				t.Errorf("failed %v, want %v", got, left)
			}
			for _, h := range c.Hit {
				if h.Requests == 0 || h.Failed != h.Requests || h.OK+h.Others != h.Requests {
					t.Errorf("hit by %s: %+v", h.Fault, h)
				}
			}
		})
	}
}

func TestARunThatGoesByChanceIsNotHeldToTheRest(t *testing.T) {
	text := strings.Replace(overlapping, "do: drop, per: connection, probability: 0.3", "do: drop, per: packet, probability: 0.3", 1)
	r := record(t, text, 3)
	c := replay(t, r, ReplayOptions{Without: []string{"deaf"}})
	if !c.Holds || c.Predictable {
		t.Errorf("got %+v", c)
	}
	// With the fault that goes by chance gone, the rest is certain.
	c = replay(t, r, ReplayOptions{Without: []string{"syn-drop"}})
	if !c.Holds || !c.Predictable || c.Rest.Unchanged != c.Rest.Requests {
		t.Errorf("got %+v", c)
	}
}

func TestTheSameSeedHitsTheSameAtAnyConcurrency(t *testing.T) {
	s, err := Load("f.yaml", []byte(overlapping))
	if err != nil {
		t.Fatal(err)
	}
	digest := func(seed uint64, concurrency int) string {
		r, err := Run(t.Context(), s, Options{Requests: 60, Concurrency: concurrency, Seed: &seed})
		skipUnsupported(t, err)
		if err != nil || !r.Valid {
			t.Fatalf("seed %d, concurrency %d: %v, %v", seed, concurrency, err, r)
		}
		return r.Ledger.Digest
	}
	want := digest(3, 256)
	for _, concurrency := range []int{1, 16} {
		if got := digest(3, concurrency); got != want {
			t.Errorf("at concurrency %d the digest is %s, at 256 %s", concurrency, got, want)
		}
	}
	if digest(4, 256) == want {
		t.Error("another seed has the same digest")
	}
}

func TestTheDigestIsThatOfItsLines(t *testing.T) {
	ledger := []sim.Hit{
		{Entry: fault.Entry{Fault: "b"}, Ordinal: 10, Attempt: 0},
		{Entry: fault.Entry{Fault: "b"}, Ordinal: 9, Attempt: 1},
		{Entry: fault.Entry{Fault: "b"}, Ordinal: -1}, // a monitor's
		{Entry: fault.Entry{Fault: "a"}, Ordinal: 9, Attempt: 1},
		{Entry: fault.Entry{Fault: "b"}, Ordinal: 10, Attempt: 0}, // another packet of the same connection
	}
	sum := sha256.Sum256([]byte("9 1 a\n9 1 b\n10 0 b\n"))
	if got, want := digestOf(hitsOf(ledger)), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A comparison that could never fail would prove nothing.
func TestWhatContradictsIsSaid(t *testing.T) {
	outcome := func(ordinal int, o client.Outcome, faults ...string) Truth {
		t := Truth{Ordinal: ordinal, Outcome: o}
		for _, f := range faults {
			t.Faults = append(t.Faults, TruthHit{TruthFault: TruthFault{Fault: f}})
		}
		return t
	}
	before := &Result{Truths: []Truth{outcome(0, client.OK), outcome(1, client.Reset, "a"), outcome(2, client.Reset, "b"), outcome(3, client.OK, "a")},
		Hits: []Hit{{1, 0, "a"}, {2, 0, "b"}, {3, 0, "a"}}}
	as := func(edit func(*Result)) *Result {
		r := &Result{Valid: true, Truths: []Truth{outcome(0, client.OK), outcome(1, client.OK), outcome(2, client.Reset, "b"), outcome(3, client.OK)}, Hits: []Hit{{2, 0, "b"}}}
		edit(r)
		return r
	}
	for _, row := range []struct {
		name   string
		again  *Result
		chance bool
		holds  bool
		hit    HitCounts
		rest   RestCounts
		differ map[int]string
	}{
		{"all is as it must be", as(func(*Result) {}), false, true, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 2}, nil},
		{"a request that the fault had hit fails still", as(func(r *Result) { r.Truths[1] = outcome(1, client.Timeout) }),
			false, false, HitCounts{"a", 2, 1, 1, 0}, RestCounts{2, 2}, map[int]string{1: ""}},
		{"it fails by another fault, which the first had kept away", as(func(r *Result) { r.Truths[1], r.Hits = outcome(1, client.Reset, "b"), []Hit{{1, 0, "b"}, {2, 0, "b"}} }),
			false, true, HitCounts{"a", 2, 1, 1, 1}, RestCounts{2, 2}, map[int]string{1: "hit by b as well"}},
		{"it fails by the f5's own doing", as(func(r *Result) { r.Truths[1] = outcome(1, client.Reset, configured) }),
			false, true, HitCounts{"a", 2, 1, 1, 1}, RestCounts{2, 2}, map[int]string{1: "hit by f5-configuration as well"}},
		{"one that nobody had hit fails", as(func(r *Result) { r.Truths[0] = outcome(0, client.Timeout) }),
			false, false, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 1}, map[int]string{0: ""}},
		{"one that another fault had hit succeeds", as(func(r *Result) { r.Truths[2], r.Hits = outcome(2, client.OK), nil }),
			false, false, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 1}, map[int]string{2: ""}},
		{"one is hit by the same fault at another attempt", as(func(r *Result) { r.Hits = []Hit{{2, 1, "b"}} }),
			false, false, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 1}, map[int]string{2: ""}},
		{"one fails with another status", as(func(r *Result) { r.Truths[2].Status = 503 }),
			false, false, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 1}, map[int]string{2: ""}},
		{"the rest is another where it is chance", as(func(r *Result) { r.Truths[2], r.Hits = outcome(2, client.OK), nil }),
			true, true, HitCounts{"a", 2, 1, 2, 0}, RestCounts{2, 1}, map[int]string{2: "whom this scenario hits is chance"}},
		{"a request that the fault had hit fails still where much is chance", as(func(r *Result) { r.Truths[1] = outcome(1, client.Timeout) }),
			true, false, HitCounts{"a", 2, 1, 1, 0}, RestCounts{2, 2}, map[int]string{1: ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := compare(&Recording{Result: before}, row.again, []string{"a"}, !row.chance)
			differ := map[int]string{}
			for _, d := range c.Differs {
				differ[d.Ordinal] = d.Because
			}
			if row.differ == nil {
				row.differ = map[int]string{}
			}
			if c.Holds != row.holds || c.Hit[0] != row.hit || c.Rest != row.rest || !cmp.Equal(differ, row.differ) {
				t.Errorf("got holds %v, %+v, %+v, %v", c.Holds, c.Hit, c.Rest, differ)
			}
		})
	}
}

func TestARunThatCannotBeRepeated(t *testing.T) {
	r := record(t, strings.Replace(overlapping, "requests: 300", "requests: 20", 1), 3)
	damaged := func(file string, edit func(string) string) string {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(r.Path)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	without := func(file string) string {
		dir := damaged(file, func(s string) string { return s })
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	line := func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return rest } // but the first
	for _, row := range []struct{ name, path, want string }{
		{"no directory at all", filepath.Join(t.TempDir(), "none"), "is no run directory; hopblame run … --out DIR makes one"},
		{"an empty directory", t.TempDir(), "result.json: is not there: this is no run directory, or its run has not ended"},
		{"a run without its scenario", without("scenario.yaml"), "scenario.yaml: is not there: the run had parts that no scenario file can name, or its hopblame was older"},
		{"a run without its truth", without("truth/requests.ndjson"), "truth/requests.ndjson: is not there: this is no run directory, or its run has not ended"},
		{"a result of a later format", damaged("result.json", func(s string) string { return strings.Replace(s, `"schema_version": 1`, `"schema_version": 9`, 1) }),
			"result.json: has schema_version 9; this hopblame reads 1"},
		{"a result cut off", damaged("result.json", func(s string) string { return s[:40] }), "result.json: is damaged: unexpected end of JSON input"},
		{"a truth cut off", damaged("truth/requests.ndjson", func(s string) string { return s[:40] }), "truth/requests.ndjson: is damaged: line 1: unexpected EOF"},
		{"a truth that lacks a request", damaged("truth/requests.ndjson", line), "truth/requests.ndjson: holds 19 requests, result.json 20; the files are not of one run"},
		{"a truth in another order", damaged("truth/requests.ndjson", func(s string) string { return strings.Replace(s, `"ordinal":0`, `"ordinal":7`, 1) }),
			"truth/requests.ndjson: has request 7 in line 1; the files are not of one run"},
		{"another run's ledger", damaged("truth/ledger.ndjson", func(string) string { return "" }), "…; the files are not of one run"},
		{"a scenario that is none", damaged("scenario.yaml", func(s string) string { return strings.Replace(s, "name:", "nmae:", 1) }), `scenario.yaml:1:1: unknown key "nmae"; did you mean "name"?`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := OpenRecording(row.path)
			var fe *FileError
			if !errors.As(err, &fe) || !strings.HasSuffix(err.Error(), row.want) {
				t.Errorf("got  %v\nwant …%s", err, row.want)
			}
		})
	}
	t.Run("a fault that it had not", func(t *testing.T) {
		err := r.Check(ReplayOptions{Without: []string{"deaf", "abrubt"}})
		var ue *UnknownFaultError
		if !errors.As(err, &ue) || !strings.HasSuffix(err.Error(), ` had no fault "abrubt"; did you mean "abrupt"?; it had syn-drop, deaf, abrupt`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a run that is INVALID", func(t *testing.T) {
		r.Result.Valid, r.Result.InvalidBecause = false, []string{"a tap lost 3 packets"}
		if _, err := r.Replay(t.Context(), ReplayOptions{}); !errors.Is(err, ErrNothingToCompare) || !strings.HasSuffix(err.Error(), ": a tap lost 3 packets") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWithoutADetourTheFirewallHasNothingToRefuse(t *testing.T) {
	for _, family := range []string{"ipv4", "ipv6"} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			r := record(t, `name: past
title: Past the firewall
lab: {family: `+family+`}
f5: {serverside: {syn-rto-base: 20ms}}
firewall: {timeout-tcp: 1h}
traffic: {requests: 100, concurrency: 16}
faults: [{name: detour, at: f5, direction: to-server, match: any, do: detour, per: tuple, probability: 0.2}]
expect: [{hop: firewall, cause: asymmetric-path}]
`, 3)
			for i := range r.Result.Truths {
				if x := &r.Result.Truths[i]; x.Failed() && (x.Primary == nil || x.Primary.Fault != "detour" || len(x.Accept) != 1 || x.Accept[0] != (Pair{"firewall", analyzer.AsymmetricPath})) {
					t.Errorf("the truth of request %d is %+v", i, x)
				}
			}
			c := replay(t, r, ReplayOptions{Without: []string{"detour"}})
			if h := c.Hit[0]; h.Requests == 0 || h.Failed != h.Requests || h.OK != h.Requests || !c.Holds || !c.Predictable || c.Now.Failed != 0 || c.Rest.Unchanged != c.Rest.Requests {
				t.Errorf("hit by the detour: %+v; it holds: %v; %+v", h, c.Holds, c)
			}
			// It is not the firewall's own doing, so no limit of its own makes an end of it.
			c = replay(t, r, ReplayOptions{Without: []string{string(firewall.NoSessionAnswers)}})
			if h := c.Hit[0]; h.Requests == 0 || h.Others != h.Requests || !c.Holds {
				t.Errorf("without the refusals: %+v; it holds: %v", h, c.Holds)
			}
		})
	}
}

// Whom a firewall refuses by itself is chance; that it does not when it may not is none.
func TestWithoutAFirewallsReasonWhomItHitSucceeds(t *testing.T) {
	for _, row := range []struct {
		reason firewall.Reason
		text   string // f5, firewall, traffic and faults
	}{
		{firewall.TableFull, `
f5: {serverside: {syn-rto-base: 20ms}}
firewall: {max-sessions: 40, timeout-tcp-time-wait: 1s}
traffic: {requests: 100, concurrency: 16}
expect: [{hop: firewall, cause: syn-dropped}]
`},
		{firewall.SYNRate, `
f5: {serverside: {syn-rto-base: 20ms}}
firewall: {syn-rate: 20}
traffic: {requests: 100, concurrency: 16}
expect: [{hop: firewall, cause: syn-dropped}]
`},
		{firewall.HeldSession, `
f5: {serverside: {syn-rto-base: 20ms}, snat: {ports: 20}}
firewall: {timeout-tcp-time-wait: 1s, tuple-reuse: drop}
traffic: {requests: 100, concurrency: 16}
expect: [{hop: firewall, cause: tuple-reused}]
`},
		{firewall.NoSession, `
f5: {serverside: {keep-alive-interval: 1s, max-retrans: 2}}
firewall: {timeout-tcp: 500ms}
traffic: {requests: 10, timeout: 20s}
faults: [{name: slow, at: server2, do: answer-slowly, after: 4s, per: connection, probability: 0.5}]
expect: [{hop: firewall, cause: session-expired}, {hop: server2, cause: app-silent}]
`},
	} {
		t.Run(string(row.reason), func(t *testing.T) {
			t.Parallel()
			r := record(t, "name: by-itself\ntitle: A firewall that refuses by itself"+row.text, 3)
			c := replay(t, r, ReplayOptions{Without: []string{string(row.reason)}})
			if h := c.Hit[0]; h.Requests == 0 || h.Failed == 0 || h.OK != h.Requests || !c.Holds {
				t.Errorf("hit by %s: %+v; it holds: %v; %+v", row.reason, h, c.Holds, c.Differs)
			}
			if c.Predictable {
				t.Error("the firewall's limits are said to be predictable")
			}
		})
	}
}
