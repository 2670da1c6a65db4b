package sim

import (
	"reflect"
	"testing"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
)

func TestWhoWatchesSeesNumbersGrowToThoseOfTheResult(t *testing.T) {
	c := config(200, 16, drop("syn", "firewall", fault.PerConnection, 0.2), act("busy", "server2", fault.AnswerError, 0.5))
	c.Firewall = firewall.Config{MaxSessions: 1000}
	var seen []Counts // by one goroutine, which has ended when Run returns
	c.Watch = func(n Counts) { seen = append(seen, n) }
	f := checked(t, play(t, c))
	if len(seen) < 2 {
		t.Fatalf("told %d times", len(seen))
	}
	var names []string
	for i, p := range seen[0].Points {
		names = append(names, p.Point)
		before := p.Packets
		for _, n := range seen {
			if n.Points[i].Packets < before {
				t.Errorf("%s: %d after %d", p.Point, n.Points[i].Packets, before)
			}
			before = n.Points[i].Packets
		}
		if got := f.Captures[i]; before == 0 || before > got.Packets {
			t.Errorf("%s: %d packets were seen, %d captured", p.Point, before, got.Packets)
		}
	}
	if !reflect.DeepEqual(names, Points()) {
		t.Errorf("points: %q", names)
	}
	for i, n := range seen[len(seen)-1].Faults {
		if r := f.Reports[i]; n.Fault.Name != r.Fault.Name || n.Hits != r.Counter {
			t.Errorf("%s has struck %d times, %s by its report %d times", n.Fault.Name, n.Hits, r.Fault.Name, r.Counter)
		}
	}
	if len(f.Reports) != 2+len(c.Firewall.Faults()) || f.Reports[0].Counter == 0 || f.Reports[1].Counter == 0 {
		t.Errorf("reports: %+v", f.Reports)
	}
}
