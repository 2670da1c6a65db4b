package analyzer

import (
	"fmt"
	"net/netip"
	"time"
)

// resetInjected: a RST in the name of one end that the capture nearest to that
// end does not have: a box in between sent it.
//
//	f5        feth11    feth10     server2
//	 |--POST--->|--------->|--------->|
//	 |<--RST----|  ✗       |          |   "from server2", which never sent it
//	 |          |          |<---200---|
//
// If the packet that the RST answers went no further than the hop, and the
// connection had been idle before, the hop had forgotten it and says so:
// [SessionExpired]. TTL, window and IP id of a forged RST often differ from its
// alleged sender's; they are cited, but the absence decides.
var resetInjected = rule{cause: ResetInjected, match: func(v *flowView, m *matter) *conclusion {
	if !v.established() {
		return nil
	}
	for _, toServer := range [2]bool{false, true} {
		if c := v.injected(toServer); c != nil {
			return c
		}
	}
	return nil
}}

// injected looks at the first RST of a direction.
func (v *flowView) injected(toServer bool) *conclusion {
	k := rstKind(v, toServer)
	k.is = func(g *sighting) bool { return g.toServer == toServer && g.is(flagRST, 0) }
	p, seen := v.origin(k)
	if p < 0 || toServer && v.atClient(p) || !toServer && v.atServer(p) {
		return nil
	}
	// Towards the alleged sender; who saw nothing of the connection says nothing by lacking
	// the RST.
	q := next(p, !toServer)
	for q >= 0 && q < len(v.steps) && len(v.steps[q].packets) == 0 {
		q = next(q, !toServer)
	}
	if q < 0 || q >= len(v.steps) {
		return nil
	}
	k.terms = func(s *step) []string { return []string{"tcp.flags.reset==1", s.seq(toServer, seen[0].seq)} }
	c := &conclusion{direction: direction(toServer), between: []string{v.point(p), v.point(q)},
		evidence: []Evidence{v.frame(p, seen[0], "RST in the name of "+v.sender(toServer))}}
	absent := v.absence(p, q, seen[:1], k)
	// A copy that the capture missed is sent on: further points would have it too,
	// up to the sender's own.
	for at := next(q, !toServer); at >= 0 && at < len(v.steps) && absent.doubt != ""; at = next(at, !toServer) {
		if further := v.absence(p, at, seen[:1], k); further.doubt == "" {
			further.evidence = append(absent.evidence, further.evidence...)
			further.missed = max(further.missed, absent.missed*further.missed)
			absent = further
			c.between[1] = v.point(at)
			q = at
		}
	}
	if note := v.unlike(p, seen[0], toServer); note != "" {
		c.evidence[0].What += note
	}
	hop, missing := v.segment(min(p, q), max(p, q))
	switch {
	case missing != "":
		c.direction, c.settle = "", missing
	case absent.doubt != "":
		c.direction, c.settle = "", absent.settle+": "+absent.doubt
	default:
		c.hop, c.confidence = hop, 1-absent.missed
		c.evidence = append(c.evidence, absent.evidence...)
		c.eliminated = v.alibis(p, q, seen[:1], k)
		if idle, first := v.refusedAfterIdle(p, q, seen[0], toServer); first != nil {
			c.cause = SessionExpired
			c.evidence = append(c.evidence, v.frame(p, first, fmt.Sprintf("the packet it answers, after an idle time of %v", idle)))
		}
	}
	return c
}

// alibis are the other places that the RST could have come from, eliminated: those nearer
// to its receiver had it from step p, and what lies behind step q never sent it.
func (v *flowView) alibis(p, q int, seen []*sighting, k kind) (out []Hypothesis) {
	add := func(who, why string, e ...Evidence) {
		out = append(out, Hypothesis{who + " made the RST", why, e})
	}
	for at := p; ; {
		to := next(at, k.toServer)
		if to < 0 || to >= len(v.steps) {
			break
		}
		if hop, _ := v.segment(min(at, to), max(at, to)); hop != "" {
			add(hop, v.point(p)+" had it before", v.frame(p, seen[0], "the RST"))
		}
		at = to
	}
	for at := q; at >= 0 && at < len(v.steps); {
		absent := v.absence(p, at, seen, k)
		from, who := next(at, !k.toServer), v.sender(k.toServer)
		if from >= 0 && from < len(v.steps) {
			who, _ = v.segment(min(at, from), max(at, from))
		}
		if absent.doubt == "" && who != "" {
			add(who, v.point(at)+" has none that it could have come from", absent.evidence...)
		}
		at = from
	}
	return out
}

