package analyzer_test

import (
	"fmt"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
)

// TestVerdictsInsideTLSAreConfirmed: verify has no keys, and confirms what was said with
// them as far as frames can.
func TestVerdictsInsideTLSAreConfirmed(t *testing.T) {
	analyzer.TLSStories(t, func(name, dir string, r *analyzer.Report) {
		confirmed(t, name, dir, r)
	})
}

// TestWhatPassedBeforeASessionWasForgottenDidPass: a keep-alive probe that the hop has
// dropped already is not the last packet that passed.
func TestWhatPassedBeforeASessionWasForgottenDidPass(t *testing.T) {
	dir, r := analyzer.ForgottenStory(t)
	if len(r.Verdicts) != 1 || r.Verdicts[0].Cause != analyzer.SessionExpired {
		t.Fatalf("got %+v", r.Verdicts)
	}
	confirmed(t, "forgotten at work", dir, r)
}

// TestASYNThatCameAnotherWayIsShownToHaveDoneSo: by its TTL at either end, and by its
// absence at both faces of the hop.
func TestASYNThatCameAnotherWayIsShownToHaveDoneSo(t *testing.T) {
	dir, r := analyzer.DetourStory(t)
	for _, v := range r.Verdicts {
		if v.Hop != "firewall" || v.Cause != analyzer.AsymmetricPath {
			t.Errorf("got %s %s", v.Hop, v.Cause)
		}
	}
	if len(r.Verdicts) != 3 {
		t.Errorf("got %d verdicts, want 3", len(r.Verdicts))
	}
	confirmed(t, "past the firewall", dir, r)
}

// TestTheEarlierUseOfATupleIsCited: who says that a firewall refused a 5-tuple because it
// knew it shows that it was there.
func TestTheEarlierUseOfATupleIsCited(t *testing.T) {
	for _, setBack := range []string{"", "firewall/feth11", "f5/0.0"} {
		dir, r := analyzer.ReuseStory(t, "", setBack)
		for _, v := range r.Verdicts {
			if v.Hop != "firewall" || v.Cause != analyzer.TupleReused {
				t.Errorf("%q is set back: got %s %s", setBack, v.Hop, v.Cause)
			}
		}
		confirmed(t, fmt.Sprintf("the tuple was used before, and %q is set back", setBack), dir, r)
	}

	dir, r := analyzer.ReuseStory(t, "firewall/feth11", "")
	lost := 0
	for _, v := range r.Verdicts {
		if v.Cause == analyzer.SYNDropped {
			lost++
		}
	}
	if lost == 0 {
		t.Error("all are said to be of used tuples, which the firewall's capture does not show")
	}
	confirmed(t, "the capture where the SYN was lost begins late", dir, r)
}

// confirmed has verify check all that a report says.
func confirmed(t *testing.T, name, dir string, r *analyzer.Report) {
	t.Helper()
	result, err := verify.Run(t.Context(), r, dir)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, f := range result.Failures {
		t.Errorf("%s: verdict %d, %s: %s: %s", name, f.Verdict, f.Request, f.Statement, f.Why)
	}
}

// refuted has verify find something wrong in a report.
func refuted(t *testing.T, dir string, r *analyzer.Report) {
	t.Helper()
	result, err := verify.Run(t.Context(), r, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Failures) == 0 {
		t.Errorf("confirmed is a verdict of %s %s", r.Verdicts[0].Hop, r.Verdicts[0].Cause)
	}
}

// TestOfMissingRecordsNothingIsMadeUp: where captures miss some of a client's packets no
// hop is named but the one at fault, and verify confirms all that is said.
func TestOfMissingRecordsNothingIsMadeUp(t *testing.T) {
	named := 0
	analyzer.LossyStories(t, func(name, dir string, r *analyzer.Report, hop string) {
		for _, v := range r.Verdicts {
			switch v.Hop {
			case "":
			case hop:
				named++
			default:
				t.Errorf("%s: %s %s is said, at fault is %q", name, v.Hop, v.Cause, hop)
			}
		}
		confirmed(t, name, dir, r)
	})
	if named == 0 {
		t.Error("nobody was ever named")
	}
}
