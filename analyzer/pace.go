package analyzer

// proxyPace is how long the proxy takes from the first byte of a request to the
// SYN it sends to a server, as the good requests show it. It narrows down which
// of several unanswered connections belongs to which failed request.
type proxyPace struct {
	requests int   // good ones measured
	slowest  int64 // ns
}

// minPaced is how many good requests make a pace.
const minPaced = 20

// within is the longest that a request's SYN can be away from its first byte:
// three times the slowest good one, since failing ones may meet more load. Without
// a pace it is unlimited.
func (p proxyPace) within() int64 {
	if p.requests < minPaced {
		return far
	}
	return 3*p.slowest + 5*disorder
}

// measureProxy finds requests on both sides of the proxy by their messages. A
// serverside connection that was open before the request came is pooled, and
// tells nothing.
func (c *calibration) measureProxy() (pace proxyPace) {
	note := func(request, syn interval) {
		if d := syn.hi - request.lo; syn.hi >= request.lo {
			pace.requests++
			pace.slowest = max(pace.slowest, d)
		}
	}
	side := func(s *survey, a *anchor) string {
		if s.point.Side == Clientside || s.point.Side == Serverside {
			return s.point.Side
		}
		if c.topo.toProxy(addrPort(s.names.addr(a.server.addr), a.server.port)) {
			return Clientside
		}
		return Serverside
	}
	for _, s := range c.surveys { // a proxy's own capture has both
		if s.point.Side != Both {
			continue
		}
		l := s.anchors.all
		for i := 0; i+1 < len(l); i++ {
			x, y := l[i], l[i+1]
			if x.key != y.key || i+2 < len(l) && l[i+2].key == x.key || i > 0 && l[i-1].key == x.key {
				continue
			}
			if side(s, x) == Serverside {
				x, y = y, x
			}
			if side(s, x) == Clientside && side(s, y) == Serverside && y.opened != 0 {
				note(interval{x.began, x.began}, interval{y.opened, y.opened})
			}
		}
	}
	if pace.requests >= minPaced {
		return pace
	}
	for p, a := range c.surveys { // else one capture on each side
		for q, b := range c.surveys {
			if a.point.Side != Clientside || b.point.Side != Serverside {
				continue
			}
			sharedRequests(a, b, func(x, y *anchor) {
				if off := c.offset(q, p, y.opened); y.opened != 0 && off.bounded() {
					note(interval{x.began, x.began}, interval{y.opened + off.lo, y.opened + off.hi})
				}
			})
		}
	}
	return pace
}