// sender names the alleged sender of packets in a direction.
func (v *flowView) sender(toServer bool) string {
	if toServer {
		return v.clientName()
	}
	return v.serverName()
}

// unlike compares a RST with the other packets of its alleged sender at the same
// point: a different hop count means a different box.
func (v *flowView) unlike(p int, rst *sighting, toServer bool) string {
	for i := range v.steps[p].packets {
		g := &v.steps[p].packets[i]
		if g.toServer == toServer && !g.icmp && g.flags&flagRST == 0 {
			if g.ttl != rst.ttl {
				return fmt.Sprintf(", with TTL %d where that end's packets have %d", rst.ttl, g.ttl)
			}
			return ""
		}
	}
	return ""
}

// notItsOwn is what a RST at step i, the nearest to its sender, is worth if it was not its
// sender that ended the connection; nil if nothing says so. Who resets a connection deletes
// it (RFC 9293 3.10.5) and answers by RSTs alone from then on. Who has none any more, for
// somebody had ended it there before, answers by a RST that is no end either: see noSuch.
func (v *flowView) notItsOwn(i int, rst *sighting) *conclusion {
	if !rst.is(flagRST, 0) {
		return nil
	}
	who := v.sender(rst.toServer)
	if ends := [2]netip.AddrPort{down: v.steps[i].server, up: v.steps[i].client}; v.bare(i) { // its node is the capture
		who = ends[wayOf(rst.toServer)].Addr().String()
	}
	doubt := func(why string, e ...Evidence) *conclusion {
		return &conclusion{between: []string{v.point(i)}, evidence: append([]Evidence{v.frame(i, rst, "RST in the name of "+who)}, e...),
			settle: fmt.Sprintf("a capture nearer to %s than %s: %s", who, v.point(i), why)}
	}
	if rst.noSuch() {
		return doubt("a RST without ACK answers a packet of a connection that is no more, and what ended it does not show here")
	}
	for j := range v.steps[i].packets {
		if g := &v.steps[i].packets[j]; g.frame > rst.frame && g.toServer == rst.toServer && g.is(0, flagSYN|flagRST) {
			return doubt("who resets a connection sends no more of it, so the RST may be somebody else's", v.frame(i, g, "which goes on all the same"))
		}
	}
	return nil
}

// noSuch tells whether a packet is the RST by which a host answers what belongs to no
// connection that it has: one without ACK, with the number that was asked for (RFC 9293
// 3.10.7.1). A RST that ends one's own connection has an ACK (tcp_send_active_reset of
// net/ipv4/tcp_output.c).
func (s *sighting) noSuch() bool { return s.is(flagRST, flagACK) }

// refusedAfterIdle returns the packet that a RST answers, if the connection had
// been idle before it and it went no further than the hop between the two steps.
func (v *flowView) refusedAfterIdle(p, q int, rst *sighting, toServer bool) (time.Duration, *sighting) {
	var last *sighting
	for i := range v.steps[p].packets {
		g := &v.steps[p].packets[i]
		if g.frame >= rst.frame {
			break
		}
		if g.toServer != toServer && !g.icmp && g.length > 0 {
			last = g
		}
	}
	if last == nil {
		return 0, nil
	}
	idle := v.idleBefore(p, last)
	if idle < forgetful || len(v.steps[q].of(byteKind(v, !toServer, last.seq))) > 0 {
		return 0, nil
	}
	return time.Duration(idle).Round(100 * time.Millisecond), last
}
