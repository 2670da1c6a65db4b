package verify

import (
	"bytes"
	"fmt"
)

// rewritten: the same packet at both points, but that it has a TTL at the second one with
// which no router passes it on, or another sequence number.
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
			if ended || a.seq != b.seq && !t.before(y, x) {
				return ""
			}
		}
	}
	return fmt.Sprintf("no packet is cited at %s of which the TTL is up, or the number another, at %s", t.v.Between[0], t.v.Between[1])
}
