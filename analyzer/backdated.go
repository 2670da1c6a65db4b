package analyzer

import (
	"fmt"
	"slices"
)

// backdated looks for the place where bytes got a time stamp that is older than the one
// their sender's handshake had at the receiver. The receiver takes them for an old
// duplicate, repeats its last ACK, and throws them away: PAWS, RFC 7323 §5.
//
//	f5           feth11       feth10       server2
//	 |-SYN 890----->|----------->|----------->|
//	 |-POST 900---->|-POST 300-->|----------->|   older than 890
//	 |<-------------|<-----------|----ACK-----|   of nothing new
//
// The server has the request in its capture, and not even its kernel has taken it.
func (v *flowView) backdated(k kind) *conclusion {
	q, all := v.furthest(k)
	first := v.opening(q, k.toServer)
	if first == nil || slices.ContainsFunc(all, func(g *sighting) bool { return !first.outdates(g) }) {
		return nil
	}
	low := all[0]
	for p := next(q, !k.toServer); p >= 0 && p < len(v.steps); p = next(p, !k.toServer) {
		seen := v.steps[p].of(k)
		if len(seen) == 0 {
			continue
		}
		before := first
		if own := v.opening(p, k.toServer); own != nil {
			before = own
		}
		if !slices.ContainsFunc(seen, func(g *sighting) bool { return !before.outdates(g) }) {
			q, low = p, seen[0]
			continue
		}
		g, h := v.restamped(p, q, k, before)
		if g == nil {
			continue
		}
		c := v.between(p, q, k.toServer, v.frame(p, g, fmt.Sprintf("%s, time stamp %d", k.name, g.tsval)),
			v.frame(q, h, fmt.Sprintf("the same, with time stamp %d", h.tsval)))
		if own := v.opening(q, k.toServer); own != nil {
			c.evidence = append(c.evidence, v.frame(q, own, fmt.Sprintf("the handshake's had %d: its receiver throws away what is older", own.tsval)))
		} else {
			c.hop, c.settle = "", fmt.Sprintf("a capture at %s that has the connection's handshake: its time stamp tells from when on the receiver takes what it gets", v.point(q))
		}
		c.eliminated = v.rewriteRivals(c, k, q)
		return c
	}
	c := &conclusion{between: []string{v.point(q)}, evidence: []Evidence{v.frame(q, low, fmt.Sprintf("%s, time stamp %d: older than the handshake's, %d", k.name, low.tsval, first.tsval))},
		settle: "a capture nearer to " + v.sender(k.toServer) + " than " + v.point(q) + ", to which the " + k.name + " comes with a time stamp that its receiver throws it away for"}
	if k.toServer && v.atClient(q) || !k.toServer && v.atServer(q) {
		c.settle = "what " + v.sender(k.toServer) + " takes its time stamps from: it sends one that is older than that of its own handshake, and no capture tells why"
	}
	return c
}

// opening is the handshake's packet of a direction at a step, of a connection whose ends
// have agreed on time stamps; nil if there is none with one.
func (v *flowView) opening(i int, toServer bool) *sighting {
	if i < 0 || !v.established() {
		return nil
	}
	unstamped := func(g *sighting) bool { return !g.stamped }
	if _, answers := v.origin(synAckKind(v)); slices.ContainsFunc(answers, unstamped) {
		return nil
	}
	k := synAckKind(v)
	if toServer {
		k = synKind(v)
	}
	all := v.steps[i].of(k)
	if len(all) == 0 || slices.ContainsFunc(all, unstamped) {
		return nil
	}
	return all[0]
}

// outdates tells whether a receiver that has had packet s throws away g for its time stamp.
// Linux lets one tick pass (TCP_PAWS_WINDOW of include/net/tcp.h).
func (s *sighting) outdates(g *sighting) bool {
	return g.stamped && int32(s.tsval-g.tsval) > 1
}

// restamped finds a packet at step p that before does not outdate, and what became of it at
// step q: the same but for its time stamp, at the same time; nil if there is none.
func (v *flowView) restamped(p, q int, k kind, before *sighting) (g, h *sighting) {
	for _, g := range v.steps[p].of(k) {
		off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
		if !off.bounded() || !g.stamped || before.outdates(g) {
			continue
		}
		for _, h := range v.steps[q].of(k) {
			if h.seq == g.seq && h.length == g.length && h.flags == g.flags && h.mark == g.mark && h.tsval != g.tsval &&
				h.time >= g.time+off.lo && h.time <= g.time+off.hi+transit {
				return g, h
			}
		}
	}
	return nil, nil
}

// timeStamp reads a segment's own time stamp (TSval, RFC 7323 §3.2).
func (p *packet) timeStamp() (tsval uint32, found bool) {
	o := p.tcpOptions
	if !p.icmp && len(p.segment) > 20 && p.flags&(flagSYN|flagRST) == 0 {
		head := int(p.segment[12]>>4) * 4
		o.readOptions(p.segment[20:max(20, min(head, len(p.segment)))])
	}
	return o.tsval, o.hasTS
}
