package analyzer

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
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
	if start >= 0 {
		return all[start:]
	}
	return bySequence(all, isn)
}

// bySequence returns the stretch of packets whose numbers lie behind an ISN, and
// not behind that of another connection of the tuple that was seen to begin.
func bySequence(all []sighting, isn uint32) []sighting {
	const window = 1 << 24
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

// kind is a class of packets of a connection, and how Wireshark finds it.
type kind struct {
	name     string
	toServer bool
	is       func(*sighting) bool
	terms    func(*step) []string // of a display filter, beside the flow's addresses
}

func synKind(v *flowView) kind {
	return kind{"SYN", true,
		func(g *sighting) bool { return g.toServer && g.is(flagSYN, flagACK) },
		func(s *step) []string { return []string{"tcp.flags.syn==1", "tcp.flags.ack==0", s.seq(true, v.isn)} }}
}

func synAckKind(v *flowView) kind {
	return kind{"SYN-ACK", false,
		func(g *sighting) bool { return !g.toServer && g.is(flagSYN|flagACK, 0) },
		func(s *step) []string {
			return []string{"tcp.flags.syn==1", "tcp.flags.ack==1", s.ack(false, v.isn+1)}
		}}
}

// rstKind is a RST or ICMP error in one direction.
func rstKind(v *flowView, toServer bool) kind {
	return kind{"RST", toServer,
		func(g *sighting) bool { return g.toServer == toServer && (g.icmp || g.is(flagRST, 0)) },
		func(*step) []string { return []string{"tcp.flags.reset==1"} }}
}

// byteKind is every segment of a direction that carries one byte: with other
// segment sizes at other points (TSO, a proxy of segments), what matters is
// whether the byte was there.
func byteKind(v *flowView, toServer bool, seq uint32) kind {
	name := "request data"
	if !toServer {
		name = "response data"
	}
	return kind{name, toServer,
		func(g *sighting) bool {
			return g.toServer == toServer && !g.icmp && g.flags&flagRST == 0 && g.covers(seq)
		},
		func(s *step) []string { return []string{"tcp.len>0", s.seq(toServer, seq)} }}
}

// ackKind is the ACK that ends the handshake.
func ackKind(v *flowView, serverISN uint32) kind {
	return kind{"the handshake's last ACK", true,
		func(g *sighting) bool {
			return g.toServer && g.is(flagACK, flagSYN|flagRST) && int32(g.ack-serverISN) > 0
		},
		func(s *step) []string { return []string{"tcp.flags.ack==1", "tcp.flags.syn==0", s.seq(true, v.isn+1)} }}
}

// filter is the Wireshark display filter that finds a kind of packet at a step.
func (s *step) filter(k kind) string {
	terms := s.addresses(k.toServer)
	if k.terms != nil {
		terms = append(terms, k.terms(s)...)
	}
	return strings.Join(slices.DeleteFunc(terms, func(t string) bool { return t == "" }), " && ")
}

// addresses are the terms for one direction of the connection, in the names that
// the step's point has for it.
func (s *step) addresses(toServer bool) []string {
	if s.rewritten && !s.found {
		return nil // whatever its addresses are there; its numbers find it
	}
	src, dst := s.client, s.server
	if !toServer {
		src, dst = dst, src
	}
	ip := "ip"
	if src.Addr().Is6() && !src.Addr().Is4In6() {
		ip = "ipv6"
	}
	return []string{fmt.Sprintf("%s.src==%s", ip, src.Addr()), fmt.Sprintf("tcp.srcport==%d", src.Port()),
		fmt.Sprintf("%s.dst==%s", ip, dst.Addr()), fmt.Sprintf("tcp.dstport==%d", dst.Port())}
}

// seq and ack are the terms for a number in one direction, as the point has it.
func (s *step) seq(toServer bool, n uint32) string {
	if s.renumbered && !s.found {
		return ""
	}
	return fmt.Sprintf("tcp.seq_raw==%d", n+s.shift(toServer))
}

func (s *step) ack(toServer bool, n uint32) string {
	if s.renumbered && !s.found {
		return ""
	}
	return fmt.Sprintf("tcp.ack_raw==%d", n+s.shift(!toServer))
}

// shift is what a box in between adds to a direction's sequence numbers.
func (s *step) shift(toServer bool) uint32 {
	if toServer {
		return s.up
	}
	return s.down
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

// absent is what it means that a step did not see packets that its neighbour saw.
type absent struct {
	evidence []Evidence
	missed   float64 // probability that the capture missed them all
	tries    int     // how many of them it should have seen
	doubt    string  // why the absence proves nothing; "" if it does
	settle   string  // what would, then
}

const (
	transit   = int64(50 * time.Millisecond) // a packet's way between neighbouring points, generously
	holeVotes = 3                            // packets elsewhere that make a pause a hole in the capture
	almost    = 0.9999                       // confidence is never higher

	// A hop is named if the chance that the capture missed what it should have seen
	// is below this: a wrong hop costs more than many inconclusive verdicts. Where a
	// capture is known to lose packets, losses may come in bursts too short to see,
	// and their independence is taken for less.
	doubtful      = 1e-3
	doubtfulLossy = 1e-4
)

// absence examines why step q does not have the packets seen at step p.
func (v *flowView) absence(p, q int, seen []*sighting, k kind) absent {
	s := v.steps[q].s
	name := s.point.Name
	cal := v.a.cal
	out := absent{missed: 1}
	say := func(from, to uint64) {
		out.evidence = s.absent(v.steps[q].filter(k), "no "+k.name+" of this connection", from, to)
	}
	from, to := seen[0].time, seen[len(seen)-1].time
	off := cal.offset(v.steps[p].at, v.steps[q].at, from)
	if !off.bounded() {
		say(1, s.lastFrame)
		out.doubt = fmt.Sprintf("the clocks of %s and %s cannot be compared", v.point(p), name)
		out.settle = fmt.Sprintf("captures at %s and %s that share some good connections", v.point(p), name)
		return out
	}
	slack := int64(250 * time.Millisecond)
	begin, end := s.coverage()
	previous := int64(-far)
	var times []int64
	low, high := int64(far), int64(-far)
	for _, g := range seen {
		off := cal.offset(v.steps[p].at, v.steps[q].at, g.time)
		a, b := g.time+off.lo, g.time+off.hi+transit
		low, high = min(low, a-slack), max(high, b+slack)
		if g.time-previous < disorder {
			continue // a copy, as SPAN ports make them
		}
		previous = g.time
		if s.conns.len() > 0 && a >= begin && b <= end && !s.inHole(a, b) {
			times = append(times, g.time+(off.lo+off.hi)/2)
		}
	}
	if said, ok := cal.reportedOffset(v.steps[p].at, v.steps[q].at); p == q {
		say(s.frames(low, high, s.lastFrame))
	} else if ok { // also for who knows no more of the clocks than the report says
		say(s.frames(min(low, from+said.lo-slack), max(high, to+said.hi+slack), s.lastFrame))
	} else {
		say(1, s.lastFrame)
	}
	out.tries = len(times)
	at := stamp(from).Format(clockFormat) + " to " + stamp(to).Format(clockFormat)
	switch {
	case out.tries == 0:
		out.doubt = s.covers()
		out.settle = fmt.Sprintf("a capture at %s that covers %s", name, at)
	case s.unsteady():
		out.doubt = fmt.Sprintf("the clock of %s was set while it ran, and nothing tells by how much", name)
		out.settle = fmt.Sprintf("captures at %s and its neighbours that share good connections before and after its clock was set", name)
	default:
		out.missed = cal.losses[v.steps[q].at].missedAll(wayOf(k.toServer), times)
		v.weigh(&out, q, k)
	}
	if out.doubt != "" && s.damage != nil {
		out.settle = fmt.Sprintf("the whole of %s, which is cut off", s.point.File)
	}
	return out
}

// weigh doubts an absence that the capture's own loss explains too well.
func (v *flowView) weigh(out *absent, q int, k kind) {
	loss := v.a.cal.losses[v.steps[q].at]
	limit := doubtful
	if loss.lossy(wayOf(k.toServer)) {
		limit = doubtfulLossy
	}
	if out.missed <= limit {
		return
	}
	name := v.point(q)
	_, hi := loss.bounds()
	out.doubt = fmt.Sprintf("for all that is known the capture at %s may itself miss up to %.2g %% of the packets, and the absence of %d proves too little then", name, 100*hi, out.tries)
	out.settle = fmt.Sprintf("captures at all points of more good connections, which measure what the one at %s loses, or one that loses less", name)
}

const clockFormat = "15:04:05.000"

func (s *survey) covers() string {
	if s.conns.len() == 0 {
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
	off := v.a.cal.offset(v.steps[p].at, v.steps[q].at, g.time)
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
	s := v.steps[i].s
	e := s.cite(g.frame, what)
	e.Time = stamp(s.raw(g.frame, g.time))
	e.Digest = hex.EncodeToString(g.digest[:])
	e.Filter = v.steps[i].packetFilter(g)
	if g.icmp {
		e.Filter = v.steps[i].filterICMP(g)
	}
	return e
}

// numbered finds a packet of which only the frame is known; nil if it is not there.
func (v *flowView) numbered(s *survey, frame uint64) (int, *sighting) {
	for i := range v.steps {
		for j := range v.steps[i].all {
			if g := &v.steps[i].all[j]; v.steps[i].s == s && g.frame == frame {
				return i, g
			}
		}
	}
	return -1, nil
}

// packetFilter finds one packet, and its copies, among those of its flow.
func (s *step) packetFilter(g *sighting) string {
	terms := s.addresses(g.toServer)
	for _, f := range []struct {
		name string
		flag byte
	}{{"syn", flagSYN}, {"ack", flagACK}, {"fin", flagFIN}, {"reset", flagRST}} {
		bit := 0
		if g.flags&f.flag != 0 {
			bit = 1
		}
		terms = append(terms, fmt.Sprintf("tcp.flags.%s==%d", f.name, bit))
	}
	terms = append(terms, s.seq(g.toServer, g.seq), fmt.Sprintf("tcp.len==%d", g.length))
	if g.flags&flagACK != 0 {
		terms = append(terms, s.ack(g.toServer, g.ack))
	}
	return strings.Join(terms, " && ")
}

// filterICMP finds an ICMP error by its type and by what it quotes, which went the
// other way. Of that, Wireshark shows the sequence number as it is and calls it
// tcp.seq; ICMPv4 quotes have no tcp.seq_raw.
func (s *step) filterICMP(g *sighting) string {
	icmp := "icmp"
	if g.icmpFrom.Is6() && !g.icmpFrom.Is4In6() {
		icmp = "icmpv6"
	}
	terms := []string{fmt.Sprintf("%s.type==%d", icmp, g.icmpWhat>>8), fmt.Sprintf("%s.code==%d", icmp, g.icmpWhat&255)}
	terms = append(terms, s.addresses(!g.toServer)...)
	return strings.Join(append(terms, fmt.Sprintf("tcp.seq==%d", g.seq+s.shift(!g.toServer))), " && ")
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
