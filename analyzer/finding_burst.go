package analyzer

import (
	"fmt"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
)

// rhythm counts requests by second, good and all, for finding bursts.
type rhythm map[int64]int

const maxSeconds = 1 << 17 // a day and a half

func (r rhythm) add(t int64) {
	second := t / int64(time.Second)
	if _, ok := r[second]; ok || len(r) < maxSeconds {
		r[second]++
	}
}

// bursts tells when failures come together in time and good requests do not: the
// busiest tenth of the seconds has most failures.
func (a *analysis) bursts(ms []*matter) []Finding {
	if len(ms) < 2*fewReused {
		return nil
	}
	follows := ms[0].follows
	bad := rhythm{}
	for _, m := range ms {
		at := m.f.start
		if m.start != follows {
			if off := a.cal.offset(m.start.index, follows.index, at); off.bounded() {
				at += (off.lo + off.hi) / 2
			}
		}
		bad.add(at + m.start.stepOf(m.f.epochs[0]))
	}
	good := follows.log.good
	seconds := make([]int64, 0, len(good))
	for s := range good {
		seconds = append(seconds, s)
	}
	for s := range bad {
		if _, ok := good[s]; !ok {
			seconds = append(seconds, s)
		}
	}
	slices.SortFunc(seconds, func(x, y int64) int {
		if d := bad[y] - bad[x]; d != 0 {
			return d
		}
		return int(x - y)
	})
	tenth := seconds[:max(1, len(seconds)/10)]
	badThere, goodThere, goodAll := 0, 0, 0
	for _, n := range good {
		goodAll += n
	}
	for _, s := range tenth {
		badThere += bad[s]
		goodThere += good[s]
	}
	share := float64(goodThere+1) / float64(goodAll+1)
	// The seconds were chosen for their failures: allow for the choice.
	if goodAll == 0 || badThere*2 < len(ms) || tail(badThere, len(ms), min(1, 2*share))*float64(len(seconds)) > unusual {
		return nil
	}
	first := slices.Min(tenth)
	return []Finding{{Requests: badThere, Evidence: []Evidence{},
		What: fmt.Sprintf("failures come in bursts: %s of %s fall into %d of %d seconds (the first at %s), and %s of %s good requests (%.1f %%)",
			digits.Group(badThere), digits.Group(len(ms)), len(tenth), len(seconds), stamp(first*int64(time.Second)).Format("15:04:05"),
			digits.Group(goodThere), digits.Group(goodAll), percent(goodThere, goodAll))}}
}
