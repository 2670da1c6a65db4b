package analyzer

import (
	"cmp"
	"slices"
	"time"
)

// steadyClocks finds where a capture's clock was set while it ran, and takes
// the steps out of everything the survey noted. One capture alone cannot tell
// a clock set forward from a silence; two that share connections can: their
// offset changes.
//
//	q's time − p's ▲        ·····   30 s more: q's clock was set, or p's
//	               │ ·····
//	               └─────┼────────▶ frames; at ┼ one of the two files jumps
//
// The point whose file jumps least is believed, and the others are held against it, then
// against each other: first those of which it is certain then how their clocks went. What a
// hop held back is seen late by all points behind it, and they agree with each other.
func steadyClocks(surveys []*survey) {
	order := make([]*survey, len(surveys))
	copy(order, surveys)
	slices.SortStableFunc(order, func(a, b *survey) int {
		return cmp.Or(cmp.Compare(a.backward(), b.backward()), cmp.Compare(len(a.epochs), len(b.epochs)), cmp.Compare(b.packets, a.packets))
	})
	var believed []*survey
	for len(order) > 0 {
		k, guesses := choose(order, believed)
		s := order[k]
		order = slices.Delete(order, k, k+1)
		if len(s.epochs) > 1 {
			s.decideSteps(guesses)
		}
		s.takeOutSteps()
		believed = append(believed, s)
	}
}

// choose says whom to believe next, and how its clock went: one of which that is certain;
// one that shares traffic with a point that is believed; or else, as it is linked to none so
// far, one that starts a group of its own.
func choose(order, believed []*survey) (at int, guesses []stepGuess) {
	at = -1
	for i, s := range order {
		partners := partnersOf(s, believed)
		if len(partners) == 0 {
			continue
		}
		if len(s.epochs) < 2 { // its clock did not jump: there is nothing to guess
			return i, nil
		}
		var mine []stepGuess
		for _, r := range partners {
			mine = surest(mine, guessSteps(s.offsetsFrom(r)))
		}
		if !slices.ContainsFunc(mine, func(g stepGuess) bool { return g.any && !g.sure }) {
			return i, mine
		}
		if at < 0 {
			at, guesses = i, mine
		}
	}
	if at < 0 {
		return 0, make([]stepGuess, len(order[0].epochs))
	}
	return at, guesses
}

// surest takes of each epoch the guess that is more certain, the first of two alike.
func surest(a, b []stepGuess) []stepGuess {
	if a == nil {
		return b
	}
	for i := range a {
		if b[i].sure && !a[i].sure || b[i].any && !a[i].any {
			a[i] = b[i]
		}
	}
	return a
}

// backward counts the places where a file's time runs back.
func (s *survey) backward() (n int) {
	for i := 1; i < len(s.epochs); i++ {
		if s.epochs[i].min < s.epochs[i-1].min {
			n++
		}
	}
	return n
}

// partnersOf returns the believed points that s shares traffic with, the one it shares most
// with first.
func partnersOf(s *survey, believed []*survey) []*survey {
	shares := map[*survey]int{}
	var out []*survey
	for _, r := range believed {
		n := 0
		shared(s, r, func(_, _ *handshake) { n++ })
		if n == 0 {
			sharedRequests(s, r, func(_, _ *anchor) { n++ })
		}
		if n > 0 {
			shares[r] = n
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *survey) int { return cmp.Compare(shares[b], shares[a]) })
	return out
}

// minStep is what a difference between the offsets of two epochs must exceed to
// be a step of the clock and no network delay.
const minStep = int64(500 * time.Millisecond)

// offsetsFrom compares the epochs of s with a point whose clock is steady, by way.
func (s *survey) offsetsFrom(r *survey) [][2]middle {
	offsets := make([][2]middle, len(s.epochs))
	shared(s, r, func(x, y *handshake) {
		if x.syns == 1 && y.syns == 1 {
			offsets[x.epochs[0]][up].add(x.syn, y.syn)
		}
		if x.synAcks == 1 && y.synAcks == 1 {
			offsets[x.epochs[1]][down].add(x.synAck, y.synAck)
		}
		for way := range x.ends {
			if e, f := &x.ends[way], &y.ends[way]; e.is(f) {
				offsets[e.epoch][way].add(e.time, f.time)
			}
		}
	})
	sharedRequests(s, r, func(x, y *anchor) {
		offsets[x.epochs[1]][up].add(x.began, y.began)
		if x.replied != 0 && y.replied != 0 {
			offsets[x.epochs[2]][down].add(x.replied, y.replied)
		}
	})
	return offsets
}

// decideSteps makes steps of guesses.
func (s *survey) decideSteps(guesses []stepGuess) {
	previous := int64(0)
	for i := range s.epochs {
		e, g := &s.epochs[i], guesses[i]
		switch {
		case g.sure:
			e.step = g.step
		case g.any && !near(g.step, previous):
			e.step, e.away = settleStep(g.step, previous, guesses[i+1:])
		case i > 0 && !g.any && e.min < s.epochs[i-1].min: // back in time, and nobody to compare with
			e.step, e.away = e.min-s.highOf(i-1)+previous, true
		default:
			e.step = previous
		}
		previous = e.step
	}
}

