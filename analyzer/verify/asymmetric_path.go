package verify

import "fmt"

// asymmetricPath: the SYN-ACK is lost in the hop, and the SYN came to its far side without
// having been there: with as much of its TTL as it was sent with.
func (t *trial) asymmetricPath() string {
	if why := t.lost("SYN-ACK", isSYNACK); why != "" {
		return why
	}
	behind, before := t.v.Between[0], t.v.Between[1] // the hop's points, as a SYN would meet them last and first
	first, last := t.c.points[before].index, t.c.points[behind].index
	for _, answer := range t.frames(behind, isSYNACK) {
		syn := func(x *Frame) bool {
			return isSYN(x) && x.flow() == answer.frame.flow().back() && x.tcp[0].seq+1 == answer.frame.tcp[0].ack
		}
		for _, near := range t.frames("", syn) {
			if t.c.points[near.Point].index >= first {
				continue
			}
			for _, far := range t.frames("", syn) {
				if t.c.points[far.Point].index <= last || far.frame.ip[0].ttl != near.frame.ip[0].ttl {
					continue
				}
				for _, at := range []string{before, behind} {
					if why := t.seenNotThere(near.Point, at, "SYN", syn); why != "" {
						return why
					}
				}
				return ""
			}
		}
	}
	return fmt.Sprintf("no SYN of a SYN-ACK cited at %s is cited that came with the same TTL past %s", behind, t.v.Hop)
}
