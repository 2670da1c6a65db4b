package analyzer

// enoughSlow is how many packets must have been slow on a way before others are given as
// long: one or two may be something else, such as a packet sent again of which the first
// was missed.
const enoughSlow = 3

// transitOf is how long a packet may be on its way from one point to another: transit, or
// as long as it took on a way where good connections show that some are slow. What would
// have come only after a capture's end is not absent from it.
//
//	f5       data  ·  ·  ·  ·
//	feth11           ·  ·  ·  ┤ends     data, a second and a half later
func (c *calibration) transitOf(p, q int, toServer bool) int64 {
	key := wayBetween{p, q, toServer}
	if t, known := c.transits[key]; known {
		return t
	}
	slow, slowest := 0, transit
	note := func(from, to int64) {
		if from == 0 || to == 0 {
			return
		}
		off := c.offset(p, q, from)
		if !off.bounded() || to-from-off.hi <= transit {
			return
		}
		slow, slowest = slow+1, max(slowest, to-from-off.lo)
	}
	shared(c.surveys[p], c.surveys[q], func(x, y *handshake) {
		switch {
		case x.syns > 1 || x.synAcks > 1: // the first may have been lost behind p
		case toServer:
			note(x.syn, y.syn)
		default:
			note(x.synAck, y.synAck)
		}
	})
	sameRequests(c.surveys[p], c.surveys[q], func(x, y *anchor) {
		switch way := wayOf(toServer); {
		case x.stamps[way].another(y.stamps[way]): // the first was lost behind p
		case toServer:
			note(x.began, y.began)
		default:
			note(x.replied, y.replied)
		}
	})
	if slow < enoughSlow {
		slowest = transit
	}
	c.transits[key] = slowest
	return slowest
}

// wayBetween is a way from one point to another.
type wayBetween struct {
	from, to int
	toServer bool
}

// sameRequests calls f for each sampled request that two points saw once on one connection.
// A proxy's own capture has each twice, on either side.
func sameRequests(p, q *survey, f func(x, y *anchor)) {
	single := func(of []*anchor, x *anchor) (same *anchor) {
		for _, y := range of {
			switch {
			case y.port != x.port || y.server.port != x.server.port:
			case same != nil:
				return nil // somebody's who came round with the same message
			default:
				same = y
			}
		}
		return same
	}
	sameKeys(p.anchors.all, q.anchors.all, func(xs, ys []*anchor) {
		for _, x := range xs[:min(len(xs), maxSends)] { // more often it is nobody's own message
			if y := single(ys, x); y != nil && single(xs, x) != nil {
				f(x, y)
			}
		}
	})
}
