package scenarios

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/firewall"
)

func TestWhatAFirewallRefusedIsTheTruthOfARequestThatWasNotOver(t *testing.T) {
	reused, expired, dropped := Pair{"firewall", analyzer.TupleReused}, Pair{"firewall", analyzer.SessionExpired}, Pair{"firewall", analyzer.SYNDropped}
	for _, row := range []struct {
		name    string
		reasons []firewall.Reason
		late    bool
		primary firewall.Reason
		want    []Pair
	}{
		{"a SYN of a session that is held", []firewall.Reason{firewall.HeldSession, firewall.HeldSession}, false, firewall.HeldSession, []Pair{reused}},
		{"a SYN that the table has no room for", []firewall.Reason{firewall.TableFull}, false, firewall.TableFull, []Pair{dropped}},
		{"a SYN above the rate", []firewall.Reason{firewall.SYNRate}, false, firewall.SYNRate, []Pair{dropped}},
		{"data of a session that it has forgotten", []firewall.Reason{firewall.NoSession}, false, firewall.NoSession, []Pair{expired}},
		{"a response of one", []firewall.Reason{firewall.NoSessionAnswers}, false, firewall.NoSessionAnswers, []Pair{expired}},
		{"SYNs for two reasons", []firewall.Reason{firewall.SYNRate, firewall.HeldSession}, false, "", []Pair{dropped, reused}},
		{"the RST that ends a request that has failed already", []firewall.Reason{firewall.NoSession}, true, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			facts := played(nil, client.Reset)
			facts.Config.Firewall = firewall.Config{SYNRate: 1}
			for _, r := range row.reasons {
				hit(facts, string(r), 0)
				h := &facts.Ledger[len(facts.Ledger)-1]
				if h.Time = facts.Requests[0].End; row.late {
					h.Time = h.Time.Add(time.Millisecond)
				}
			}
			all, err := truths(facts, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, all[0].Accept); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			if p := all[0].Primary; (p == nil) != (row.primary == "") || p != nil && p.Fault != string(row.primary) {
				t.Errorf("primary is %+v, want %q", p, row.primary)
			}
		})
	}
}
