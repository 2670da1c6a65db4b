package scenarios

import (
	"slices"
	"testing"
)

func TestASampleLeavesOutWhatSaysNothingNewOfTheMachine(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	some, kinds := Sample(all), map[string]bool{}
	for _, s := range some {
		for _, kind := range s.kinds() {
			kinds[kind] = true
		}
	}
	for _, s := range all {
		for _, kind := range s.kinds() {
			if !kinds[kind] {
				t.Errorf("%s: nothing of the sample has %q", s.Name, kind)
			}
		}
	}
	if len(some) > len(all)/2 {
		t.Errorf("%d of %d: that is no sample", len(some), len(all))
	}
	if again := Sample(append(slices.Clone(some), all...)); len(again) != len(some) {
		t.Errorf("with the sample first, %d more are needed", len(again)-len(some))
	}
}
