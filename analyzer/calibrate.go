package analyzer

import (
	"math"
	"slices"
	"time"
)

// handshake is a sampled connection, for measuring captures and clocks.
type handshake struct {
	tuple
	hash          uint64
	syn, synAck   int64
	syns, synAcks uint8
	ttl           ttls
	completed     bool
}

// sampler keeps the connections whose hash is lowest: the same ones at every
// point, however many there are.
type sampler struct {
	limit uint64
	all   []handshake
}

const sampleSize = 8192

func (s *sampler) add(t tuple, c *conn) {
	h := t.hash(c.isn)
	if h > s.limit {
		return
	}
	s.all = append(s.all, handshake{t, h, c.started, c.synAckAt, c.syns, c.synAcks, c.ttl, c.flags&completed != 0})
	for len(s.all) > 2*sampleSize {
		s.limit /= 2
		s.all = slices.DeleteFunc(s.all, func(x handshake) bool { return x.hash > s.limit })
	}
}

func (s *sampler) sort() {
	slices.SortStableFunc(s.all, func(a, b handshake) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
}

// interval is a closed range of clock offsets in nanoseconds.
type interval struct{ lo, hi int64 }

// far stands for "unbounded" and still survives additions.
const far = math.MaxInt64 / 16

func (i interval) bounded() bool { return i.lo > -far/2 && i.hi < far/2 }

func (i interval) plus(j interval) interval {
	return interval{max(-far, i.lo+j.lo), min(far, i.hi+j.hi)}
}

func (i interval) minus() interval { return interval{-i.hi, -i.lo} }

// disorder is added to measured offsets: captures with several queues put
// packets up to this far out of order.
const disorder = int64(time.Millisecond)

// calibration is what the captures are worth, compared with each other.
type calibration struct {
	surveys []*survey
	topo    *pathFinder
	pairs   map[[2]int]interval // q's clock minus p's, p < q, from shared handshakes
	offsets [][]interval        // the same for all, over third points too
	trials  []int               // handshake packets that must have passed the point
	misses  []int               // and are not in its capture
	blind   []int               // connections of which it has neither packet
}

func calibrate(surveys []*survey, topo *pathFinder) *calibration {
	c := &calibration{surveys: surveys, topo: topo, pairs: map[[2]int]interval{},
		trials: make([]int, len(surveys)), misses: make([]int, len(surveys)), blind: make([]int, len(surveys))}
	for p := range surveys {
		for q := p + 1; q < len(surveys); q++ {
			if i, ok := twoWay(surveys[p], surveys[q]); ok {
				c.pairs[[2]int{p, q}] = i
			}
		}
	}
	for p := range surveys {
		row := make([]interval, len(surveys))
		for q := range surveys {
			row[q] = c.findOffset(p, q)
		}
		c.offsets = append(c.offsets, row)
	}
	c.measureLoss()
	return c
}

// twoWay bounds the clock offset between two points by the smallest one-way
// differences in either direction (Paxson, SIGMETRICS '98): a SYN cannot reach
// q before it left p, nor a SYN-ACK p before it left q.
func twoWay(p, q *survey) (interval, bool) {
	out := interval{-far, far}
	found := false
	shared(p, q, func(x, y *handshake) {
		if x.syns == 1 && y.syns == 1 { // a retry's partner is not certain
			out.hi, found = min(out.hi, y.syn-x.syn), true
		}
		if x.synAcks == 1 && y.synAcks == 1 {
			out.lo, found = max(out.lo, y.synAck-x.synAck), true
		}
	})
	if out.lo > out.hi { // the clocks drift or step: no single offset fits
		out.lo, out.hi = out.hi, out.lo
	}
	if out.hi < far {
		out.hi += disorder
	}
	if out.lo > -far {
		out.lo -= disorder
	}
	return out, found
}

// offset bounds q's clock minus p's.
func (c *calibration) offset(p, q int) interval { return c.offsets[p][q] }

// findOffset works it out: directly, else over a third point, else because
// both are the same machine.
func (c *calibration) findOffset(p, q int) interval {
	if p == q {
		return interval{}
	}
	best := c.direct(p, q)
	if best.bounded() {
		return best
	}
	for via := range c.surveys {
		i := c.direct(p, via).plus(c.direct(via, q))
		if i.bounded() && (!best.bounded() || i.hi-i.lo < best.hi-best.lo) {
			best = i
		}
	}
	if !best.bounded() && c.surveys[p].point.Hop == c.surveys[q].point.Hop {
		return interval{-disorder, disorder} // one machine, one clock
	}
	return best
}

func (c *calibration) direct(p, q int) interval {
	if i, ok := c.pairs[[2]int{p, q}]; ok {
		return i
	}
	if i, ok := c.pairs[[2]int{q, p}]; ok {
		return i.minus()
	}
	return interval{-far, far}
}

// measureLoss counts handshake packets that must have passed a point, since
// the handshake completed, and are missing in its capture.
func (c *calibration) measureLoss() {
	limit := uint64(math.MaxUint64)
	for _, s := range c.surveys {
		limit = min(limit, s.samples.limit)
	}
	next := make([]int, len(c.surveys))
	for {
		hash, any := uint64(0), false
		for i, s := range c.surveys {
			if next[i] < len(s.samples.all) && s.samples.all[next[i]].hash <= limit {
				if h := s.samples.all[next[i]].hash; !any || h < hash {
					hash, any = h, true
				}
			}
		}
		if !any {
			return
		}
		seen := make([]*handshake, len(c.surveys))
		var proof *handshake
		var where int
		for i, s := range c.surveys {
			for next[i] < len(s.samples.all) && s.samples.all[next[i]].hash == hash {
				seen[i] = &s.samples.all[next[i]]
				next[i]++
			}
			if seen[i] != nil && seen[i].completed && proof == nil {
				proof, where = seen[i], i
			}
		}
		if proof != nil {
			c.countMisses(proof, where, seen)
		}
	}
}

func (c *calibration) countMisses(proof *handshake, where int, seen []*handshake) {
	for _, i := range c.topo.path(proof.tuple) {
		s := c.surveys[i]
		off := c.offset(where, i)
		from, to := s.coverage()
		if proof.syn != 0 && (proof.syn+off.hi < from || proof.syn+off.lo > to) || !off.bounded() && i != where {
			continue
		}
		c.trials[i] += 2
		switch h := seen[i]; {
		case h == nil:
			c.misses[i] += 2
			c.blind[i]++
		default:
			if h.syns == 0 {
				c.misses[i]++
			}
			if h.synAcks == 0 {
				c.misses[i]++
			}
		}
	}
}

// loss bounds the share of packets that the capture at point i misses.
func (c *calibration) loss(i int) (lo, hi float64) {
	s := c.surveys[i]
	lo, hi = wilson(c.misses[i], c.trials[i])
	if c.trials[i] < 16 && s.hasISB && s.stats.Dropped == 0 {
		// Nothing much to measure it by, but the capture says it lost nothing.
		hi = min(hi, unmeasuredLoss)
	}
	if d := s.stats.Dropped; s.hasISB && d > 0 {
		n := max(s.stats.Received, s.packets, 1)
		hi = min(1, max(hi, 2*float64(d)/float64(n)))
	}
	return lo, hi
}

// missedAll is the probability that the capture at point i misses all of n
// packets of one connection. If it misses both packets of a handshake more
// often than independent losses explain, it may see a subset of the flows only
// (a bond's member, one of several paths), and then n counts for nothing.
func (c *calibration) missedAll(i, n int) float64 {
	_, hi := c.loss(i)
	missed := math.Pow(hi, float64(n))
	expected := hi * hi * float64(c.trials[i]) / 2
	if float64(c.blind[i]) > expected+3*math.Sqrt(expected) {
		_, blind := wilson(c.blind[i], c.trials[i]/2)
		missed = max(missed, blind)
	}
	return missed
}

// unmeasuredLoss is assumed of a capture whose own counters are clean but
// which shares too few good connections with others to be measured.
const unmeasuredLoss = 0.1

// wilson is the 95 % score interval of k in n; with none seen, the rule of
// three gives the upper end.
func wilson(k, n int) (lo, hi float64) {
	if n == 0 {
		return 0, 1
	}
	if k == 0 {
		return 0, math.Min(1, 3/float64(n))
	}
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return math.Max(0, (mid-half)/(1+z*z/m)), math.Min(1, (mid+half)/(1+z*z/m))
}
