package cli

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/scenarios"
)

func TestTheStoryOfARepetition(t *testing.T) {
	digest := func(s string) string { return s + "0123456789abcdef0123456789abcdef" }
	for _, row := range []struct {
		name string
		r    scenarios.Replay
		want string
		code int
	}{
		{"what must not be comes first", scenarios.Replay{
			Run: "demo", Scenario: "x", Seed: 7, Concurrency: 256, Without: []string{"a", "b"}, Valid: true, Predictable: true,
			Hit:    []scenarios.HitCounts{{Fault: "a", Requests: 1000, Failed: 999, OK: 998, Others: 1}, {Fault: "b"}},
			Rest:   scenarios.RestCounts{Requests: 200, Unchanged: 199},
			Digest: scenarios.Digests{Hits: 5, Before: digest("0"), Now: digest("1")},
			Before: scenarios.RequestCounts{Sent: 1200, Failed: 1004}, Now: scenarios.RequestCounts{Sent: 1200, Failed: 7},
			Differs: []scenarios.Difference{
				{Ordinal: 1, Before: scenarios.Fate{Outcome: "reset", Faults: []string{"a"}}, Now: scenarios.Fate{Outcome: "reset", Faults: []string{"c"}}, Because: "hit by c as well"},
				{Ordinal: 2, Before: scenarios.Fate{Outcome: "reset", Faults: []string{"a"}}, Now: scenarios.Fate{Outcome: "error", Status: 503}},
			}},
			`x — without a and b
demo, seed 7, 1,200 requests, at most 256 in flight

  ✗ hit by a: 1,000 requests, of which 999 failed; 998 succeed now, 1 fail by what else hits them
  ✓ hit by b: 0 requests, of which 0 failed; 0 succeed now
  ✗ the rest: 200 requests, 199 as they were
  ✗ hit among the rest: 5 connections, digest 00123456789abcde…, 10123456789abcde… now
  What differs:
    ✗ request 2: reset (a) before, error 503 now: and should not
    ✓ request 1: reset (a) before, reset (c) now: hit by c as well
b had hit nobody, so this says nothing about it.
It does NOT hold: 1,004 failed, 7 do now
`, exitCheck},
		{"chance is no contradiction", scenarios.Replay{
			Run: "demo", Scenario: "x", Seed: 7, Concurrency: 256, Valid: true, Holds: true,
			Rest:   scenarios.RestCounts{Requests: 200, Unchanged: 150},
			Digest: scenarios.Digests{Hits: 5, Before: digest("0"), Now: digest("0")},
			Before: scenarios.RequestCounts{Sent: 200, Failed: 4}, Now: scenarios.RequestCounts{Sent: 200, Failed: 7},
			Differs: []scenarios.Difference{{Ordinal: 1, Because: scenarios.ByChance}}},
			`x — the same again
demo, seed 7, 200 requests, at most 200 in flight

  · the rest: 200 requests, 150 as they were
  · hit among the rest: 5 connections, digest 00123456789abcde…, the same now
    whom this scenario hits is chance: a fault is per packet, the firewall has limits, or the f5 goes by load, limits, rules or a monitor
There was nothing to hold: 4 failed, 7 do now
`, exitOK},
		{"nor does it keep one from saying what became of a fault's requests", scenarios.Replay{
			Run: "demo", Scenario: "x", Seed: 7, Concurrency: 256, Without: []string{"a"}, Valid: true, Holds: true,
			Hit:    []scenarios.HitCounts{{Fault: "a", Requests: 3, Failed: 3, OK: 3}},
			Rest:   scenarios.RestCounts{Requests: 197, Unchanged: 150},
			Before: scenarios.RequestCounts{Sent: 200, Failed: 4}, Now: scenarios.RequestCounts{Sent: 200, Failed: 7}},
			`x — without a
demo, seed 7, 200 requests, at most 200 in flight

  ✓ hit by a: 3 requests, of which 3 failed; 3 succeed now
  · the rest: 197 requests, 150 as they were
    whom this scenario hits is chance: a fault is per packet, the firewall has limits, or the f5 goes by load, limits, rules or a monitor
It holds, as far as the seed decides: 4 failed, 7 do now
`, exitOK},
		{"an INVALID repetition says nothing", scenarios.Replay{
			Run: "demo", Scenario: "x", InvalidBecause: []string{"a tap lost 3 packets"}, Holds: true, Predictable: true},
			`x — the same again
demo, seed 0, 0 requests, at most 0 in flight

  ✓ the rest: 0 requests, 0 as they were
The repetition is INVALID and says nothing: 0 failed, 0 do now
`, exitInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := writeReplay(&got, &row.r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got.String()); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			if code := exitCode(t.Context(), replayOutcome(&row.r)); code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
		})
	}
}

func TestALongListIsCutInWordsAlone(t *testing.T) {
	var got bytes.Buffer
	p := &printer{w: &got}
	writeDifferences(p, make([]scenarios.Difference, mostDifferences+1234))
	if want := "    and 1,234 more; --json lists them all\n"; !bytes.HasSuffix(got.Bytes(), []byte(want)) {
		t.Errorf("got %s", got.String())
	}
}
