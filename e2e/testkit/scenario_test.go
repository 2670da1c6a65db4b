package testkit

import (
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/scenarios"
)

func TestAScenariosLabelsAreWhatIsBrokenAndWhoIsToBlame(t *testing.T) {
	for name, want := range map[string][]string{
		"firewall-drops-syn":            {"fault:drop", "hop:firewall", "cause:syn-dropped"},
		"link-drops-syn-after-firewall": {"fault:drop", "hop:link-firewall-server1", "cause:syn-dropped", "hop:link-firewall-server2"},
		"no-fault":                      nil,
	} {
		if got := labels(Catalogue(name)[0]); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestTheWholeCatalogueMakesATable(t *testing.T) {
	all, err := scenarios.All()
	if err != nil {
		t.Fatal(err)
	}
	if rows := Entries(Catalogue(), ginkgo.Serial); len(rows) != len(all) {
		t.Errorf("got %d rows of %d scenarios", len(rows), len(all))
	}
}

func TestAWrongNameInATableSaysWhichOneWasMeant(t *testing.T) {
	defer func() {
		if said, _ := recover().(string); !strings.Contains(said, `no scenario "no-faults"; did you mean "no-fault"?`) {
			t.Errorf("it panics with %q", said)
		}
	}()
	Catalogue("no-faults")
}

func TestFastLeavesTheScenarioAsItWas(t *testing.T) {
	s := Catalogue("firewall-drops-syn")[0]
	f := Fast(s)
	if !inCatalogue(s) || inCatalogue(f) {
		t.Errorf("in the catalogue: the scenario %v, its fast copy %v", inCatalogue(s), inCatalogue(f))
	}
}
