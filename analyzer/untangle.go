package analyzer

import "slices"

// untangle takes out of each step what is the tuple's next connection's. A capture that
// missed a SYN shows no border between two; another that has both SYNs tells the numbers:
//
//	f5          SYN A   ·  (missed)   ·   ACK B+1 …   not A's
//	firewall    SYN A   ·    SYN B    ·   ACK B+1 …
func (v *flowView) untangle() {
	var later []uint32 // initial sequence numbers
	for i := range v.steps {
		if s := &v.steps[i]; !s.rewritten && !s.renumbered {
			later = append(later, begunAfter(s.all, v.isn)...)
		}
	}
	if len(later) == 0 {
		return
	}
	slices.Sort(later)
	later = slices.Compact(later)
	for i := range v.steps {
		s := &v.steps[i]
		if s.rewritten || s.renumbered {
			continue
		}
		s.packets = until(s.packets, v.isn, later)
		s.request = s.packets
	}
}

// begunAfter lists the initial sequence numbers of the connections that a tuple had after
// one.
func begunAfter(all []sighting, isn uint32) (later []uint32) {
	begun := false
	for i := range all {
		g := &all[i]
		switch {
		case g.is(flagSYN|flagACK, 0):
			begun = begun || !g.toServer && g.ack-1 == isn
		case !g.toServer || !g.is(flagSYN, 0):
		case g.seq == isn:
			begun = true
		case begun:
			later = append(later, g.seq)
		}
	}
	return later
}

// until returns the packets before the first that is a later connection's. What the
// initiator sends tells, and what it is sent once it has shaken hands; not a SYN-ACK or a
// RST by itself, which for a SYN that was changed on its way have the changed number.
func until(packets []sighting, isn uint32, later []uint32) []sighting {
	of := func(n uint32) bool {
		return slices.ContainsFunc(later, func(other uint32) bool { return n-other < n-isn })
	}
	for i := range packets {
		g := &packets[i]
		if !g.is(flagACK, flagSYN|flagRST) || !(g.toServer && of(g.seq) || !g.toServer && g.length > 0 && of(g.ack)) {
			continue
		}
		for i > 0 && packets[i-1].is(flagACK, 0) && !packets[i-1].toServer && of(packets[i-1].ack) {
			i--
		}
		return packets[:i]
	}
	return packets
}
