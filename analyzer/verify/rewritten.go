package verify

import (
	"bytes"
	"fmt"
)

// rewritten: the same packet at both points, but that it has a TTL at the second one with
// which no router passes it on, or another sequence number; or a time stamp for which its
// receiver throws it away.
func (t *trial) rewritten() string {
	if len(t.v.Between) != 2 {
		return "between must name the points before and behind the place where the packet was changed"
	}
	segment := func(x *Frame) bool { return x.has(0, 0) }
	for _, x := range t.frames(t.v.Between[0], segment) {
		for _, y := range t.frames(t.v.Between[1], segment) {
			a, b := &x.frame.tcp[0], &y.frame.tcp[0]
			if y.frame.flow() != x.frame.flow() || b.flags != a.flags || b.length != a.length || !bytes.Equal(x.frame.payload, y.frame.payload) {
				continue
			}
			ended := a.seq == b.seq && y.frame.ip[0].ttl <= 1 && x.frame.ip[0].ttl > 1
			if ended || a.seq != b.seq && !t.before(y, x) || a.seq == b.seq && !t.before(y, x) && t.outdated(y) && !t.outdated(x) {
				return ""
			}
		}
	}
	return fmt.Sprintf("no packet is cited at %s of which the TTL is up, the number another, or the time stamp too old, at %s", t.v.Between[0], t.v.Between[1])
}

// outdated tells whether a packet's time stamp is older than that of the cited packet by
// which its sender opened the connection, by more than the tick that Linux lets pass (RFC
// 7323 section 5).
func (t *trial) outdated(x *exhibit) bool {
	h := &x.frame.tcp[0]
	opened := t.frames("", func(y *Frame) bool {
		return y.has(flagSYN, flagRST) && y.flow() == x.frame.flow() && y.tcp[0].stamped && h.stamped && int32(y.tcp[0].tsval-h.tsval) > 1
	})
	return len(opened) > 0
}
