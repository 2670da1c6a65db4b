package ladder

import "time"

// corrected is when a packet was seen, by the first point's clock.
func (b *builder) corrected(g *sight) int64 { return g.time - int64(b.columns[g.column].Clock) }

// disorder is how far packets may be out of order in a capture, and clocks drift apart
// while a request lasts.
const disorder = int64(time.Millisecond)

// refineClocks narrows what the report knows of each clock by the request's own packets:
// none can have been at a point before it was at the one nearer to its sender. That
// leaves an error of about a packet's way, where the report allows for more.
func (b *builder) refineClocks(rows []*row) {
	for q := 1; q < len(b.columns); q++ {
		low, high := int64(0), int64(0)
		hasLow, hasHigh := false, false
		for _, r := range rows {
			p, g := r.neighbour(q)
			if p == nil {
				continue
			}
			d := g.time - b.corrected(p) // at least the clock's offset, if the packet came from p
			if r.ToServer {
				if !hasHigh || d < high {
					high, hasHigh = d, true
				}
			} else if !hasLow || d > low {
				low, hasLow = d, true
			}
		}
		c := &b.columns[q]
		spread := b.spread[q]
		at := int64(c.Clock)
		switch {
		case hasLow && hasHigh && low-high > 2*disorder: // the clock was set meanwhile
		case !c.Known && !(hasLow && hasHigh):
		case c.Known && (hasLow && low > at+spread || hasHigh && high < at-spread):
		case !c.Known:
			c.Clock, c.Known, b.spread[q] = time.Duration(low+(high-low)/2), true, abs(high-low)/2
		default:
			switch {
			case hasLow && hasHigh:
				at = low + (high-low)/2
				b.spread[q] = min(spread, abs(high-low)/2)
			case hasLow:
				at = max(at, low)
			case hasHigh:
				at = min(at, high)
			}
			c.Clock = time.Duration(at)
		}
	}
}

// neighbour returns the packet at column q and at the nearest column before it; nil if
// one of them has not seen it.
func (r *row) neighbour(q int) (before, at *sight) {
	for _, g := range r.seen {
		switch {
		case g.column == q:
			at = g
		case g.column < q && (before == nil || g.column > before.column):
			before = g
		}
	}
	if at == nil {
		return nil, nil
	}
	return before, at
}
