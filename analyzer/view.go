package analyzer

import (
	"fmt"
	"slices"
	"time"
)

// flowView is one connection as every point on its path saw it.
type flowView struct {
	a *analysis
	tuple
	isn   uint32
	known bool // isn is known
	steps []step
}

// step is a point on a flow's path, client end first.
type step struct {
	at      int // index of the point
	s       *survey
	packets []sighting // of this connection, in file order
	all     []sighting // of its tuple, earlier and later connections too
}

// view aligns a connection over its points. Without a known ISN it holds
// everything that was seen of the tuple.
func (a *analysis) view(cols []*collection, index int, t tuple, isn uint32, known bool) *flowView {
	v := &flowView{a: a, tuple: t, isn: isn, known: known}
	for _, i := range a.topo.path(t) {
		all := cols[i].seen[index]
		mine := all
		if known {
			mine = epoch(all, isn)
		}
		v.steps = append(v.steps, step{i, a.surveys[i], mine, all})
	}
	return v
}

// epoch cuts one connection out of all packets of its tuple: from its first
// SYN or SYN-ACK until a SYN with another ISN. Tuples come round again, so
// nothing less identifies a connection.
func epoch(all []sighting, isn uint32) []sighting {
	start := -1
	for i := range all {
		g := &all[i]
		if start < 0 {
			if g.is(flagSYN, flagACK) && g.toServer && g.seq == isn ||
				g.is(flagSYN|flagACK, 0) && !g.toServer && g.ack-1 == isn {
				start = i
			}
			continue
		}
		if g.is(flagSYN, flagACK) && g.toServer && g.seq != isn {
			return all[start:i]
		}
	}
	if start < 0 {
		return nil
	}
	return all[start:]
}

// kind is a class of packets of a connection, and how Wireshark finds it.
type kind struct {
	name     string
	toServer bool
	is       func(*sighting) bool
	filter   string
}

func synKind(v *flowView) kind {
	return kind{"SYN", true,
		func(g *sighting) bool { return g.toServer && g.is(flagSYN, flagACK) },
		v.filter(true) + fmt.Sprintf(" && tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.seq_raw==%d", v.isn)}
}

func synAckKind(v *flowView) kind {
	return kind{"SYN-ACK", false,
		func(g *sighting) bool { return !g.toServer && g.is(flagSYN|flagACK, 0) },
		v.filter(false) + fmt.Sprintf(" && tcp.flags.syn==1 && tcp.flags.ack==1 && tcp.ack_raw==%d", v.isn+1)}
}

func rstKind(v *flowView) kind {
	return kind{"RST", false,
		func(g *sighting) bool { return !g.toServer && (g.icmp || g.is(flagRST, 0)) },
		v.filter(false) + " && tcp.flags.reset==1"}
}

// filter is a Wireshark display filter for one direction of the connection.
func (v *flowView) filter(toServer bool) string { return v.tuple.filter(toServer) }

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

func (v *flowView) hop(i int) string   { return v.steps[i].s.point.Hop }
func (v *flowView) point(i int) string { return v.steps[i].s.point.Name }

// atServer and atClient tell whether a step is at the host at that end.
func (v *flowView) atServer(i int) bool { return v.a.topo.isEnd(v.steps[i].at, v.server.Addr()) }
func (v *flowView) atClient(i int) bool { return v.a.topo.isEnd(v.steps[i].at, v.client.Addr()) }

// leavesHop tells whether step i is the face by which its hop sends towards
// the server; entersHop whether it is the one by which it receives from the
// client. With a single captured face of a forwarder neither is known.
func (v *flowView) leavesHop(i int) bool {
	return v.atClient(i) || slices.ContainsFunc(v.steps[:i], func(s step) bool { return s.s.point.Hop == v.hop(i) })
}

func (v *flowView) entersHop(i int) bool {
	return v.atServer(i) || slices.ContainsFunc(v.steps[i+1:], func(s step) bool { return s.s.point.Hop == v.hop(i) })
}

