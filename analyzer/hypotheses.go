package analyzer

import (
	"fmt"
	"time"
)

// hypotheses are the rival explanations of an unanswered SYN, eliminated: all
// places along the path but the one after step last, where the SYN was seen
// last. Those further on fall only if that place is proven; if the SYN got
// everywhere, last is len(steps).
func (v *flowView) hypotheses(last int, proven bool) []Hypothesis {
	return v.rivals(synKind(v), last, proven)
}

// rivals does the same for any kind of packet, in its direction of travel.
func (v *flowView) rivals(k kind, last int, proven bool) []Hypothesis {
	at, seen := v.furthest(k)
	if at < 0 {
		return nil
	}
	l := &ladder{v: v, k: k, last: last, seen: seen, proven: proven}
	first, tries := v.origin(k)
	l.add(fmt.Sprintf("%s never sent the %s", v.sender(k.toServer), k.name), fmt.Sprintf("%s saw %s", v.point(first), count(len(tries))), v.tries(first, tries, k.name)...)
	for p := first; ; p = next(p, k.toServer) {
		q := next(p, k.toServer)
		if q < 0 || q >= len(v.steps) {
			break
		}
		if p != last {
			l.segment(p, q)
		}
	}
	l.end()
	return l.out
}

// ladder gathers the hypotheses about one packet from its sender on.
type ladder struct {
	v      *flowView
	k      kind
	last   int
	seen   []*sighting // where it was seen last
	proven bool
	out    []Hypothesis
}

func (l *ladder) add(what, why string, e ...Evidence) {
	l.out = append(l.out, Hypothesis{what, why, e})
}

// before tells whether a step lies before the place where the packet was lost.
func (l *ladder) before(p int) bool {
	return l.last >= len(l.v.steps) || l.k.toServer && p < l.last || !l.k.toServer && p > l.last
}

func (l *ladder) segment(p, q int) {
	what := l.v.segmentHypothesis(p, q, l.k)
	switch {
	case l.before(p):
		if g := l.v.laterSighting(q, l.k); g.Kind != "" {
			l.add(what, "the "+l.k.name+" was seen beyond it, at "+g.Point, g)
		}
	case l.proven:
		l.add(what, "the "+l.k.name+" was lost before: "+l.v.point(l.last)+" saw it last", l.v.absence(l.last, p, l.seen, l.k).evidence...)
	}
}

// end is the far end's own part: it received the packet and did nothing.
func (l *ladder) end() {
	v, end := l.v, len(l.v.steps)-1
	if !l.k.toServer || l.last == end && v.atServer(end) {
		return // its silence is the verdict, or open
	}
	silent := fmt.Sprintf("%s received the %s and did not answer", v.serverName(), l.k.name)
	switch {
	case l.last >= len(v.steps):
		if at, g := v.origin(synAckKind(v)); at >= 0 {
			l.add(silent, v.point(at)+" saw its answer", v.frame(at, g[0], "SYN-ACK"))
		}
	case l.proven && v.atServer(end):
		a := v.absence(l.last, end, l.seen, l.k)
		if a.doubt != "" {
			l.add(silent, "the "+l.k.name+" was lost before it, after "+v.point(l.last), v.absence(l.last, l.last+1, l.seen, l.k).evidence...)
			return
		}
		why, e := v.point(end)+" saw no such packet of this connection", a.evidence
		if l.k.name == "SYN" {
			why = v.point(end) + " saw no packet of this connection"
		}
		if g := v.before(end, l.last, l.seen[0]); g != nil && l.k.name == "SYN" {
			ago := time.Duration(l.seen[0].time - g.time).Round(100 * time.Millisecond)
			why += fmt.Sprintf("; its last of this 5-tuple is of %v earlier", ago)
			e = append(e, v.frame(end, g, "last packet of an earlier connection of the 5-tuple"))
		}
		l.add(silent, why, e...)
	case l.proven && l.last < end:
		l.add(silent, "the "+l.k.name+" was lost before it, after "+v.point(l.last), v.absence(l.last, l.last+1, l.seen, l.k).evidence...)
	}
}

// segmentHypothesis puts a loss between two neighbouring steps in words.
func (v *flowView) segmentHypothesis(p, q int, k kind) string {
	a, b := v.hop(p), v.hop(q)
	switch {
	case a == b:
		return fmt.Sprintf("%s received the %s and did not forward it", a, k.name)
	case k.toServer && v.atClient(p) || !k.toServer && v.atServer(p):
		return fmt.Sprintf("%s sent the %s, %s never received it", a, k.name, b)
	}
	return fmt.Sprintf("%s forwarded the %s, %s never received it", a, k.name, b)
}

// laterSighting cites the packet at step q or the first one after it.
func (v *flowView) laterSighting(q int, k kind) Evidence {
	for ; q >= 0 && q < len(v.steps); q = next(q, k.toServer) {
		if g := v.steps[q].of(k); len(g) > 0 {
			return v.frame(q, g[0], k.name)
		}
	}
	return Evidence{}
}

func count(n int) string {
	if n == 1 {
		return "it once"
	}
	return fmt.Sprintf("it %d times", n)
}
