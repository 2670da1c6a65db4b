package analyzer

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// proxyHabits is how the proxy treats good requests: how long it takes from the
// first byte of a request to the SYN it sends to a server, and which source port
// it takes. It narrows down which of several unanswered connections belongs to
// which failed request, of which nothing but its time is known.
type proxyHabits struct {
	at    int             // point whose clock the times are by
	paced []pacedPair     // by time
	ports map[uint16]bool // serverside port minus client's port, where that is a rule
}

// pacedPair is a good request: its first byte, and its SYN, in bounds.
type pacedPair struct{ request, soonest, latest int64 }

const (
	// minPaced is how many good requests make a habit.
	minPaced = 20
	// paceNear is how many good requests around a failed one tell its pace: a proxy
	// under load is slow for all that come at that time.
	paceNear = 16
	// portShare is the share of good requests whose ports must differ by the same
	// number for it to be a rule: "preserve" on a BIG-IP, or a wrapped count.
	portShare = 0.1
)

// window bounds the time of the SYN of a request whose first byte came at t; false
// if no habit is known. It leaves twice the spread of the requests around it on
// both sides, for one more may well lie outside what so few show.
func (h *proxyHabits) window(t int64) (from, to int64, ok bool) {
	if len(h.paced) < minPaced {
		return 0, 0, false
	}
	i := sort.Search(len(h.paced), func(i int) bool { return h.paced[i].request >= t })
	near := h.paced[max(0, i-paceNear):min(len(h.paced), i+paceNear)]
	lo, hi := int64(far), int64(-far)
	for _, p := range near {
		lo, hi = min(lo, p.soonest-p.request), max(hi, p.latest-p.request)
	}
	slack := 2*(hi-lo) + 3*disorder
	return t + lo - slack, t + hi + slack, true
}

// sameHabit tells whether a serverside port is the one the proxy would have taken.
func (h *proxyHabits) sameHabit(client, snat netip.AddrPort) bool {
	return h.ports[snat.Port()-client.Port()]
}

// learn notes a good request.
func (h *proxyHabits) learn(request int64, syn interval, diffs map[uint16]int, x, y *anchor) {
	h.paced = append(h.paced, pacedPair{request, syn.lo, syn.hi})
	diffs[y.port-x.port]++
}

// measureProxy finds requests on both sides of the proxy by their messages. A
// serverside connection that was open before the request came is pooled, and
// tells nothing.
func (c *calibration) measureProxy() (h proxyHabits) {
	diffs := map[uint16]int{}
	for i, s := range c.surveys { // a proxy's own capture has both
		if s.point.Side != Both || len(h.paced) >= minPaced {
			continue
		}
		h.at = i
		bothSides(c, s, func(x, y *anchor) {
			if y.opened >= x.began {
				h.learn(x.began, interval{y.opened, y.opened}, diffs, x, y)
			}
		})
	}
	for p, a := range c.surveys { // else one capture on each side
		for q, b := range c.surveys {
			if len(h.paced) >= minPaced || a.point.Side != Clientside || b.point.Side != Serverside {
				continue
			}
			h.at = p
			sharedRequests(a, b, func(x, y *anchor) {
				if off := c.offset(q, p, y.opened); y.opened != 0 && off.bounded() && y.opened+off.hi >= x.began {
					h.learn(x.began, interval{y.opened + off.lo, y.opened + off.hi}, diffs, x, y)
				}
			})
		}
	}
	slices.SortFunc(h.paced, func(x, y pacedPair) int { return cmp.Compare(x.request, y.request) })
	for d, n := range diffs {
		if len(h.paced) >= minPaced && float64(n) >= portShare*float64(len(h.paced)) {
			if h.ports == nil {
				h.ports = map[uint16]bool{}
			}
			h.ports[d] = true
		}
	}
	return h
}

// bothSides calls f for each request that a proxy's own capture has on both sides,
// once on each.
func bothSides(c *calibration, s *survey, f func(clientside, serverside *anchor)) {
	front := func(a *anchor) bool {
		return c.topo.toProxy(addrPort(s.names.addr(a.server.addr), a.server.port))
	}
	l := s.anchors.all
	for i := 0; i+1 < len(l); i++ {
		x, y := l[i], l[i+1]
		if x.key != y.key || i+2 < len(l) && l[i+2].key == x.key || i > 0 && l[i-1].key == x.key {
			continue
		}
		if !front(x) {
			x, y = y, x
		}
		if front(x) && !front(y) && y.opened != 0 {
			f(x, y)
		}
	}
}
