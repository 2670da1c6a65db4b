package analyzer

import "time"

// forgetful is how long a connection must have been idle for a hop to have
// forgotten it: no session table's timeout is shorter.
const forgetful = int64(time.Second)

// lastBefore cites the last packet of the connection that passed from step p to step q
// before one of step p's. What step q saw on its way to p may not have come there.
func (v *flowView) lastBefore(q, p int, first *sighting, toServer bool) []Evidence {
	var last *sighting
	for i := range v.steps[q].packets {
		if g := &v.steps[q].packets[i]; !g.icmp && g.toServer == toServer && v.came(q, g, p, first) == proven {
			last = g
		}
	}
	if last == nil {
		return nil
	}
	return []Evidence{v.frame(q, last, "the last packet that passed")}
}

// forgotten tells whether a hop behind step p has forgotten the connection:
// packets passed it before, then nothing was sent for a while, and from then on
// nothing passes in either direction.
//
//	f5        feth11    feth10     server2
//	 |--GET---->|--------->|--------->|
//	 |<---200---|<---------|<---------|
//	 .          .          .          .   idle for longer than the hop remembers
//	 |--GET---->|    ✗     |          |
//	 |--GET---->|    ✗     |          |
//
// A hop that answers with a RST instead is in resetInjected.
func (v *flowView) forgotten(p int, first *sighting, toServer bool) bool {
	q := next(p, toServer)
	if q < 0 || q >= len(v.steps) || v.idleBefore(p, first) < forgetful {
		return false
	}
	if v.hop(p) != v.hop(q) && !v.bare(p) && !v.bare(q) {
		return false // a cable has nothing to forget
	}
	before := false
	for i := range v.steps[q].packets {
		g := &v.steps[q].packets[i]
		if g.icmp || g.length == 0 {
			continue
		}
		switch came := v.came(q, g, p, first); {
		case came == proven:
			before = true
		case g.toServer == toServer && g.flags&flagRST == 0:
			return false // something passed, or it cannot be told
		}
	}
	return before
}
