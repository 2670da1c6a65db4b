package analyzer

import (
	"maps"
	"net/netip"
	"slices"
)

// maxPairs bounds the pairs of hosts whose ways are looked at: a few show all links there
// are, and clients on the internet may be a million.
const maxPairs = 1 << 12

// links finds out which points are next to each other, from the ways that connections go.
func (a *analysis) links() [][2]int {
	ways := *a.topo // with a cache of its own: what is asked here is not what the judge asks
	ways.cache = map[[2]netip.Addr][]int{}
	found := map[[2]int]bool{}
	for _, s := range a.surveys {
		var last [2]netip.Addr
		for j := range s.conns.len() {
			t := s.tuple(s.conns.at(j))
			pair := [2]netip.Addr{t.client.Addr(), t.server.Addr()}
			if pair == last || len(ways.cache) >= maxPairs {
				continue
			}
			last = pair
			on := ways.path(t)
			for k := 1; k < len(on); k++ {
				found[[2]int{on[k-1], on[k]}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(x, y [2]int) int { return slices.Compare(x[:], y[:]) })
}
