package ablation

import (
	"testing"

	"github.com/hopblame/hopblame/scenarios"
)

func TestRecordingsAreFairlyHit(t *testing.T) {
	list, err := Recordings()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, rec := range list {
		if names[rec.Name] {
			t.Errorf("two recordings are called %s", rec.Name)
		}
		names[rec.Name] = true
		if err := rec.Scenario.With(scenarios.Options{Requests: rec.Requests}).Validate(); err != nil {
			t.Errorf("%s: %v", rec.Name, err)
		}
		for from := range uint64(5) {
			if seed, err := rec.Seed(from); err != nil || seed > from+20 {
				t.Errorf("%s: seed %d from %d on: %v", rec.Name, seed, from, err)
			}
		}
	}
	for _, want := range []string{"no-fault-fast", "three-faults-incident", "firewall-drops-syn-large"} {
		if !names[want] {
			t.Errorf("%s is not recorded", want)
		}
	}
	for name := range quick {
		if !names[name] {
			t.Errorf("%s is to be quick, and is no recording", name)
		}
	}
}
