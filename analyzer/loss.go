package analyzer

import (
	"math"
	"time"
)

// lossTally counts packets that must have passed a point, and those of them
// that its capture does not have.
type lossTally struct{ trials, misses float64 }

func (t *lossTally) add(u lossTally) { t.trials += u.trials; t.misses += u.misses }

// missedAll is the probability that a capture which missed k of n packets misses
// m more, all of them: the posterior predictive of a binomial with Jeffreys'
// prior, Beta(k+½, n−k+½). With n = 0 it is what one knows of nothing.
func (t lossTally) missedAll(m int) float64 {
	p, a, n := 1.0, t.misses+0.5, t.trials+1
	for j := range m {
		p *= (a + float64(j)) / (n + float64(j))
	}
	return p
}

// interval is the 95 % score interval of the share (Wilson 1927); with none
// seen, the rule of three gives the upper end.
func (t lossTally) interval() (lo, hi float64) {
	if t.trials == 0 {
		return 0, 1
	}
	if t.misses == 0 {
		return 0, math.Min(1, 3/t.trials)
	}
	const z = 1.96
	n := t.trials
	p := math.Min(1, t.misses/n)
	mid := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return math.Max(0, (mid-half)/(1+z*z/n)), math.Min(1, (mid+half)/(1+z*z/n))
}

// lossModel is what is known of one capture's own loss. It is measured three
// ways: from bytes that were acknowledged and are not in the file, from
// handshakes that other points have, and from the file's own drop counters.
type lossModel struct {
	own      [2]lossTally // by what was acknowledged; by direction
	shared   [2]lossTally // handshake packets of connections that completed
	blind    int          // connections of which the capture has neither packet
	conns    int          // out of so many
	counted  float64      // share the capture itself says it dropped
	silentOK bool         // it has counters, and they say none
	timeline [2]lossTimeline
}

// lossTimeline holds tallies by time, so that a burst is seen where it is.
type lossTimeline struct {
	from  int64
	width uint64 // ns
	bins  []lossTally
}

const (
	lossBin     = int64(250 * time.Millisecond)
	maxLossBins = 1 << 16
	// lossNear is how far around a moment the local rate is taken.
	lossNear = int64(500 * time.Millisecond)
)

func newLossTimeline(from, to int64) lossTimeline {
	span := uint64(max(from, to)) - uint64(from) // times of a damaged file may be anything
	width := max(uint64(lossBin), span/maxLossBins+1)
	return lossTimeline{from, width, make([]lossTally, span/width+1)}
}

// bin is where a moment falls; the first or last one for a moment outside.
func (l *lossTimeline) bin(t int64) int {
	if t <= l.from {
		return 0
	}
	return int(min((uint64(t)-uint64(l.from))/l.width, uint64(len(l.bins)-1)))
}

func (l *lossTimeline) add(t int64, n lossTally) { l.bins[l.bin(t)].add(n) }

// near sums the tallies around a moment.
func (l *lossTimeline) near(t int64) (sum lossTally) {
	for i := l.bin(t - lossNear); i <= l.bin(t+lossNear); i++ {
		sum.add(l.bins[i])
	}
	return sum
}

// all pools the two measurements of a direction; if connections are missing far
// more often than packets of connections that are there, only those count.
func (m *lossModel) all(way int) lossTally {
	sum := m.own[way]
	sum.add(m.shared[way])
	if lo, _ := m.shared[way].interval(); m.shared[way].trials > 0 {
		if _, hi := m.own[way].interval(); lo > hi && m.own[way].trials > 0 {
			return m.shared[way]
		}
	}
	return sum
}

// at is the tally that applies at a moment: the whole capture's, or what was
// measured around it if that is clearly worse.
func (m *lossModel) at(way int, t int64) lossTally {
	global, local := m.all(way), m.timeline[way].near(t)
	if lo, _ := local.interval(); local.misses >= 2 {
		if _, hi := global.interval(); lo > hi {
			return local
		}
	}
	return global
}

// missedAll is the probability that the capture misses packets of one connection
// and direction at all these times. If it misses both packets of a handshake more
// often than independent losses explain, it may see a subset of the flows only
// (a bond's member, one of several paths), and then their number counts for nothing.
// A capture of one direction only (asymmetric routing, half of a tap) shows as one
// that loses all of the other.
func (m *lossModel) missedAll(way int, times []int64) float64 {
	if len(times) == 0 {
		return 1
	}
	worst := m.at(way, times[0])
	for _, t := range times[1:] {
		if l := m.at(way, t); l.missedAll(1) > worst.missedAll(1) {
			worst = l
		}
	}
	if worst.misses == 0 && !m.lossy(1-way) { // then the directions do not differ
		worst.add(m.all(1 - way))
	}
	worst.add(m.vouched(worst))
	missed := worst.missedAll(len(times))
	if m.counted > 0 {
		missed = max(missed, math.Pow(min(1, 2*m.counted), float64(len(times))))
	}
	rate := worst.misses / max(1, worst.trials)
	expected := rate * rate * float64(m.conns)
	if float64(m.blind) > 1+expected+3*math.Sqrt(expected) {
		missed = max(missed, lossTally{float64(m.conns), float64(m.blind)}.missedAll(1))
	}
	return missed
}

// lossy tells whether the capture is known to lose packets of a direction at all.
func (m *lossModel) lossy(way int) bool {
	return m.own[way].misses+m.shared[way].misses > 0 || m.counted > 0
}

// limit is how likely the capture may have missed what it should have seen for its
// absence to prove anything.
func (m *lossModel) limit(way int) float64 {
	if m.lossy(way) {
		return doubtfulLossy
	}
	return doubtful
}

// What a clean drop counter (PACKET_STATISTICS of packet(7), written into the file)
// is worth, in packets none of which was missed: little where nothing else measures
// the loss, for a counter tells only of what was lost where it counts; much where
// enough packets were measured and none of them was missed either.
const (
	unmeasuredTrials = 16
	enoughMeasured   = 300
	measuredTrials   = 1000
)

// vouched is what the capture's own drop counter adds to what was measured.
func (m *lossModel) vouched(measured lossTally) (t lossTally) {
	switch {
	case !m.silentOK:
	case measured.trials < unmeasuredTrials:
		t.trials = unmeasuredTrials
	case measured.misses == 0 && measured.trials >= enoughMeasured:
		t.trials = measuredTrials
	}
	return t
}

// bounds is the share of packets that the capture misses, as an interval.
func (m *lossModel) bounds() (lo, hi float64) {
	t := m.all(up)
	t.add(m.all(down))
	if t.trials < unmeasuredTrials {
		t.add(m.vouched(t))
	}
	lo, hi = t.interval()
	return lo, min(1, max(hi, 2*m.counted))
}
