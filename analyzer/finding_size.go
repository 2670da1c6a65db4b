package analyzer

import (
	"fmt"
	"math/bits"

	"github.com/hopblame/hopblame/internal/digits"
)

// sizeCounts counts requests by the number of bits of their size in bytes.
type sizeCounts [33]int

func (c *sizeCounts) add(bytes uint32) { c[bits.Len32(bytes)]++ }

// sizes tells when failing requests are larger than good ones.
func (a *analysis) sizes(ms []*matter) []Finding {
	if len(ms) == 0 {
		return nil
	}
	var bad sizeCounts
	n := 0
	for _, m := range ms {
		if m.f.size > 0 {
			bad.add(m.f.size)
			n++
		}
	}
	good, all := ms[0].follows.log.sizes, 0
	for _, k := range good {
		all += k
	}
	if n == 0 || all == 0 {
		return nil
	}
	badAbove, goodAbove := 0, 0
	for b := len(bad) - 1; b > 0; b-- {
		badAbove, goodAbove = badAbove+bad[b], goodAbove+good[b]
		share := float64(goodAbove+1) / float64(all+1)
		if badAbove*2 >= n {
			if tail(badAbove, n, share) > unusual {
				return nil
			}
			return []Finding{{Requests: badAbove, Evidence: []Evidence{},
				What: fmt.Sprintf("%s of %s failing requests have %s bytes or more (%.1f %%), and %s of %s good ones (%.1f %%)",
					digits.Group(badAbove), digits.Group(n), digits.Group(1<<(b-1)), percent(badAbove, n),
					digits.Group(goodAbove), digits.Group(all), percent(goodAbove, all))}}
		}
	}
	return nil
}
