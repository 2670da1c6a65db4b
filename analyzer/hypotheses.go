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
	k := synKind(v)
	_, seen := v.furthest(k)
	if seen == nil {
		return nil
	}
	var out []Hypothesis
	add := func(what, why string, e ...Evidence) { out = append(out, Hypothesis{what, why, e}) }
	origin := v.clientName()
	first, tries := v.origin(k)
	add(fmt.Sprintf("%s never sent the SYN", origin), fmt.Sprintf("%s saw %s", v.point(first), count(len(tries))), v.tries(first, tries, "SYN")...)
	from := ""
	if last >= 0 && last < len(v.steps)-1 {
		from = v.point(last)
	}
	for q := 1; q < len(v.steps); q++ {
		p := q - 1
		if p == last {
			continue
		}
		what := v.segmentHypothesis(p, q)
		switch {
		case p < last || last >= len(v.steps):
			if g := v.laterSighting(q, k); g.Kind != "" {
				add(what, "the SYN was seen beyond it, at "+g.Point, g)
			}
		case proven:
			_, lastSeen := v.furthest(k)
			add(what, "the SYN was lost before: "+from+" saw it last", v.absence(last, p, lastSeen, k).evidence...)
		}
	}
	end := len(v.steps) - 1
	if last == end && v.atServer(end) {
		return out // the server's silence is the verdict, or open
	}
	silent := fmt.Sprintf("%s received the SYN and did not answer", v.serverName())
	switch {
	case last >= len(v.steps):
		at, g := v.origin(synAckKind(v))
		add(silent, v.point(at)+" saw its answer", v.frame(at, g[0], "SYN-ACK"))
	case proven && v.atServer(end):
		a := v.absence(last, end, seen, k)
		if a.doubt == "" {
			why, e := v.point(end)+" saw no packet of this connection", a.evidence
			if g := v.before(end, last, seen[0]); g != nil {
				ago := time.Duration(seen[0].time - g.time).Round(100 * time.Millisecond)
				why += fmt.Sprintf("; its last of this 5-tuple is of %v earlier", ago)
				e = append(e, v.frame(end, g, "last packet of an earlier connection of the 5-tuple"))
			}
			add(silent, why, e...)
		} else {
			add(silent, "the SYN was lost before it, after "+from, v.absence(last, last+1, seen, k).evidence...)
		}
	case proven && last < end:
		add(silent, "the SYN was lost before it, after "+from, v.absence(last, last+1, seen, k).evidence...)
	}
	return out
}

// segmentHypothesis puts a loss between two neighbouring steps in words.
func (v *flowView) segmentHypothesis(p, q int) string {
	a, b := v.hop(p), v.hop(q)
	switch {
	case a == b:
		return fmt.Sprintf("%s received the SYN and did not forward it", a)
	case v.atClient(p):
		return fmt.Sprintf("%s sent the SYN, %s never received it", a, b)
	}
	return fmt.Sprintf("%s forwarded the SYN, %s never received it", a, b)
}

// laterSighting cites the SYN at step q or the first one after it.
func (v *flowView) laterSighting(q int, k kind) Evidence {
	for ; q < len(v.steps); q++ {
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
