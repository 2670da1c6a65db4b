package sim

import (
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
)

func TestOldTimeStampsAreThrownAwayOrComeToWhatIsClosed(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := start.Add(10 * time.Second)
	ledger := func(faultName string, flow *bigip.Flow, at ...time.Duration) (hits []Hit) {
		for _, d := range at {
			hits = append(hits, Hit{Entry: fault.Entry{Time: start.Add(d), Fault: faultName}, Flow: flow})
		}
		return hits
	}
	closed := &bigip.Flow{Closed: end}
	for _, row := range []struct {
		name     string
		outcome  client.Outcome
		hits     []Hit
		thrown   uint64 // by the kernels
		problems int
	}{
		{"each is thrown away", client.Timeout, ledger("old", nil, time.Second, 2*time.Second), 2, 0},
		{"one got through", client.Timeout, ledger("old", nil, time.Second, 2*time.Second), 1, 1},
		{"one came after the client had given up", client.Timeout, ledger("old", nil, time.Second, 11*time.Second), 1, 0},
		{"one was on its way when the client gave up", client.Timeout, ledger("old", nil, time.Second, 9900*time.Millisecond), 1, 0},
		{"one came after the f5 had closed", client.Timeout, ledger("old", closed, time.Second, 11*time.Second), 1, 0},
		{"one came late, and two were not thrown away", client.Timeout, ledger("old", nil, time.Second, 2*time.Second, 11*time.Second), 1, 1},
		{"nobody had given up", client.OK, ledger("old", nil, time.Second, 11*time.Second), 1, 1},
		{"the late one is thrown away even so", client.Timeout, ledger("old", nil, time.Second, 11*time.Second), 2, 0},
		{"more are thrown away than were old", client.Timeout, ledger("old", nil, time.Second), 2, 1},
		{"what comes late is another fault's", client.Timeout, append(ledger("old", nil, time.Second), ledger("server", nil, 11*time.Second)...), 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &Facts{Ledger: row.hits, Requests: []client.Record{{Outcome: row.outcome, End: end}}, outdated: row.thrown}
			old := backdating("firewall", fault.Data, fault.ToServer)
			old.Name = "old"
			report := fault.Report{Fault: old}
			for _, h := range row.hits {
				if h.Fault == "old" {
					report.Counter++
				}
			}
			f.Reports = []fault.Report{report}
			var problems []string
			f.checkOutdated(func(format string, _ ...any) { problems = append(problems, format) })
			if len(problems) != row.problems {
				t.Errorf("%d problems, want %d: %q", len(problems), row.problems, problems)
			}
		})
	}
}
