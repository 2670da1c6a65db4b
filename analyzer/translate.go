package analyzer

import (
	"net/netip"
	"slices"
)

// translation is what a box between two points does to connections that it does
// not end: it gives them other addresses or ports (NAT), or other sequence numbers
// (a firewall that hides weak ones; RFC 6528 is why). It is found from the data: a
// good handshake on either side with the same two initial sequence numbers is one
// connection, whatever its addresses; and many with the same addresses and other
// numbers, in the order of a path, are the other case.
//
//	feth11                     feth10
//	10.1.1.1:4000 SYN 77  ──▶  192.0.2.1:9000 SYN 77     rewritten
//	10.1.1.1:4000 SYN 77  ──▶  10.1.1.1:4000 SYN 901     renumbered
type translation struct {
	rewritten, renumbered bool
	servers               map[netip.AddrPort]netip.AddrPort // what a destination is called behind it
	pairs                 []connPair
}

// connPair is a connection as the points before and behind the box have it.
type connPair struct{ x, y *conn }

const (
	// fewTranslated is how many connections must agree. Two 32-bit numbers that
	// are equal by chance are one in 2^64.
	fewTranslated = 3
	maxTranslated = 4096
)

// findTranslations looks at each two points that have no connection in common.
func (c *calibration) findTranslations() {
	c.translations = map[[2]int]*translation{}
	// What a proxy does is for pairing to find, where its own capture has both sides.
	both := slices.ContainsFunc(c.surveys, func(s *survey) bool { return s.point.Side == Both })
	for p, a := range c.surveys {
		for q, b := range c.surveys {
			acrossProxy := both && a.point.Side == Clientside && b.point.Side == Serverside
			if p >= q || a.conns.len() == 0 || b.conns.len() == 0 || c.pairs[[2]int{p, q}] != nil || acrossProxy {
				continue
			}
			n := 0
			shared(a, b, func(_, _ *handshake) { n++ })
			if n > 0 {
				continue
			}
			t := rewriting(a, b)
			if t == nil {
				t = renumbering(a, b)
			}
			if t == nil {
				continue
			}
			c.translations[[2]int{p, q}] = t
			var upper, lower []bound
			for _, k := range t.pairs {
				upper = append(upper, bound{k.x.started, k.y.started - k.x.started})
				lower = append(lower, bound{k.x.synAckAt, k.y.synAckAt - k.x.synAckAt})
			}
			c.pairs[[2]int{p, q}] = newClockPair(upper, lower, max(disorder, a.disorder, b.disorder))
		}
	}
	c.dropBalanced()
}

// dropBalanced takes back what behind a box that balances load looks like a translation:
// seen from each of the servers, one destination has become one other.
//
//	client/eth0                   server1/eth0
//	VIP SYN 77             ──▶    server1 SYN 77
//	VIP SYN 901                   (server2's)
func (c *calibration) dropBalanced() {
	var balanced [][2]int
	for p, t := range c.translations {
		for q, u := range c.translations {
			if p[0] == q[0] && t.rewritten && u.rewritten && t.parts(u) {
				balanced = append(balanced, p)
			}
		}
	}
	for _, p := range balanced {
		delete(c.translations, p)
	}
}

// parts tells whether two translations give one destination different names, and have
// no connection in common: else they follow each other on one path.
func (t *translation) parts(u *translation) bool {
	differ := false
	for from, to := range t.servers {
		other, known := u.servers[from]
		differ = differ || known && other != to
	}
	if !differ {
		return false
	}
	mine := map[*conn]bool{}
	for _, k := range t.pairs {
		mine[k.x] = true
	}
	return !slices.ContainsFunc(u.pairs, func(k connPair) bool { return mine[k.x] })
}

// whole tells whether a connection's handshake was captured without a retry.
func (c *conn) whole() bool {
	return c.flags&(sawSYN|completed|knowsISN) == sawSYN|completed|knowsISN && c.syns == 1 && c.synAcks == 1
}

// rewriting joins two points by the two initial sequence numbers.
func rewriting(a, b *survey) *translation {
	behind := map[[2]uint32]*conn{}
	for i := range b.conns.len() {
		if y := b.conns.at(i); y.whole() {
			behind[[2]uint32{y.isn, y.serverISN}] = y
		}
	}
	t := &translation{rewritten: true, servers: map[netip.AddrPort]netip.AddrPort{}}
	for i := range a.conns.len() {
		x := a.conns.at(i)
		if !x.whole() || len(t.pairs) >= maxTranslated {
			continue
		}
		y := behind[[2]uint32{x.isn, x.serverISN}]
		if y == nil {
			continue
		}
		from, to := a.tuple(x), b.tuple(y)
		if from == to {
			return nil
		}
		if old, ok := t.servers[from.server]; ok && old != to.server {
			return nil // one destination becomes several: it balances load, and which is not known before
		}
		t.servers[from.server] = to.server
		t.pairs = append(t.pairs, connPair{x, y})
	}
	if len(t.pairs) < fewTranslated {
		return nil
	}
	return t
}

