package scenarios

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/fault"
)

// blind is the incident, looked at by observers who do everything wrong at once. The
// capture behind the firewall is the only one that is whole.
const blind = `name: blind
title: Nobody looks well
f5: {serverside: {syn-rto-base: 20ms}}
traffic: {requests: 300}
faults:
  - {name: syn-drop, at: firewall, direction: to-server, match: syn, do: drop, per: connection, probability: 0.1}
observe:
  faults:
    - {at: server1/eth0, do: miss}
    - {do: strip-trailers}
    - {at: client/eth0, do: duplicate, share: 0.5}
    - {at: client/eth0, do: shift-clock, by: -1h}
    - {at: firewall/feth11, do: lose, share: 0.1, reported: true}
    - {at: firewall/feth11, do: lose, share: 0.1}
    - {at: server2/eth0, do: end-early, share: 0.5, torn: true}
expect:
  - {hop: firewall, cause: syn-dropped, accept: [{hop: "", cause: inconclusive}]}
`

func fileName(point string) string { return strings.ReplaceAll(point, "/", "-") + ".pcapng" }

// observed are the points at which an observer's fault did something.
func observed(r *Result) map[string]bool {
	points := map[string]bool{}
	for _, o := range r.Observers {
		points[o.Point] = true
	}
	return points
}

