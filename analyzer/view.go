package analyzer

import (
	"fmt"
	"slices"
)

// flowView is one connection as every point on its path saw it.
type flowView struct {
	a *analysis
	tuple
	isn   uint32
	known bool // isn is known
	steps []step
	// On a connection with several requests, where ours begins in both directions.
	narrowed         bool
	reqSeq, replySeq uint32
}

// step is a point on a flow's path, client end first.
type step struct {
	at int // index of the point
	s  *survey
	// The connection as the point has it. Numbers in packets are the flow's own;
	// the point's are by up and down higher.
	tuple
	up, down              uint32
	rewritten, renumbered bool       // by a box before the point: its addresses, its numbers
	found                 bool       // and it is known which connection there it is
	packets               []sighting // of this connection, in file order
	request               []sighting // those from the request on; all, if it is the first
	all                   []sighting // of its tuple, earlier and later connections too
}

// view aligns a connection over its points. Without a known ISN it holds
// everything that was seen of the tuple.
func (a *analysis) view(cols []*collection, index int, t tuple, isn uint32, known bool) *flowView {
	v := &flowView{a: a, tuple: t, isn: isn, known: known}
	on := a.topo.path(t)
	for i := range a.surveys {
		if tr := a.cal.translated(on, i, t.server); tr != nil && known {
			s := step{at: i, s: a.surveys[i], tuple: t}
			v.alias(&s, tr, cols[i], a.wanted)
			v.steps = append(v.steps, s)
			continue
		}
		if !slices.Contains(on, i) {
			continue
		}
		all := cols[i].seen[index]
		mine := all
		if known {
			mine = connectionOf(all, isn)
		}
		v.steps = append(v.steps, step{at: i, s: a.surveys[i], tuple: t, packets: mine, request: mine, all: all})
	}
	if known {
		v.untangle()
	}
	return v
}

// connectionOf cuts one connection out of all packets of its tuple: from its
// first SYN or SYN-ACK until a SYN with another ISN. Tuples come round again, so
// nothing less identifies a connection. If a capture has neither packet, the
// sequence numbers tell which of the rest can be meant.
func connectionOf(all []sighting, isn uint32) []sighting {
	start := -1
	for i := range all {
		g := &all[i]
		if start < 0 {
			if n, begins := g.begins(); begins && n == isn {
				start = i
			}
			continue
		}
		if g.is(flagSYN, flagACK) && g.toServer && g.seq != isn {
			return all[start:i]
		}
	}
	if start >= 0 {
		return all[start:]
	}
	return bySequence(all, isn)
}

// stepAt is the step of a point, by its index; -1 if the point is not on the path.
func (v *flowView) stepAt(point int) int {
	return slices.IndexFunc(v.steps, func(s step) bool { return s.at == point })
}

// within leaves out the points that nothing ties to the others of a group.
func (v *flowView) within(group []int) {
	if group != nil {
		v.steps = slices.DeleteFunc(v.steps, func(s step) bool { return !slices.Contains(group, s.at) })
	}
}

// window is how far behind its ISN the bytes of a connection are looked for.
const window = 1 << 24

