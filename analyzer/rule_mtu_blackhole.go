package analyzer

import (
	"fmt"
	"net/netip"
)

// size decides whether what was lost was lost for its size.
//
//	f5        feth11    feth10     server2
//	 |--1500--->|    ✗     |          |
//	 |--120---->|--------->|--------->|   small packets of the same direction pass
//	 |--1500--->|    ✗     |          |
//
// All lost packets are larger than every packet that passed the point in that
// direction, and smaller ones of this very connection did pass. Whether an ICMP
// "fragmentation needed" was sent and lost is another question (RFC 2923 §2.1); if
// one is there, it is cited. Where nothing of the size ever passed, and nothing
// small of this connection after it did, size and chance cannot be told apart.
func (v *flowView) size(c *conclusion, p int, seen []*sighting, k kind) {
	q := next(p, k.toServer)
	smallest := seen[0]
	for _, g := range seen {
		if g.size < smallest.size {
			smallest = g
		}
	}
	passed := v.a.largestPassed(v.steps[q].at, v.server, k.toServer)
	if smallest.size <= passed || smallest.size <= smallPacket {
		return // packets of that size do pass
	}
	for i := range v.steps[p].request {
		g := &v.steps[p].request[i]
		if g.icmp && g.icmpWhat>>8 == 3 && g.icmpWhat&255 == 4 || g.icmp && g.icmpWhat>>8 == 2 && g.icmpFrom.Is6() {
			c.cause = MTUBlackhole
			c.evidence = append(c.evidence, v.frame(p, g, "ICMP: too big"))
			return
		}
	}
	// Bytes behind the lost ones that did come through, in smaller packets.
	behind := kind{k.name, k.toServer, func(g *sighting) bool {
		return g.toServer == k.toServer && !g.icmp && g.length > 0 && g.flags&flagRST == 0 && int32(g.seq-seen[0].seq) > 0 && g.size < smallest.size
	}, nil}
	if later := v.steps[q].of(behind); len(later) > 0 && len(seen) > 1 {
		c.cause = MTUBlackhole
		c.evidence = append(c.evidence, v.frame(q, later[0], fmt.Sprintf("a packet of %d bytes behind the lost ones of %d passes", later[0].size, smallest.size)))
		return
	}
	c.bySize, c.hop = c.hop, ""
	c.settle = fmt.Sprintf("a ping of %d bytes with DF set across %s and %s: no packet as large as the lost ones passed in all the capture, so size and chance cannot be told apart",
		smallest.size, v.point(p), v.point(q))
}

// manyBySize is how many connections must have lost what is larger than anything
// that passed for chance to be out of the question.
const manyBySize = 5

// settleSizes decides what one connection alone leaves open: that every large
// packet was lost at one hop is no accident if there were many.
func settleSizes(cs []*conclusion) {
	n := map[string]int{}
	for _, c := range cs {
		n[c.bySize]++
	}
	for _, c := range cs {
		if c.bySize != "" && n[c.bySize] >= manyBySize {
			c.hop, c.cause, c.settle, c.confidence = c.bySize, MTUBlackhole, "", c.certainty
		}
	}
}

// smallPacket is the least MTU of IPv4 hosts, RFC 1122 §3.3.3: nothing drops
// packets of this size for their size.
const smallPacket = 576

// largestPassed is the size of the largest IP packet a point saw to or from a server.
func (a *analysis) largestPassed(i int, server netip.AddrPort, toServer bool) int {
	s := a.surveys[i]
	id, ok := s.names.find(server.Addr())
	if !ok {
		return 0
	}
	v := s.servers[endpoint{id, server.Port()}]
	if v == nil {
		return 0
	}
	if toServer {
		return v.largestUp
	}
	return v.largestDown
}
