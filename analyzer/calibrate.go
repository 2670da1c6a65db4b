package analyzer

import (
	"cmp"
	"slices"
	"sort"
)

// handshake is a sampled connection, for measuring captures and clocks.
type handshake struct {
	tuple
	hash          uint64
	syn, synAck   int64
	syns, synAcks uint8
	ttl           ttls
	completed     bool
	epochs        [2]uint16 // of syn and synAck
	ends          [2]ending // by way
}

// ending is the first packet by which one side ended a connection: its first RST, or, where
// it sent none, its first FIN. The zero value is none.
type ending struct {
	time  int64
	seq   uint32
	epoch uint16
	reset bool
}

// take notes by which packet a side ends the connection.
func (e *ending) take(p *packet, epoch uint16) {
	reset := p.flags&flagRST != 0
	if e.time == 0 || reset && !e.reset {
		*e = ending{p.time, p.seq, epoch, reset}
	}
}

// is tells whether two points saw the same end.
func (e *ending) is(f *ending) bool {
	return e.time != 0 && f.time != 0 && e.seq == f.seq && e.reset == f.reset
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
	s.all = append(s.all, handshake{t, h, c.started, c.synAckAt, c.syns, c.synAcks, c.ttl, c.shook(), [2]uint16{c.synEpoch, c.answerEpoch}, c.ends})
	for len(s.all) > 2*sampleSize {
		s.limit /= 2
		s.all = slices.DeleteFunc(s.all, func(x handshake) bool { return x.hash > s.limit })
	}
}

func (s *sampler) sort() {
	slices.SortStableFunc(s.all, func(a, b handshake) int { return cmp.Compare(a.hash, b.hash) })
}

// calibration is what the captures are worth, compared with each other.
type calibration struct {
	surveys  []*survey
	topo     *pathFinder
	pairs    map[[2]int]*clockPair // q's clock minus p's, p < q
	routes   [][]int               // next point on the way from p's clock to q's; -1: not linked
	losses   []*lossModel          // by point
	compared []comparison
	proxy    proxyHabits
	hops     map[hopsAsked]hopCount // what was asked for: see hopsBetween
	transits map[wayBetween]int64   // what was asked for: see transitOf
	// What boxes between two points do to connections, p < q.
	translations map[[2]int]*translation
}

func calibrate(surveys []*survey, topo *pathFinder) *calibration {
	c := &calibration{surveys: surveys, topo: topo, pairs: map[[2]int]*clockPair{}, hops: map[hopsAsked]hopCount{}, transits: map[wayBetween]int64{}}
	c.measureClocks()
	c.findTranslations()
	c.link()
	for _, s := range surveys {
		c.losses = append(c.losses, newLossModel(s))
	}
	c.compareHandshakes()
	c.countCompared()
	c.proxy = c.measureProxy()
	return c
}

// newLossModel measures a capture by itself.
func newLossModel(s *survey) *lossModel {
	from, to := s.coverage()
	m := &lossModel{timeline: [2]lossTimeline{newLossTimeline(from, to), newLossTimeline(from, to)}, silentOK: s.hasISB && s.stats.Dropped == 0}
	for _, k := range s.chunks {
		for way := range k.seen {
			t := lossTally{float64(k.seen[way] + k.missed[way]), float64(k.missed[way])}
			m.own[way].add(t)
			m.timeline[way].add(k.min+(k.max-k.min)/2, t)
		}
	}
	if d := s.stats.Dropped; s.hasISB && d > 0 {
		m.counted = float64(d) / float64(max(s.stats.Received, s.packets+d))
	}
	return m
}

// compareHandshakes counts handshake packets that must have passed a point, since
// the handshake completed, and are missing in its capture.
func (c *calibration) compareHandshakes() {
	limit := ^uint64(0)
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
		var proofs []int
		for i, s := range c.surveys {
			for next[i] < len(s.samples.all) && s.samples.all[next[i]].hash == hash {
				seen[i] = &s.samples.all[next[i]]
				next[i]++
			}
			if seen[i] != nil && seen[i].completed && seen[i].syn != 0 {
				proofs = append(proofs, i)
			}
		}
		if len(proofs) > 0 {
			c.compare(proofs, seen)
		}
	}
}

// comparison is a completed handshake that must have passed a point.
type comparison struct {
	at     int
	lo, hi int64   // when the SYN was there
	missed [2]bool // the SYN-ACK, the SYN are not in the capture
}

// compare looks for a handshake at every point that it must have passed, since another
// point's capture proves it. What a point proves of itself does not count: those it lost
// much of would count, and the others would not.
func (c *calibration) compare(proofs []int, seen []*handshake) {
	on := c.topo.path(seen[proofs[0]].tuple)
	for _, i := range on {
		where := proofs[0]
		if where == i {
			if len(proofs) == 1 {
				continue
			}
			where = proofs[1]
		}
		proof := seen[where]
		if c.translations[[2]int{min(i, where), max(i, where)}] != nil || c.translated(on, i, proof.server) != nil {
			continue // it has other names for it
		}
		off := c.offset(where, i, proof.syn)
		from, to := c.surveys[i].coverage()
		x := comparison{at: i, lo: proof.syn + off.lo, hi: proof.syn + off.hi}
		if !off.bounded() || x.lo < from || x.hi > to {
			continue
		}
		switch h := seen[i]; {
		case h == nil:
			x.missed = [2]bool{true, true}
			c.surveys[i].vote(x.lo, x.hi)
		default:
			x.missed = [2]bool{down: h.synAcks == 0, up: h.syns == 0}
		}
		c.compared = append(c.compared, x)
	}
}

// vote says that a packet should have been seen between two moments.
func (s *survey) vote(lo, hi int64) {
	if g := s.gapAround(lo, hi); g != nil {
		g.missed++
	}
}

// gapAround returns the pause that holds both moments; nil for none.
func (s *survey) gapAround(lo, hi int64) *gap {
	i := sort.Search(len(s.gaps), func(i int) bool { return s.gaps[i].to > lo })
	if i < len(s.gaps) && s.gaps[i].from < lo && hi < s.gaps[i].to {
		return &s.gaps[i]
	}
	return nil
}

// countCompared turns the comparisons into rates. What falls into a hole of a
// capture says nothing of its loss elsewhere.
func (c *calibration) countCompared() {
	for _, x := range c.compared {
		if g := c.surveys[x.at].gapAround(x.lo, x.hi); g != nil && g.missed >= holeVotes {
			continue
		}
		m := c.losses[x.at]
		m.conns++
		if x.missed[up] && x.missed[down] {
			m.blind++
		}
		for way, missed := range x.missed {
			n := lossTally{trials: 1}
			if missed {
				n.misses = 1
			}
			m.shared[way].add(n)
			m.timeline[way].add(x.lo+(x.hi-x.lo)/2, n)
		}
	}
	c.compared = nil
}

// shared calls f for each sampled handshake that both points saw.
func shared(p, q *survey, f func(x, y *handshake)) {
	a, b := p.samples.all, q.samples.all
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch x, y := &a[i], &b[j]; {
		case x.hash < y.hash:
			i++
		case x.hash > y.hash:
			j++
		default:
			f(x, y)
			i, j = i+1, j+1
		}
	}
}

// sharedRequests calls f for each sampled request that both points saw, once.
func sharedRequests(p, q *survey, f func(x, y *anchor)) {
	sameKeys(p.anchors.all, q.anchors.all, func(xs, ys []*anchor) {
		if len(xs) == 1 && len(ys) == 1 {
			f(xs[0], ys[0])
		}
	})
}
