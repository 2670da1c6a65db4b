package analyzer

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// interval is a closed range of clock offsets in nanoseconds.
type interval struct{ lo, hi int64 }

// far stands for "unbounded" and still survives additions.
const far = math.MaxInt64 / 16

var unbounded = interval{-far, far}

func (i interval) bounded() bool { return i.lo > -far/2 && i.hi < far/2 }

func (i interval) plus(j interval) interval {
	return interval{max(-far, i.lo+j.lo), min(far, i.hi+j.hi)}
}

func (i interval) minus() interval { return interval{-i.hi, -i.lo} }

// disorder is added to measured offsets: captures with several queues put
// packets up to this far out of order. A capture that shows more is given more.
const disorder = int64(time.Millisecond)

// driftPart is the fastest that two clocks are taken to drift apart: one part
// in a thousand. adjtimex(2) lets a clock be slewed by 500 ppm, and two may be,
// in opposite directions; crystals are ten times better.
const driftPart = 1000

// order tells, in the terms of three-valued time, whether one moment came before
// another on a different clock.
type order uint8

const (
	undecidable order = iota
	proven            // before, whatever the clocks' offset inside its interval
	refuted           // not before
)

// bound says that at time t of one clock, the other's offset is at most (or, in
// a list of lower bounds, at least) d.
type bound struct{ t, d int64 }

// clockPair bounds the offset of q's clock minus p's over time, from pairs of
// messages in both directions: a SYN cannot reach q before it left p, nor a
// SYN-ACK p before it left q (Paxson, SIGMETRICS '98). A bound holds exactly at
// its own moment and loosens with driftPart around it; the tightest wins. That
// needs no model of the drift, and clocks that no offset fits show up as lo > hi.
//
//	offset ▲   ·  ·   upper bounds: SYNs
//	       │ ╲╱╲╱╲╱╲
//	       │ ╱╲╱╲╱╲╱
//	       │   ·  ·   lower bounds: SYN-ACKs
//	       └──────────▶ p's time
type clockPair struct {
	upper, lower []bound // by time
	noise        int64   // how much captured times may be out of order
}

// maxBounds is how many bounds of a kind are kept: one for each slice of the time.
const maxBounds = 512

func newClockPair(upper, lower []bound, noise int64) *clockPair {
	for i := range lower {
		lower[i].d = -lower[i].d
	}
	upper, lower = thin(upper), thin(lower)
	relax(upper)
	relax(lower)
	return &clockPair{upper, lower, noise}
}

// thin sorts bounds and keeps the tightest of each slice of time.
func thin(b []bound) []bound {
	slices.SortFunc(b, func(x, y bound) int { return cmp.Compare(x.t, y.t) })
	if len(b) <= maxBounds {
		return b
	}
	width := (b[len(b)-1].t-b[0].t)/maxBounds + 1
	out, start := b[:0], b[0].t
	for _, x := range b {
		if n := len(out); n > 0 && x.t-start < width {
			if x.d < out[n-1].d {
				out[n-1] = x
			}
			continue
		}
		start = x.t
		out = append(out, x)
	}
	return out
}

// relax lets each bound profit from its neighbours.
func relax(b []bound) {
	for i := 1; i < len(b); i++ {
		b[i].d = min(b[i].d, b[i-1].d+(b[i].t-b[i-1].t)/driftPart)
	}
	for i := len(b) - 2; i >= 0; i-- {
		b[i].d = min(b[i].d, b[i+1].d+(b[i+1].t-b[i].t)/driftPart)
	}
}

// tightest returns the bound at a time.
func tightest(b []bound, t int64) int64 {
	out := int64(far)
	i := sort.Search(len(b), func(i int) bool { return b[i].t >= t })
	if i < len(b) {
		out = min(out, b[i].d+(b[i].t-t)/driftPart)
	}
	if i > 0 {
		out = min(out, b[i-1].d+(t-b[i-1].t)/driftPart)
	}
	return out
}

// at bounds q's clock minus p's at p's time t.
func (c *clockPair) at(t int64) interval {
	i := interval{-tightest(c.lower, t), tightest(c.upper, t)}
	if i.lo > i.hi { // the clocks were set in between, or a path's delay is negative: neither is known
		i.lo, i.hi = i.hi, i.lo
	}
	if i.hi < far {
		i.hi += c.noise
	}
	if i.lo > -far {
		i.lo -= c.noise
	}
	return i
}