// renumbering joins two points by addresses where numbers differ. A proxy that
// keeps the client's address looks the same but for its answering by itself: its
// SYN-ACK does not wait for the server's.
func renumbering(a, b *survey) *translation {
	behind := map[tuple]*conn{}
	for i := range b.conns.len() {
		if y := b.conns.at(i); y.whole() {
			behind[b.tuple(y)] = y
		}
	}
	t := &translation{renumbered: true, servers: map[netip.AddrPort]netip.AddrPort{}}
	waits := 0
	for i := range a.conns.len() {
		x := a.conns.at(i)
		if !x.whole() || len(t.pairs) >= maxTranslated {
			continue
		}
		y := behind[a.tuple(x)]
		if y == nil {
			continue
		}
		if x.isn == y.isn {
			return nil
		}
		if y.started-x.started+x.synAckAt-y.synAckAt > -orderNoise {
			waits++
		}
		t.servers[a.tuple(x).server] = b.tuple(y).server
		t.pairs = append(t.pairs, connPair{x, y})
	}
	if len(t.pairs) < fewTranslated || waits*20 < len(t.pairs)*19 {
		return nil
	}
	return t
}

// translated returns what stands between a connection as the points of a path name
// it and one of those points, or another one; nil if nothing does.
func (c *calibration) translated(on []int, i int, server netip.AddrPort) *translation {
	if len(c.translations) == 0 {
		return nil
	}
	for _, p := range on {
		if tr := c.translations[[2]int{p, i}]; tr != nil && p < i {
			if _, known := tr.servers[server]; known {
				return tr
			}
		}
	}
	return nil
}

// alias finds a connection's packets at a point behind a box that rewrites or
// renumbers it. It fills in the step; packets are given the flow's own numbers.
func (v *flowView) alias(s *step, tr *translation, col *collection, w *wanted) {
	s.rewritten, s.renumbered = tr.rewritten, tr.renumbered
	s.server = tr.servers[v.server]
	if tr.rewritten {
		for _, t := range col.byISN[v.isn] {
			if i, ok := w.index[t]; ok {
				if mine := connectionOf(col.seen[i], v.isn); len(mine) > 0 {
					s.tuple, s.all, s.packets, s.found = t, col.seen[i], mine, true
				}
			}
		}
		s.request = s.packets
		return
	}
	v.renumber(s, col, w)
}

// renumber picks the connection of the same addresses that began when this one
// did, and takes the difference out of its numbers.
func (v *flowView) renumber(s *step, col *collection, w *wanted) {
	at, syns := v.origin(synKind(v))
	i, ok := w.index[v.tuple]
	if at < 0 || !ok {
		return
	}
	off := v.a.cal.offset(v.steps[at].at, s.at, syns[0].time)
	last := syns[len(syns)-1].time + off.hi + transit
	s.all = col.seen[i]
	for j := range s.all {
		g := &s.all[j]
		if !g.toServer || !g.is(flagSYN, flagACK) || g.time < syns[0].time+off.lo || g.time > last {
			continue
		}
		s.up, s.found = g.seq-v.isn, true
		s.packets = slices.Clone(connectionOf(s.all, g.seq))
		break
	}
	for j := range s.packets { // the other direction's difference shows in the SYN-ACK
		g := &s.packets[j]
		if k, b := v.origin(synAckKind(v)); !g.toServer && g.is(flagSYN|flagACK, 0) && k >= 0 {
			s.down = g.seq - b[0].seq
			break
		}
	}
	for j := range s.packets {
		g := &s.packets[j]
		g.seq -= s.shift(g.toServer)
		if g.flags&flagACK != 0 {
			g.ack -= s.shift(!g.toServer)
		}
	}
	s.request = s.packets
}

// isBehind tells whether a point lies behind a box that rewrites addresses.
func (a *analysis) isBehind(q int) bool {
	for k, tr := range a.cal.translations {
		if k[1] == q && tr.rewritten {
			return true
		}
	}
	return false
}

// isAlias tells whether a connection at point q is one of those seen before, under
// its name in front of a box.
func (a *analysis) isAlias(q int, o *oddConn, before []*candidate) bool {
	if len(a.cal.translations) == 0 {
		return false
	}
	return slices.ContainsFunc(before, func(c *candidate) bool {
		tr := a.cal.translations[[2]int{min(c.at, q), max(c.at, q)}]
		if tr == nil {
			return false
		}
		if tr.rewritten {
			return c.isn == o.isn
		}
		off := a.cal.offset(c.at, q, c.odd.started)
		return c.tuple == o.tuple && o.started > c.odd.started+off.lo-transit && o.started < c.odd.last+off.hi+transit
	})
}