// bySequence returns the stretch of packets whose numbers lie behind an ISN, and
// not behind that of another connection of the tuple that was seen to begin.
func bySequence(all []sighting, isn uint32) []sighting {
	first, last := -1, -1
	other, begun := uint32(0), false
	for i := range all {
		g := &all[i]
		n := g.seq // of the initiator's direction
		if !g.toServer {
			n = g.ack
		}
		switch {
		case g.icmp:
		case g.is(flagSYN, 0):
			if first >= 0 {
				return all[first : last+1]
			}
			if other, begun = n, true; !g.toServer {
				other--
			}
		case n-isn > 0 && n-isn < window && !(begun && n-other < window):
			if last = i; first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return nil
	}
	return all[first : last+1]
}

// narrow confines the view to the request whose first byte has this number.
func (v *flowView) narrow(seq uint32) {
	v.narrowed, v.reqSeq = true, seq
	for i := range v.steps { // what the client acknowledges with it is where the reply begins
		for j := range v.steps[i].packets {
			if g := &v.steps[i].packets[j]; g.toServer && g.length > 0 && g.covers(seq) {
				v.replySeq = g.ack
			}
		}
	}
	for i := range v.steps {
		s := &v.steps[i]
		s.request = nil
		for j := range s.packets {
			g := &s.packets[j]
			if g.icmp || g.toServer && int32(g.seq+uint32(g.length)-seq) > 0 || !g.toServer && int32(g.ack-seq) > 0 ||
				g.flags&(flagFIN|flagRST) != 0 {
				s.request = s.packets[j:]
				break
			}
		}
	}
}

// covers tells whether a segment carries the byte with this number.
func (s *sighting) covers(seq uint32) bool {
	return s.length > 0 && int32(seq-s.seq) >= 0 && int32(seq-s.seq) < int32(s.length)
}

// of returns the step's packets of a kind.
func (s *step) of(k kind) []*sighting {
	var out []*sighting
	for i := range s.packets {
		if g := &s.packets[i]; k.is(g) {
			out = append(out, g)
		}
	}
	return out
}

// furthest returns the last step in the direction of travel that saw packets
// of the kind, and the packets; -1 if none did.
func (v *flowView) furthest(k kind) (int, []*sighting) {
	for n := range v.steps {
		i := n
		if k.toServer {
			i = len(v.steps) - 1 - n
		}
		if g := v.steps[i].of(k); len(g) > 0 {
			return i, g
		}
	}
	return -1, nil
}

// origin is the reverse: the step closest to the sender.
func (v *flowView) origin(k kind) (int, []*sighting) {
	k.toServer = !k.toServer
	return v.furthest(k)
}

// next is the step after p in a direction of travel; it may not exist.
func next(p int, toServer bool) int {
	if toServer {
		return p + 1
	}
	return p - 1
}

func (v *flowView) hop(i int) string   { return v.steps[i].s.point.Hop }
func (v *flowView) point(i int) string { return v.steps[i].s.point.Name }

// atServer and atClient tell whether a step is at the host at that end. A box that
// rewrites addresses may own the new ones, and is still no end.
func (v *flowView) atServer(i int) bool {
	if slices.ContainsFunc(v.steps[i+1:], func(s step) bool { return s.rewritten && !v.steps[i].rewritten }) {
		return false
	}
	return v.a.topo.isEnd(v.steps[i].at, v.steps[i].server.Addr())
}

func (v *flowView) atClient(i int) bool {
	return !v.steps[i].rewritten && v.a.topo.isEnd(v.steps[i].at, v.steps[i].client.Addr())
}

// leavesHop tells whether step i is the face by which its hop sends towards
// the server; entersHop whether it is the one by which it receives from the
// client. With a single captured face of a forwarder neither is known.
func (v *flowView) leavesHop(i int) bool {
	return v.bare(i) || v.atClient(i) || slices.ContainsFunc(v.steps[:i], func(s step) bool { return s.s.point.Hop == v.hop(i) })
}

func (v *flowView) entersHop(i int) bool {
	return v.bare(i) || v.atServer(i) || slices.ContainsFunc(v.steps[i+1:], func(s step) bool { return s.s.point.Hop == v.hop(i) })
}

// bare tells whether nobody named step i: the capture is the node then, with
// nothing between its faces.
func (v *flowView) bare(i int) bool { return v.a.order.isBare(v.steps[i].at) }

// misplaced returns two points whose order is not proven and on which the name
// of what lies between steps p and q hangs.
func (v *flowView) misplaced(p, q int) (a, b int, found bool) {
	for _, i := range []int{p, q} {
		for j := range v.steps {
			oneHop := v.hop(i) == v.hop(j) && (j == p || j == q)
			if j != i && !oneHop && !v.a.orderKnown(v.steps[i].at, v.steps[j].at) {
				return min(i, j), max(i, j), true
			}
		}
	}
	return 0, 0, false
}

// segment names what lies between neighbouring steps p < q: a hop if both its
// faces are these, a link if they are known to face each other, else "" and
// the capture that would tell.
func (v *flowView) segment(p, q int) (name, wouldSettle string) {
	if a, b, found := v.misplaced(p, q); found {
		return "", fmt.Sprintf("to know which of %s and %s is nearer to the client, which the captures do not tell: label them with --point HOP/FACE=%s … if they are two faces of one hop, or list all captures in path order in a points.json",
			v.point(a), v.point(b), v.steps[a].s.point.File)
	}
	if v.hop(p) == v.hop(q) {
		return v.hop(p), ""
	}
	switch {
	case !v.leavesHop(p):
		return "", fmt.Sprintf("a capture on %s's server-facing interface: it tells whether %s or what follows it lost the packet", v.hop(p), v.hop(p))
	case !v.entersHop(q):
		return "", fmt.Sprintf("a capture on %s's client-facing interface: it tells whether %s or what precedes it lost the packet", v.hop(q), v.hop(q))
	}
	return "link:" + v.hop(p) + "-" + v.hop(q), ""
}

// came tells whether packet g of step q was there before packet h of step p, as far
// as the clocks of the two points are known to differ.
func (v *flowView) came(q int, g *sighting, p int, h *sighting) order {
	if p == q {
		if g.frame < h.frame {
			return proven
		}
		return refuted
	}
	return v.a.cal.before(v.steps[q].at, g.time, v.steps[p].at, h.time)
}

// before returns the last packet that step q saw of the tuple before the
// packet g of step p; nil if there is none. A tuple that comes round again
// soon may meet what is left of its earlier use.
func (v *flowView) before(q, p int, g *sighting) *sighting {
	var out *sighting
	for i := range v.steps[q].all {
		if s := &v.steps[q].all[i]; v.came(q, s, p, g) == proven {
			out = s
		}
	}
	return out
}

// server names the host at the flow's far end as well as is known.
func (v *flowView) serverName() string {
	for i := range v.steps {
		if v.atServer(i) {
			return v.hop(i)
		}
	}
	return v.server.Addr().String()
}

func (v *flowView) clientName() string {
	for i := range v.steps {
		if v.atClient(i) {
			return v.hop(i)
		}
	}
	return v.client.Addr().String()
}

// established tells whether the initiator got the SYN-ACK and went on. If no capture has
// what it sent then, the server may say that it has come: it acknowledges more than the SYN
// that it has answered.
func (v *flowView) established() bool {
	for i := range v.steps {
		answered := false
		for j := range v.steps[i].packets {
			switch g := &v.steps[i].packets[j]; {
			case g.toServer && g.is(flagACK, flagSYN|flagRST), !g.toServer && g.length > 0 && g.is(0, flagSYN|flagRST):
				return true
			case g.toServer:
			case g.is(flagSYN|flagACK, 0):
				answered = true
			case answered && v.known && g.is(flagACK, 0) && g.ack-(v.isn+2) < window:
				return true
			}
		}
	}
	return false
}