// offset bounds q's clock minus p's at time t of p, over third points if need be.
func (c *calibration) offset(p, q int, t int64) interval {
	sum := interval{}
	for at := p; at != q; {
		next := c.routes[at][q]
		if next < 0 {
			if at == p && c.surveys[p].point.Hop != "" && c.surveys[p].point.Hop == c.surveys[q].point.Hop {
				return interval{-disorder, disorder} // one machine, one clock
			}
			return unbounded
		}
		sum = sum.plus(c.direct(at, next, t+(sum.lo+sum.hi)/2))
		at = next
	}
	return sum
}

// direct is the offset between two points that share traffic.
func (c *calibration) direct(p, q int, t int64) interval {
	if pair := c.pairs[[2]int{p, q}]; pair != nil {
		return pair.at(t)
	}
	pair := c.pairs[[2]int{q, p}]
	if pair == nil {
		return unbounded
	}
	// The pair is indexed by q's time; offsets are small against its slices or
	// known from any of them.
	guess := pair.at(t)
	return pair.at(t - (guess.lo+guess.hi)/2).minus()
}

// before tells whether time t of p came before time u of q.
func (c *calibration) before(p int, t int64, q int, u int64) order {
	off := c.offset(p, q, t)
	switch {
	case !off.bounded():
		return undecidable
	case t+off.hi < u:
		return proven
	case t+off.lo > u:
		return refuted
	}
	return undecidable
}

// measureClocks measures all pairs of clocks.
func (c *calibration) measureClocks() {
	for p := range c.surveys {
		for q := p + 1; q < len(c.surveys); q++ {
			if pair := c.measure(p, q); pair != nil {
				c.pairs[[2]int{p, q}] = pair
			}
		}
	}
}

// link finds for each two points the shortest chain of pairs that share traffic
// in both directions.
func (c *calibration) link() {
	n := len(c.surveys)
	linked := func(p, q int) bool {
		pair := c.pairs[[2]int{min(p, q), max(p, q)}]
		return pair != nil && len(pair.upper) > 0 && len(pair.lower) > 0
	}
	c.routes = make([][]int, n)
	for q := range n { // breadth first from each target
		toward := make([]int, n)
		for i := range toward {
			toward[i] = -1
		}
		queue := []int{q}
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			for p := range n {
				if p != q && toward[p] < 0 && linked(p, at) {
					toward[p] = at
					queue = append(queue, p)
				}
			}
		}
		for p := range n {
			if c.routes[p] == nil {
				c.routes[p] = make([]int, n)
			}
			c.routes[p][q] = toward[p]
		}
	}
}

// measure bounds the offset between two points by what both saw: handshakes, or,
// across a proxy, requests and responses.
func (c *calibration) measure(p, q int) *clockPair {
	var upper, lower []bound
	a, b := c.surveys[p], c.surveys[q]
	shared(a, b, func(x, y *handshake) {
		if x.syns == 1 && y.syns == 1 { // a retry's partner is not certain
			upper = append(upper, bound{x.syn, y.syn - x.syn})
		}
		if x.synAcks == 1 && y.synAcks == 1 {
			lower = append(lower, bound{x.synAck, y.synAck - x.synAck})
		}
	})
	if len(upper)+len(lower) == 0 && a.point.Side != b.point.Side {
		sharedRequests(a, b, func(x, y *anchor) {
			upper = append(upper, bound{x.began, y.began - x.began})
			if x.replied != 0 && y.replied != 0 {
				lower = append(lower, bound{x.replied, y.replied - x.replied})
			}
		})
	}
	if len(upper)+len(lower) == 0 {
		return nil
	}
	return newClockPair(upper, lower, max(disorder, a.disorder, b.disorder)+a.tick()+b.tick())
}

// offsetFromFirst bounds the offset of a point's clock to the first point's over
// all the time that both cover, each at its own steady clock.
func (c *calibration) offsetFromFirst(q int) interval {
	if q == 0 || len(c.surveys[0].chunks) == 0 {
		return interval{}
	}
	from, to := c.surveys[0].coverage()
	out := c.offset(0, q, from)
	for _, t := range []int64{from + (to-from)/2, to} {
		if i := c.offset(0, q, t); i.bounded() {
			out.lo, out.hi = min(out.lo, i.lo), max(out.hi, i.hi)
		}
	}
	return out
}

// reportedOffset bounds the offset of two points by what the report says of each:
// against the first point, over all the time. Where a clock was set while it ran,
// the report's times are the file's own and say nothing so simple.
func (c *calibration) reportedOffset(p, q int) (interval, bool) {
	if c.surveys[p].wasSet() || c.surveys[q].wasSet() {
		return interval{}, false
	}
	a, b := c.offsetFromFirst(p), c.offsetFromFirst(q)
	return b.plus(a.minus()), a.bounded() && b.bounded()
}