// packetsOf counts the packets in a file.
func packetsOf(t *testing.T, path string) int {
	t.Helper()
	c, err := observe.Open(analyzer.Point{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return len(packets(&observe.Captures{Points: []observe.Capture{*c}}))
}

func TestTheObserversFaultsSpareTheTruth(t *testing.T) {
	s, err := Load("f.yaml", []byte(blind))
	if err != nil {
		t.Fatal(err)
	}
	r, out := run(t, s, 5)
	if !r.Valid || !r.Score.Passed() || r.Requests.Failed == 0 {
		t.Fatalf("valid %t %v, %d failed, score %s", r.Valid, r.InvalidBecause, r.Requests.Failed, r.Score.String())
	}
	for i := range r.Balances {
		if b := &r.Balances[i]; !b.Holds() {
			t.Errorf("balance %+v", b)
		}
	}
	var did []string
	last := map[string]ObserverResult{}
	for _, o := range r.Observers {
		did = append(did, o.Point+" "+string(o.Do))
		if before, ok := last[o.Point]; ok && o.Before != before.After {
			t.Errorf("%s had %d packets after one fault and %d before the next", o.Point, before.After, o.Before)
		}
		last[o.Point] = o
	}
	if want := []string{"client/eth0 duplicate", "client/eth0 shift-clock", "f5/0.0 strip-trailers", "firewall/feth11 lose", "firewall/feth11 lose",
		"server1/eth0 miss", "server2/eth0 end-early"}; !slices.Equal(did, want) {
		t.Errorf("done was %q, want %q", did, want)
	}
	for i, c := range r.Captures {
		if c.Point != sim.Points()[i] {
			t.Errorf("point %d is %s; an observer's fault knows it as %s", i, c.Point, sim.Points()[i])
		}
		o, changed := last[c.Point]
		if whole := packetsOf(t, filepath.Join(out, c.File)); whole != int(c.Packets) || strings.HasPrefix(c.File, "truth/captures/") != changed {
			t.Errorf("%s holds %d packets; the tap at %s had %d", c.File, whole, c.Point, c.Packets)
		}
		given := filepath.Join(out, "captures", fileName(c.Point))
		switch {
		case !changed:
		case o.After == 0:
			if _, err := os.Stat(given); err == nil {
				t.Errorf("%s is there, and nobody captured", given)
			}
		case o.Do != EndEarly: // whose file is torn, and not to be read to its end
			if n := packetsOf(t, given); n != o.After {
				t.Errorf("%s holds %d packets, %d are said to be left", given, n, o.After)
			}
		}
	}
	points, err := analyzer.LoadPoints(filepath.Join(out, "captures"))
	if err != nil || len(points) != 5 || slices.ContainsFunc(points, func(p analyzer.Point) bool { return p.Name == "server1/eth0" }) {
		t.Errorf("points.json: %v, %v", points, err)
	}
	t.Run("with nothing kept it is the same", func(t *testing.T) {
		seed := uint64(5)
		again, err := Run(t.Context(), s, Options{Seed: &seed})
		if err != nil || !again.Valid || !again.Score.Passed() || len(again.Report.Points) != 5 || again.Requests != r.Requests {
			t.Fatalf("%v: %+v", err, again)
		}
	})
	t.Run("it can be repeated without the network's fault", func(t *testing.T) {
		recorded, err := OpenRecording(out)
		if err != nil {
			t.Fatal(err)
		}
		if c := replay(t, recorded, ReplayOptions{Without: []string{"syn-drop"}}); !c.Holds || c.Now.Failed != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestARunThatBreaksOffTakesTheWholeCapturesBackToo(t *testing.T) {
	s, err := Load("f.yaml", []byte(blind))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, seed := filepath.Join(t.TempDir(), "out"), uint64(5)
	_, err = Run(ctx, s, Options{Seed: &seed, Out: out, Progress: func(p Progress) {
		if p.Phase == "analyze" {
			cancel()
		}
	}})
	skipUnsupported(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, and is to be gone", out, err)
	}
}

func TestWhatAnObserverLosesFollowsFromTheSeed(t *testing.T) {
	f := ObserverFault{Do: Lose, Share: 0.1}
	same := f.fault("client/eth0", 1, 0)
	for what, other := range map[string]observe.Fault{"another seed": f.fault("client/eth0", 2, 0), "another point": f.fault("f5/0.0", 1, 0),
		"another time": f.fault("client/eth0", 1, 1)} {
		if same.(observe.Drop).Seed == other.(observe.Drop).Seed {
			t.Errorf("%s loses the same packets", what)
		}
	}
	if again := f.fault("client/eth0", 1, 0); again.(observe.Drop).Seed != same.(observe.Drop).Seed {
		t.Error("the same loses others")
	}
}

// Every deed can be said with what it needs, and with nothing else; without any of it, not.
func TestADeedOfAnObserverHasItsKeysAndNoOthers(t *testing.T) {
	fill := map[string]func(*ObserverFault){
		"at":        func(f *ObserverFault) { f.At = sim.Points()[0] },
		"share":     func(f *ObserverFault) { f.Share = 1 },
		"direction": func(f *ObserverFault) { f.Direction = fault.ToClient },
		"bytes":     func(f *ObserverFault) { f.Bytes = MinSnapLen },
		"bursts":    func(f *ObserverFault) { f.Bursts = 1 },
		"length":    func(f *ObserverFault) { f.Length = time.Second },
		"by":        func(f *ObserverFault) { f.By = -time.Second },
		"ppm":       func(f *ObserverFault) { f.PPM = -maxPPM },
		"reported":  func(f *ObserverFault) { f.Reported = true },
		"torn":      func(f *ObserverFault) { f.Torn = true },
	}
	if len(observerDeeds) != len(observerKeys) {
		t.Fatal("a deed is listed and has no keys, or the other way round")
	}
	for _, do := range observerDeeds {
		whole := ObserverFault{Do: do}
		for key, set := range fill {
			if observerKeys[do][key] != absent {
				set(&whole)
			}
		}
		if found := whole.problems("$"); len(found) > 0 {
			t.Errorf("%s with all it can have: %v", do, found)
		}
		for key, set := range fill {
			if observerKeys[do][key] == absent {
				odd := whole
				set(&odd)
				if found := odd.problems("$"); len(found) != 1 || found[0].path != "$."+key {
					t.Errorf("%s with %s: %v", do, key, found)
				}
			}
			if observerKeys[do][key] == needed {
				less := ObserverFault{Do: do}
				for other, set := range fill {
					if other != key && observerKeys[do][other] != absent {
						set(&less)
					}
				}
				if found := less.problems("$"); len(found) != 1 || found[0].path != "$."+key {
					t.Errorf("%s without %s: %v", do, key, found)
				}
			}
		}
		if s := whole.fault("firewall/feth10", 1, 0).String(); do != StripTrailers && !strings.Contains(s, "firewall/feth10") {
			t.Errorf("%s is %q", do, s)
		}
	}
}