// stepGuess is by how much the clock seems to be off in an epoch, from how it was at first.
type stepGuess struct {
	step int64
	any  bool // there is something to go by
	sure bool // … and no packet that a hop held for so long explains it
}

// guessSteps goes by what passed in each epoch. A clock that was set is as far off for what
// comes as for what goes, and goes on to be; a hop that holds packets back delays those of one
// way. A capture that has no other way goes by whether it let them go together.
func guessSteps(offsets [][2]middle) []stepGuess {
	out := make([]stepGuess, len(offsets))
	captured := func(way int) int {
		return slices.IndexFunc(offsets, func(m [2]middle) bool { return len(m[way].all) > 0 })
	}
	for way := range 2 {
		base := captured(way)
		if base < 0 {
			continue
		}
		oneWay := captured(1-way) < 0
		first := offsets[base][way].median()
		for i := base; i < len(offsets); i++ {
			m := &offsets[i][way]
			if len(m.all) == 0 {
				continue
			}
			g, step := &out[i], m.median()-first
			if near(step, 0) {
				step = 0
			}
			switch n := len(m.all); {
			case !g.any:
				*g = stepGuess{step: step, any: true, sure: step == 0 || oneWay && n >= 3 && near(m.all[n/4], m.all[3*n/4]) && !near(m.first, m.last)}
			case (g.step < 0) != (step < 0):
				*g = stepGuess{any: true, sure: true}
			default:
				if max(step, -step) < max(g.step, -g.step) {
					g.step = step
				}
				g.sure = true
			}
		}
	}
	return out
}

// settleStep decides between a step that few packets suggest and none, by what comes later:
// a clock that was set stays so.
func settleStep(step, previous int64, later []stepGuess) (settled int64, away bool) {
	for _, g := range later {
		switch {
		case !g.sure:
		case near(g.step, step):
			return step, false
		case near(g.step, previous):
			return previous, false
		}
	}
	return step, true
}

// near tells whether what lies between two offsets may be a delay.
func near(a, b int64) bool { return a-b <= minStep && b-a <= minStep }

// highOf is the latest raw time of an epoch, as well as the chunks tell.
func (s *survey) highOf(i int) int64 {
	high := s.epochs[i].min
	for _, c := range s.chunks {
		if s.epochOf(c.frame) == i {
			high = max(high, c.max)
		}
	}
	return high
}

// middle collects offsets; the median of SYNs and SYN-ACKs is within a delay of
// the truth, however late some of them were.
type middle struct {
	all         []int64
	first, last int64 // when they were taken, by the capture's own clock
}

func (m *middle) add(here, there int64) {
	if len(m.all) == 0 {
		m.first, m.last = here, here
	}
	m.first, m.last = min(m.first, here), max(m.last, here)
	m.all = append(m.all, here-there)
}

func (m *middle) median() int64 {
	slices.Sort(m.all)
	return m.all[len(m.all)/2]
}

// takeOutSteps corrects what the survey noted with times of its own clock.
func (s *survey) takeOutSteps() {
	steps := slices.ContainsFunc(s.epochs, func(e clockEpoch) bool { return e.step != 0 })
	s.correct()
	if !steps {
		return
	}
	fix := func(t *int64, epoch uint16) {
		if *t != 0 {
			*t -= s.epochs[epoch].step
		}
	}
	for i := range s.samples.all {
		h := &s.samples.all[i]
		fix(&h.syn, h.epochs[0])
		fix(&h.synAck, h.epochs[1])
		for way := range h.ends {
			fix(&h.ends[way].time, h.ends[way].epoch)
		}
	}
	for i := range s.conns.len() {
		c := s.conns.at(i)
		fix(&c.started, c.synEpoch)
		if c.connection != nil {
			fix(&c.synAckAt, c.answerEpoch)
		}
	}
	for _, a := range s.anchors.all {
		fix(&a.opened, a.epochs[0])
		fix(&a.began, a.epochs[1])
		fix(&a.replied, a.epochs[2])
	}
	for i := range s.odd {
		fix(&s.odd[i].started, s.odd[i].epochs[0])
		fix(&s.odd[i].last, s.odd[i].epochs[1])
	}
	for i := range s.resets {
		fix(&s.resets[i].time, s.resets[i].epoch)
	}
	if s.log != nil {
		for _, list := range [][]failure{s.log.failures, s.log.pending} {
			for i := range list {
				f := &list[i]
				fix(&f.start, f.epochs[0])
				fix(&f.began, f.epochs[1])
				fix(&f.ended, f.epochs[2])
				if x := f.attempt; x != nil {
					fix(&x.begun, x.epochs[0])
					fix(&x.last, x.epochs[1])
				}
			}
		}
	}
}

// steadyAs takes over what an earlier survey of the same captures found out about
// their clock and their holes.
func (s *survey) steadyAs(was *survey) {
	for i := range s.epochs {
		s.epochs[i].step, s.epochs[i].away = was.epochs[i].step, was.epochs[i].away
	}
	s.takeOutSteps()
	for i := range s.gaps {
		s.gaps[i].missed = was.gaps[i].missed
	}
}
