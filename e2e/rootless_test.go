package e2e

import (
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// rootless is the label of what is played once more without root by make test: what asks
// something of the machine that root has and others may not. What only goes on in the
// program's own sockets and files is the same for everybody, and `make e2e` plays all of
// it as whoever calls it.
const rootless = "rootless"

// labels are those of a scenario of the catalogue.
func labels(s *scenarios.Scenario, family topology.Family) Labels {
	l := Labels{string(family)}
	if slices.Contains(sample(), s.Name) && family == topology.IPv4 {
		l = append(l, rootless)
	}
	return l
}

// sample names a scenario for each thing that is asked of the machine.
var sample = sync.OnceValue(func() (names []string) {
	all, err := scenarios.All()
	if err != nil {
		panic(err) // at tree construction there is no spec to fail
	}
	for _, s := range scenarios.Sample(all) {
		names = append(names, s.Name)
	}
	return names
})
