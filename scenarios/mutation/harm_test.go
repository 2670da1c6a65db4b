package mutation

import (
	"net/netip"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
)

func TestHarmIsWhatTheOriginalDidBetter(t *testing.T) {
	dropped := scenarios.Pair{Hop: "firewall", Cause: analyzer.SYNDropped}
	nobody := scenarios.Pair{Cause: analyzer.Inconclusive}
	says := func(id string, p scenarios.Pair) analyzer.Verdict {
		return analyzer.Verdict{Request: analyzer.RequestRef{ID: id}, Hop: p.Hop, Cause: p.Cause}
	}
	truths := []scenarios.Truth{
		{ID: "1", Outcome: client.Reset, Client: netip.MustParseAddrPort("198.18.0.1:1"), Primary: &scenarios.TruthFault{}, Accept: []scenarios.Pair{dropped, nobody}},
		{ID: "2", Outcome: client.Reset, Client: netip.MustParseAddrPort("198.18.0.1:2"), Primary: &scenarios.TruthFault{}, Accept: []scenarios.Pair{dropped}},
	}
	right := []analyzer.Verdict{says("1", dropped), says("2", dropped)}
	for _, row := range []struct {
		says             string
		original, mutant []analyzer.Verdict
		want             Harm
	}{
		{"the same", right, right, Harm{}},
		{"another hop", right, []analyzer.Verdict{says("1", scenarios.Pair{Hop: "f5", Cause: analyzer.SYNDropped}), says("2", dropped)}, Harm{Wrong: 1}},
		{"no verdict", right, right[:1], Harm{Missed: 1}},
		{"names nothing where it has to", right, []analyzer.Verdict{says("1", dropped), says("2", nobody)}, Harm{Undecided: 1}},
		{"names nothing where it need not, but the original did", right, []analyzer.Verdict{says("1", nobody), says("2", dropped)}, Harm{Undecided: 1}},
		{"knows what the original left open", []analyzer.Verdict{says("1", nobody), says("2", dropped)}, right, Harm{}},
		{"blames for what did not fail", right, append(right[:2:2], says("3", dropped)), Harm{FalseAlarms: 1}},
		{"as many false alarms as the original", append(right[:2:2], says("3", dropped)), append(right[:2:2], says("4", dropped)), Harm{}},
		{"errs where the original did", right[:1], right[:1], Harm{}},
	} {
		if got := compare(scenarios.Judge(truths, row.original), scenarios.Judge(truths, row.mutant)); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.says, got, row.want)
		}
	}
}
