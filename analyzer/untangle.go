package analyzer

import "math"

// untangle takes out of each step what is the tuple's next connection's. A capture that
// missed a SYN shows no border between two; another that has both SYNs tells the numbers:
//
//	f5          SYN A   ·  (missed)   ·   ACK B+1 …   not A's
//	firewall    SYN A   ·    SYN B    ·   ACK B+1 …
func (v *flowView) untangle() {
	nearest := uint32(math.MaxUint32) // of the initial numbers behind the view's own
	for i := range v.steps {
		if s := &v.steps[i]; !s.rewritten && !s.renumbered {
			nearest = min(nearest, nextISN(s.all, v.isn))
		}
	}
	if nearest == math.MaxUint32 {
		return
	}
	for i := range v.steps {
		if s := &v.steps[i]; !s.rewritten && !s.renumbered {
			s.packets = until(s.packets, v.isn, nearest)
			s.request = s.packets
		}
	}
}

// nextISN is how far behind an initial sequence number the nearest one lies of the
// connections that a tuple had afterwards; the greatest number for none.
func nextISN(all []sighting, isn uint32) (nearest uint32) {
	nearest = math.MaxUint32
	begun := false
	for i := range all {
		n, begins := all[i].begins()
		switch {
		case begins && n == isn:
			begun = true
		case begins && begun && all[i].toServer:
			nearest = min(nearest, n-isn)
		}
	}
	return nearest
}

// until returns the packets before the first whose number, by the initiator's count, is at
// or behind the next connection's. What the initiator sends tells, and what it is sent once
// it has shaken hands; not a SYN-ACK or a RST by itself, which for a SYN that was changed on
// its way have the changed number.
func until(packets []sighting, isn, nearest uint32) []sighting {
	behind := func(n uint32) bool { return n-isn >= nearest && n-isn <= math.MaxInt32 }
	for i := range packets {
		g := &packets[i]
		if !g.is(flagACK, flagSYN|flagRST) || !(g.toServer && behind(g.seq) || !g.toServer && g.length > 0 && behind(g.ack)) {
			continue
		}
		for i > 0 && packets[i-1].is(flagACK, 0) && !packets[i-1].toServer && behind(packets[i-1].ack) {
			i--
		}
		return packets[:i]
	}
	return packets
}
