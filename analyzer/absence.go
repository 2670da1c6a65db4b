package analyzer

import (
	"fmt"
	"slices"
	"time"
)

// absent is what it means that a step did not see packets that its neighbour saw.
type absent struct {
	evidence []Evidence
	missed   float64 // probability that the capture missed them all
	tries    int     // how many of them it should have seen
	doubt    string  // why the absence proves nothing; "" if it does
	settle   string  // what would, then
}

const (
	transit   = int64(50 * time.Millisecond) // a packet's way between neighbouring points, generously; see transitOf
	holeVotes = 3                            // packets elsewhere that make a pause a hole in the capture
	// absenceSlack is how much longer than it must an absence is looked for, at either end.
	absenceSlack = int64(250 * time.Millisecond)

	almost = 0.9999 // confidence is never higher

	// A hop is named if the chance that the capture missed what it should have seen
	// is below this: a wrong hop costs more than many inconclusive verdicts. Where a
	// capture is known to lose packets, losses may come in bursts too short to see,
	// and their independence is taken for less.
	doubtful      = 1e-3
	doubtfulLossy = 1e-4
)

// absence examines why step q does not have the packets seen at step p.
func (v *flowView) absence(p, q int, seen []*sighting, k kind) absent {
	s := v.steps[q].s
	name := s.point.Name
	cal := v.a.cal
	out := absent{missed: 1}
	say := func(from, to uint64) {
		what := "no " + k.name
		if k.is != nil {
			what += " of this connection"
		}
		out.evidence = s.absent(v.steps[q].filter(k), what, from, to)
	}
	from, to := seen[0].time, seen[len(seen)-1].time
	off := cal.offset(v.steps[p].at, v.steps[q].at, from)
	if !off.bounded() {
		say(1, s.lastFrame)
		out.doubt = fmt.Sprintf("the clocks of %s and %s cannot be compared", v.point(p), name)
		out.settle = fmt.Sprintf("captures at %s and %s that share some good connections", v.point(p), name)
		return out
	}
	slack := absenceSlack
	begin, end := s.coverage()
	previous := int64(-far)
	late := cal.transitOf(v.steps[p].at, v.steps[q].at, k.toServer)
	var times []int64
	low, high := int64(far), int64(-far)
	for _, g := range seen {
		off := cal.offset(v.steps[p].at, v.steps[q].at, g.time)
		a, b := g.time+off.lo, g.time+off.hi+late
		low, high = min(low, a-slack), max(high, b+slack)
		if g.time-previous < disorder {
			continue // a copy, as SPAN ports make them
		}
		previous = g.time
		if s.conns.len() > 0 && a >= begin && b <= end && !s.inHole(a, b) {
			times = append(times, g.time+(off.lo+off.hi)/2)
		}
	}
	if said, ok := cal.reportedOffset(v.steps[p].at, v.steps[q].at); p == q {
		say(s.frames(low, high, s.lastFrame))
	} else if ok { // also for who knows no more of the clocks than the report says
		say(s.frames(min(low, from+said.lo-slack), max(high, to+said.hi+slack), s.lastFrame))
	} else {
		say(1, s.lastFrame)
	}
	out.tries = len(times)
	at := stamp(from).Format(clockFormat) + " to " + stamp(to).Format(clockFormat)
	switch {
	case out.tries == 0:
		out.doubt = s.covers()
		out.settle = fmt.Sprintf("a capture at %s that covers %s", name, at)
	case s.unsteady():
		out.doubt = fmt.Sprintf("the clock of %s was set while it ran, and nothing tells by how much", name)
		out.settle = fmt.Sprintf("captures at %s and its neighbours that share good connections before and after its clock was set", name)
	default:
		out.missed = cal.losses[v.steps[q].at].missedAll(wayOf(k.toServer), times)
		v.weigh(&out, q, k)
	}
	if out.doubt != "" && s.damage != nil {
		out.settle = fmt.Sprintf("the whole of %s, which is cut off", s.point.File)
	}
	return out
}

// weigh doubts an absence that the capture's own loss explains too well.
func (v *flowView) weigh(out *absent, q int, k kind) {
	loss := v.a.cal.losses[v.steps[q].at]
	if out.missed <= loss.limit(wayOf(k.toServer)) {
		return
	}
	name := v.point(q)
	_, hi := loss.bounds()
	out.doubt = fmt.Sprintf("for all that is known the capture at %s may itself miss up to %.2g %% of the packets, and the absence of %d proves too little then", name, 100*hi, out.tries)
	out.settle = fmt.Sprintf("captures at all points of more good connections, which measure what the one at %s loses, or one that loses less", name)
}

const clockFormat = "15:04:05.000"

func (s *survey) covers() string {
	if s.conns.len() == 0 {
		return "the present one has no connection at all, so nothing shows that it was listening"
	}
	from, to := s.coverage()
	out := fmt.Sprintf("the present one covers %s to %s", stamp(from).Format(clockFormat), stamp(to).Format(clockFormat))
	for _, g := range s.gaps {
		if g.missed >= holeVotes {
			out += fmt.Sprintf(", but for a hole from %s to %s", stamp(g.from).Format(clockFormat), stamp(g.to).Format(clockFormat))
			break
		}
	}
	return out
}

// inHole tells whether the capture was blind in part of from…to: it paused
// while other points saw traffic that should have been here.
func (s *survey) inHole(from, to int64) bool {
	return slices.ContainsFunc(s.gaps, func(g gap) bool { return g.missed >= holeVotes && g.from < to && g.to > from })
}
