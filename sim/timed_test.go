package sim

import (
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestWhatIsDroppedForATimeIsDroppedInItAndNeitherBeforeNorAfter(t *testing.T) {
	for _, row := range []struct {
		name   string
		from   time.Duration
		family topology.Family
	}{
		{"from the first request on", 0, topology.IPv4},
		{"from the first request on, in IPv6", 0, topology.IPv6},
		{"from some time on", 200 * time.Millisecond, topology.IPv4},
		{"from some time on, in IPv6", 200 * time.Millisecond, topology.IPv6},
	} {
		t.Run(row.name, func(t *testing.T) {
			var faults []fault.Fault
			for _, match := range []fault.Match{fault.SYN, fault.Data} {
				x := of(match, drop("x-"+string(match), "link:firewall-switch", fault.PerPacket, 1))
				x.From, x.For = row.from, 700*time.Millisecond
				faults = append(faults, x)
			}
			c := config(400, 8, faults...)
			c.Family, c.AnswerAfter, c.Timeout = row.family, 20*time.Millisecond, 2*time.Second
			if planned, predictable, err := c.Plan(); len(planned) > 0 || predictable || err != nil {
				t.Errorf("planned %v, %v, %v", planned, predictable, err)
			}
			f := checked(t, play(t, c))
			began := f.Requests[0].Start
			for _, r := range f.Requests {
				if r.Start.Before(began) {
					began = r.Start
				}
			}
			var first, last time.Time
			for _, h := range f.Ledger {
				if first.IsZero() {
					first = h.Time
				}
				last = h.Time
			}
			// The time begins a moment before the first request does.
			if len(f.Ledger) == 0 || first.Before(began.Add(row.from/2)) {
				t.Fatalf("%d packets were hit, the first %v after the first request", len(f.Ledger), first.Sub(began))
			}
			failed, before, after := 0, 0, 0
			for _, r := range f.Requests {
				switch {
				case r.Outcome.Failed():
					failed++
				case r.Outcome == client.OK && r.End.Before(first):
					before++
				case r.Outcome == client.OK && r.Start.After(last):
					after++
				}
			}
			if failed == 0 || after == 0 || (before > 0) != (row.from > 0) {
				t.Errorf("%d failed, %d went well before and %d afterwards", failed, before, after)
			}
		})
	}
}
