package analyzer

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
)

// reuseCount says how often connections' tuples had been used before, and how
// long ago.
type reuseCount struct {
	good, goodReused int
	bad, badReused   int
	goodAges         *[ageBuckets]int32 // nil: none
}

// Ages are counted in eighths of an octave from a millisecond on.
const ageBuckets = 8 * 28

func ageBucket(ns int64) int {
	if ns < int64(time.Millisecond) {
		return 0
	}
	return min(ageBuckets-1, int(8*math.Log2(float64(ns)/float64(time.Millisecond))))
}

func (r *reuseCount) count(good bool, gap int64) {
	switch {
	case good:
		r.good++
		if gap >= 0 {
			if r.goodReused++; r.goodAges == nil {
				r.goodAges = new([ageBuckets]int32)
			}
			r.goodAges[ageBucket(gap)]++
		}
	default:
		r.bad++
		if gap >= 0 {
			r.badReused++
		}
	}
}

// reuse compares, at one point, failed connections with good ones to the same
// servers.
type reuse struct {
	at       *survey
	ages     []int64 // of the failed ones that were reused, sorted
	failed   int
	good     reuseCount
	example  *matter
	examples map[*matter]int64 // age by request
}

// measureReuse looks at the serverside connections of failed requests; nil if
// there is nothing to compare.
func (a *analysis) measureReuse(ms []*matter) *reuse {
	r := &reuse{examples: map[*matter]int64{}, good: reuseCount{goodAges: new([ageBuckets]int32)}}
	odd := map[*survey]map[uint64]int64{}
	for _, m := range ms {
		if !m.proxied || m.view == nil || len(m.view.steps) == 0 || m.view == m.client {
			continue
		}
		s := m.view.steps[0].s
		if odd[s] == nil {
			odd[s] = map[uint64]int64{}
			for i := range s.odd {
				odd[s][s.odd[i].tuple.hash(s.odd[i].isn)] = s.odd[i].gap
			}
		}
		gap, ok := odd[s][m.view.tuple.hash(m.view.isn)]
		if !ok {
			continue
		}
		r.failed++
		r.at = s
		if gap >= 0 {
			if r.example == nil {
				r.example = m
			}
			r.ages = append(r.ages, gap)
			r.examples[m] = gap
		}
	}
	if r.at == nil {
		return nil
	}
	for e, v := range r.at.servers {
		if a.topo.toProxy(addrPort(r.at.names.addr(e.addr), e.port)) {
			continue
		}
		r.good.good += v.reuse.good
		r.good.goodReused += v.reuse.goodReused
		if v.reuse.goodAges != nil {
			for i, n := range v.reuse.goodAges {
				r.good.goodAges[i] += n
			}
		}
	}
	slices.Sort(r.ages)
	return r
}

// limit is the age below which practically every reuse failed; 0 if there is none.
// A hop that holds sessions for so long drops all of them and only them; one that
// drops at random drops reused and new ones alike.
func (r *reuse) limit() int64 {
	out := int64(0)
	for i, age := range r.ages {
		good := 0
		for b := range ageBucket(age) + 1 {
			good += int(r.good.goodAges[b])
		}
		if bad := i + 1; bad >= fewReused && bad >= 9*good {
			out = age
		}
	}
	return out
}

// fewReused is how many failures make a pattern.
const fewReused = 5

// reused tells how often the serverside 5-tuple of failing and of good
// connections had been used before: a stateful hop or a server in TIME_WAIT
// may refuse a reused one, with the same symptom as a loss.
func (a *analysis) reused(ms []*matter) []Finding {
	r := a.measureReuse(ms)
	if r == nil || len(r.ages) == 0 {
		return nil
	}
	median := time.Duration(r.ages[len(r.ages)/2]).Round(100 * time.Millisecond)
	bad, fine := percent(len(r.ages), r.failed), percent(r.good.goodReused, r.good.good)
	hint := ""
	switch limit := r.limit(); {
	case limit > 0:
		hint = fmt.Sprintf(": within %v practically every reuse fails", time.Duration(limit).Round(100*time.Millisecond))
	case r.good.good > 0 && tail(len(r.ages), r.failed, float64(r.good.goodReused)/float64(r.good.good)) > unusual:
		hint = ": no difference"
	}
	v := r.example.view
	return []Finding{{Requests: len(r.ages), Evidence: []Evidence{v.frame(0, &v.steps[0].packets[0], "SYN of a 5-tuple used before")},
		What: fmt.Sprintf("the serverside 5-tuple had been used before in %s of %s failing sessions (%.1f %%, median %v earlier) and in %s of %s good ones (%.1f %%)%s",
			digits.Group(len(r.ages)), digits.Group(r.failed), bad, median, digits.Group(r.good.goodReused), digits.Group(r.good.good), fine, hint)}}
}

// blameReuse turns the loss of SYNs into a refusal of reused tuples where the good
// connections show that it is one: see limit.
func (a *analysis) blameReuse(ms []*matter, cs []*conclusion) {
	r := a.measureReuse(ms)
	if r == nil {
		return
	}
	limit := r.limit()
	if limit == 0 {
		return
	}
	for i, m := range ms {
		age, reused := r.examples[m]
		if c := cs[i]; c.hop != "" && c.cause == SYNDropped && reused && age <= limit {
			before := m.view.usedBefore(c.between[0])
			if before == nil { // where the SYN was lost nothing shows the tuple's earlier use
				continue
			}
			c.cause = TupleReused
			c.evidence = append(before, c.evidence...)
			c.eliminated = append(c.eliminated, Hypothesis{Hypothesis: c.hop + " drops SYNs at random",
				Why: fmt.Sprintf("the 5-tuple had been used %v earlier, and within %v practically every reuse fails, others do not",
					time.Duration(age).Round(100*time.Millisecond), time.Duration(limit).Round(100*time.Millisecond))})
		}
	}
}

// usedBefore cites the last packet that a point has of the 5-tuple's earlier use, in the
// direction of the connection's SYN; nil for none.
func (v *flowView) usedBefore(point string) []Evidence {
	p := slices.IndexFunc(v.steps, func(s step) bool { return s.s.point.Name == point })
	if p < 0 {
		return nil
	}
	syns := v.steps[p].of(synKind(v))
	if len(syns) == 0 {
		return nil
	}
	var last *sighting
	for i := range v.steps[p].all {
		g := &v.steps[p].all[i]
		if g.frame >= syns[0].frame {
			break
		}
		if g.toServer && !g.icmp && g.seq != v.isn {
			last = g
		}
	}
	if last == nil {
		return nil
	}
	return []Evidence{v.frame(p, last, "the last of the 5-tuple's earlier use")}
}
