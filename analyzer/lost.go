package analyzer

import (
	"fmt"
	"slices"
)

// lost concludes that packets of a kind were lost after step p, where seen
// were the last sightings.
func (v *flowView) lost(p int, seen []*sighting, k kind) *conclusion {
	c := &conclusion{direction: ToServer, evidence: v.tries(p, seen, k.name)}
	q := next(p, k.toServer)
	if !k.toServer {
		c.direction = ToClient
	}
	c.between = []string{v.point(p)}
	if q < 0 || q >= len(v.steps) {
		c.settle = v.beyond(p, k)
		return c
	}
	c.between = append(c.between, v.point(q))
	absent := v.absence(p, q, seen, k)
	hop, missing := v.segment(min(p, q), max(p, q))
	led, elsewhere := "", false
	if k.toServer {
		led, elsewhere = v.ledElsewhere(p, seen[0])
	}
	switch {
	case v.steps[p].s.mixed() && !slices.ContainsFunc(seen, func(g *sighting) bool { return g.passed }):
		c.settle = fmt.Sprintf("a capture of each interface by itself in place of %s: it shows packets before and after a router in one file, and this one on one side only", v.steps[p].s.point.File)
		return c
	case elsewhere:
		c.settle = led
		return c
	case missing != "": // without it even a certain absence would name nobody
		c.settle = missing
		return c
	case absent.doubt != "":
		c.settle = absent.settle + ": " + absent.doubt
		return c
	}
	c.evidence = append(c.evidence, absent.evidence...)
	c.hop = hop
	c.confidence = 1 - absent.missed
	c.certainty = c.confidence
	return c
}

// beyond says what to capture where the path has no further point.
func (v *flowView) beyond(p int, k kind) string {
	what, end := v.server.Addr().String(), "server"
	if !k.toServer {
		what, end = v.client.Addr().String(), "client"
	}
	if v.leavesHop(p) == k.toServer {
		return fmt.Sprintf("a capture on %s, the %s's end of the connection", what, end)
	}
	return fmt.Sprintf("a capture on %s's %s-facing interface, or on %s", v.hop(p), end, what)
}