// segment names what lies between neighbouring steps p < q: a hop if both its
// faces are these, a link if they are known to face each other, else "" and
// the capture that would tell.
func (v *flowView) segment(p, q int) (name, wouldSettle string) {
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

// absent is what it means that a step did not see packets that its neighbour saw.
type absent struct {
	evidence Evidence
	missed   float64 // probability that the capture missed them all
	tries    int     // how many of them it should have seen
	doubt    string  // why the absence proves nothing; "" if it does
	settle   string  // what would, then
}

const (
	transit   = int64(50 * time.Millisecond) // a packet's way between neighbouring points, generously
	holeVotes = 3                            // packets elsewhere that make a pause a hole in the capture
	sure      = 0.999                        // confidence below which nothing is named: a wrong hop costs more than many inconclusive ones
	almost    = 0.9999                       // confidence is never higher
)

// absence examines why step q does not have the packets seen at step p.
func (v *flowView) absence(p, q int, seen []*sighting, k kind) absent {
	s := v.steps[q].s
	name := s.point.Name
	from, to := seen[0].time, seen[len(seen)-1].time
	out := absent{missed: 1, evidence: Evidence{Kind: KindAbsence, Point: name, File: s.point.File, Filter: k.filter,
		What: "no " + k.name + " of this connection"}}
	off := v.a.cal.offset(v.steps[p].at, v.steps[q].at)
	if !off.bounded() {
		out.evidence.FromFrame, out.evidence.ToFrame = 1, s.lastFrame
		out.doubt = fmt.Sprintf("the clocks of %s and %s cannot be compared", v.point(p), name)
		out.settle = fmt.Sprintf("captures at %s and %s that share some good connections", v.point(p), name)
		return out
	}
	out.evidence.FromFrame, out.evidence.ToFrame = v.rangeFor(p, q, off, from, to)
	begin, end := s.coverage()
	previous := int64(-far)
	for _, g := range seen {
		if g.time-previous < disorder {
			continue // a copy, as SPAN ports make them
		}
		previous = g.time
		a, b := g.time+off.lo, g.time+off.hi+transit
		if len(s.conns) > 0 && a >= begin && b <= end && !s.inHole(a, b) {
			out.tries++
		}
	}
	at := stamp(from).Format(clockFormat) + " to " + stamp(to).Format(clockFormat)
	if out.tries == 0 {
		out.doubt = s.covers()
		out.settle = fmt.Sprintf("a capture at %s that covers %s", name, at)
		if s.damage != nil {
			out.settle = fmt.Sprintf("the whole of %s, which is cut off", s.point.File)
		}
		return out
	}
	if out.missed = v.a.cal.missedAll(v.steps[q].at, out.tries); 1-out.missed < sure {
		_, hi := v.a.cal.loss(v.steps[q].at)
		out.doubt = fmt.Sprintf("for all that is known the capture at %s may itself miss up to %.2g %% of the packets, and the absence of %d proves too little then", name, 100*hi, out.tries)
		out.settle = fmt.Sprintf("captures at all points of more good connections, which measure what the one at %s loses, or one that loses less", name)
		if s.damage != nil {
			out.settle = fmt.Sprintf("the whole of %s, which is cut off", s.point.File)
		}
	}
	return out
}

// rangeFor is the range of frames at step q in which packets are missed that step p
// saw between from and to. It covers that time also for who knows no more of the
// clocks than the report says, how far they differ from the first point's.
func (v *flowView) rangeFor(p, q int, off interval, from, to int64) (first, last uint64) {
	s := v.steps[q].s
	if p != q {
		a, b := v.a.cal.offset(0, v.steps[p].at), v.a.cal.offset(0, v.steps[q].at)
		if v.steps[p].at != 0 && !a.bounded() || v.steps[q].at != 0 && !b.bounded() {
			return 1, s.lastFrame
		}
		off.lo, off.hi = min(off.lo, b.lo-a.hi), max(off.hi, b.hi-a.lo)
	}
	const slack = int64(250 * time.Millisecond)
	return s.frames(from+off.lo-slack, to+off.hi+slack, s.lastFrame)
}

const clockFormat = "15:04:05.000"

func (s *survey) covers() string {
	if len(s.conns) == 0 {
		return "the present one has no connection at all, so nothing shows that it was listening"
	}
	from, to := s.coverage()
	out := fmt.Sprintf("the present one covers %s to %s", stamp(from).Format(clockFormat), stamp(to).Format(clockFormat))
	for _, g := range s.gaps {
		if g.missed >= holeVotes {
			out += fmt.Sprintf(", but for a hole from %s to %s", stamp(g.from).Format(clockFormat), stamp(g.to).Format(clockFormat))
			break
		}
	}
	return out
}

// inHole tells whether the capture was blind in part of from…to: it paused
// while other points saw traffic that should have been here.
func (s *survey) inHole(from, to int64) bool {
	return slices.ContainsFunc(s.gaps, func(g gap) bool { return g.missed >= holeVotes && g.from < to && g.to > from })
}

// before returns the last packet that step q saw of the tuple before the
// packet g of step p; nil if there is none. A tuple that comes round again
// soon may meet what is left of its earlier use.
func (v *flowView) before(q, p int, g *sighting) *sighting {
	off := v.a.cal.offset(v.steps[p].at, v.steps[q].at)
	var out *sighting
	for i := range v.steps[q].all {
		if s := &v.steps[q].all[i]; off.bounded() && s.time < g.time+off.lo {
			out = s
		}
	}
	return out
}

// frame makes evidence of a packet.
func (v *flowView) frame(i int, g *sighting, what string) Evidence {
	return g.evidence(v.steps[i].s.point, v.tuple, what)
}

// numbered makes evidence of a packet of which only the frame is known.
func (v *flowView) numbered(p Point, frame uint64, what string) Evidence {
	for i := range v.steps {
		for j := range v.steps[i].all {
			if g := &v.steps[i].all[j]; g.frame == frame && v.steps[i].s.point.Name == p.Name {
				return v.frame(i, g, what)
			}
		}
	}
	return Evidence{Kind: KindFrame, Point: p.Name, File: p.File, Frame: frame, What: what}
}

// frames makes evidence of several tries of one packet.
func (v *flowView) tries(i int, gs []*sighting, name string) []Evidence {
	var out []Evidence
	for n, g := range gs {
		what := name
		if len(gs) > 1 {
			what = fmt.Sprintf("%s, try %d of %d", name, n+1, len(gs))
		}
		out = append(out, v.frame(i, g, what))
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

// established tells whether the initiator got the SYN-ACK and went on.
func (v *flowView) established() bool {
	for i := range v.steps {
		for j := range v.steps[i].packets {
			g := &v.steps[i].packets[j]
			if g.toServer && g.is(flagACK, flagSYN|flagRST) || !g.toServer && g.length > 0 && g.is(0, flagSYN|flagRST) {
				return true
			}
		}
	}
	return false
}
