package e2e

import (
	"hash/crc32"
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

// again is the label of a scenario's spec in the second IP version, be that 4 or 6: make
// test leaves it out, for a hop does most of its work alike in either, and make e2e plays
// both.
const again = "again"

// versions are the IP versions of some that a scenario is played in; which is the first
// is the name's chance.
func versions(s *scenarios.Scenario, some ...topology.Family) []topology.Family {
	if crc32.ChecksumIEEE([]byte(s.Name))%2 == 1 {
		slices.Reverse(some)
	}
	return some
}

// labels are those of a scenario of the catalogue, in one of its IP versions.
func labels(s *scenarios.Scenario, family topology.Family, first bool) Labels {
	l := Labels{string(family)}
	if !first {
		l = append(l, again)
	}
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
