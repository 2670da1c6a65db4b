package scenarios

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/hopblame/hopblame/analyzer/verify"
	"github.com/hopblame/hopblame/scenarios/observe"
)

func TestWhatFailedIsKeptWhole(t *testing.T) {
	s := quick(t, "firewall-drops-syn")
	s.Traffic.Requests = 900
	s.Faults[0].Probability = 0.01
	seed, out := uint64(7), filepath.Join(t.TempDir(), "out")
	r, err := Run(t.Context(), s, Options{Seed: &seed, Out: out, Captures: KeepFailed, SnapLen: 400})
	skipUnsupported(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Valid || !r.Score.Passed() || r.Requests.Failed < 3 {
		t.Fatalf("%d failed; invalid because %v; %s", r.Requests.Failed, r.InvalidBecause, r.Score.String())
	}
	captures, err := observe.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	atClient := captures.Point("client/eth0")
	packets, resets := map[netip.AddrPort]int{}, map[netip.AddrPort]bool{}
	for i := range atClient.Frames {
		f := &atClient.Frames[i]
		if segment, ok := observe.TCP(f.Data); ok {
			packets[segment.Src]++
			resets[segment.Dst] = resets[segment.Dst] || segment.Flags&observe.RST != 0
		}
		if len(f.Data) > 400 || f.WireLength < len(f.Data) {
			t.Fatalf("frame %d has %d bytes of %d", i+1, len(f.Data), f.WireLength)
		}
	}
	kept := 0
	for i := range r.Truths {
		truth := &r.Truths[i]
		n := packets[truth.Client]
		switch {
		case n > 0:
			kept++
		case truth.Failed():
			t.Errorf("request %d failed, and its packets are gone", i)
		}
		if truth.Failed() && (n < 3 || !resets[truth.Client]) {
			t.Errorf("of request %d, which failed, %d packets are there; its RST: %v", i, n, resets[truth.Client])
		}
	}
	if most := 5*r.Requests.Failed + samples + 2; kept > most || kept <= r.Requests.Failed {
		t.Errorf("the packets of %d requests are kept, of which %d failed; want more than those, and at most %d", kept, r.Requests.Failed, most)
	}
	// What the verdicts cite is what the files hold.
	v, err := verify.Run(t.Context(), r.Report, out)
	if err != nil || len(v.Failures) > 0 || v.Statements == 0 {
		t.Errorf("%v; of %d statements not confirmed: %v", err, v.Statements, v.Failures)
	}
}
