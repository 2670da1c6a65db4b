package verify

import "fmt"

// delayed: a packet at one point, the same at the next one, and between the two the end of
// the client's connection.
func (t *trial) delayed() string {
	if len(t.v.Between) != 2 {
		return "between must name the points before and behind the place where the packet was held up"
	}
	segment := func(x *Frame) bool { return len(x.tcp) > 0 && !x.tcp[0].quoted }
	ends := t.frames("", func(x *Frame) bool {
		over := x.has(0, 0) && x.tcp[0].flags&(flagFIN|flagRST) != 0
		return t.ofClient(x) && (over || is5xx(x) || t.inTLS() && isData(x))
	})
	why := fmt.Sprintf("no packet is cited at %s and again at %s", t.v.Between[0], t.v.Between[1])
	for _, x := range t.frames(t.v.Between[0], segment) {
		a := x.frame.tcp[0]
		for _, y := range t.frames(t.v.Between[1], segment) {
			if b := y.frame.tcp[0]; y.frame.flow() != x.frame.flow() || b.seq != a.seq || b.flags != a.flags {
				continue
			}
			why = fmt.Sprintf("no end of the client's connection is cited that came after frame %d of %s and before frame %d of %s", x.Frame, x.File, y.Frame, y.File)
			for _, e := range ends {
				if t.before(x, e) && t.before(e, y) {
					return ""
				}
			}
		}
	}
	return why
}

// before tells whether one frame was captured before another: by their order in one file,
// whose clock may have been set in between, or whatever the clocks' offset inside its interval.
func (t *trial) before(x, y *exhibit) bool {
	switch {
	case x.Point == y.Point && x.File == y.File:
		return x.Frame < y.Frame
	case x.Point == y.Point:
		return x.Time.Before(y.Time)
	}
	p, q := t.c.points[x.Point].offset, t.c.points[y.Point].offset
	return p != nil && q != nil && x.Time.UnixNano()+q[1]-p[0] < y.Time.UnixNano()
}
