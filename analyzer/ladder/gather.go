package ladder

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// sight is a packet as one point saw it.
type sight struct {
	column   int
	n        int // among the point's packets of wanted connections
	file     string
	frame    uint64
	time     int64 // as the file has it
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	window   uint16
	length   int
	content  string // what begins in it: a line of HTTP, TLS records
	spoiled  bool   // its checksum is wrong
	print    uint64
	icmp     bool
	icmpFrom netip.Addr
	icmpWhat [2]byte
	note     analyzer.PacketNote
	again    []uint64 // copies of it
	passed   []uint64 // the same packet with other addresses, which the point's host gave it
	// rewritten are the addresses here, where a box on the way has changed them; nil: the flow's.
	rewritten *analyzer.Conn
}

func (s *sight) is(set, clear byte) bool { return !s.icmp && s.flags&set == set && s.flags&clear == 0 }

// pointSeen is what a point has of the request.
type pointSeen struct {
	conns map[analyzer.Conn][]sight // by canonical addresses
	// pairs count the packets between two hosts, the smaller address's first: whether a
	// point is on their way, and captures what goes each way.
	pairs map[[2]netip.Addr]*[2]int
	last  int64   // time of the last packet of all
	gaps  []pause // in which the point has no packet at all
	full  int64   // from this time on data is no longer kept; 0: it all is
	n     int
	start netip.AddrPort // the client, where the server is not known
	// tied are connections whose SYNs' trailers name a wanted one as their peer.
	tied map[analyzer.Conn]bool
}

type pause struct{ from, to int64 }

const (
	// maxSights bounds what is kept of a connection at a point. Behind it only what opens
	// or ends a connection is.
	maxSights = 1 << 14
	maxOdd    = 1 << 12 // of the latter
	// A pause this long makes it doubtful that the point was listening.
	longPause = int64(2 * time.Second)
	maxPauses = 1 << 12
	maxTied   = 64
)

// gather reads all captures once and keeps the packets that each of the builders wants.
func gather(ctx context.Context, points []analyzer.Point, report *analyzer.Report, bs []*builder) error {
	for _, b := range bs {
		b.listen()
	}
	return analyzer.Packets(ctx, points, report, func(i int, p *analyzer.Packet) {
		for _, b := range bs {
			b.seen[i].take(i, b.wanted, p)
		}
	})
}

// listen makes ready for what is gathered.
func (b *builder) listen() {
	b.seen = make([]*pointSeen, len(b.columns))
	for i := range b.seen {
		p := &pointSeen{conns: map[analyzer.Conn][]sight{}, pairs: map[[2]netip.Addr]*[2]int{}, tied: map[analyzer.Conn]bool{}}
		for c := range b.wanted {
			p.pairs[pairOf(c)] = &[2]int{}
		}
		if !b.request.Server.IsValid() {
			p.start = b.request.Client
		}
		b.seen[i] = p
	}
}

func pairOf(c analyzer.Conn) [2]netip.Addr {
	a, b := c.Client.Addr(), c.Server.Addr()
	if b.Less(a) {
		a, b = b, a
	}
	return [2]netip.Addr{a, b}
}

// take looks at one packet of the point.
func (s *pointSeen) take(column int, wanted map[analyzer.Conn]bool, p *analyzer.Packet) {
	t := p.Time.UnixNano()
	if s.last != 0 && t-s.last > longPause && len(s.gaps) < maxPauses {
		s.gaps = append(s.gaps, pause{s.last, t})
	}
	s.last = max(s.last, t)
	c := canonical(p.Src, p.Dst)
	if n := s.pairs[pairOf(c)]; n != nil && !p.ICMP {
		if p.Src.Addr().Less(p.Dst.Addr()) {
			n[0]++
		} else {
			n[1]++
		}
	}
	if !wanted[c] && (!s.start.IsValid() || p.Src != s.start && p.Dst != s.start) {
		if !p.ICMP && p.Flags&(analyzer.FlagSYN|analyzer.FlagACK) == analyzer.FlagSYN && len(s.tied) < maxTied {
			if peer := p.Note().Peer; wanted[canonical(peer.Client, peer.Server)] {
				s.tied[c] = true
			}
		}
		return
	}
	list := s.conns[c]
	if odd := p.ICMP || p.Flags&(analyzer.FlagSYN|analyzer.FlagFIN|analyzer.FlagRST) != 0; len(list) >= maxSights {
		if s.full == 0 {
			s.full = t
		}
		if !odd || len(list) >= maxSights+maxOdd {
			return
		}
	}
	s.n++
	g := sight{column: column, n: s.n, file: p.File, frame: p.Frame, time: t, src: p.Src, dst: p.Dst, seq: p.Seq, ack: p.Ack,
		flags: p.Flags, window: p.Window, length: p.Len, content: content(p.Body), spoiled: p.Damaged(), print: p.Print(),
		icmp: p.ICMP, icmpFrom: p.ICMPFrom, icmpWhat: [2]byte{p.ICMPType, p.ICMPCode}, note: p.Note()}
	for i := len(list) - 1; i >= max(0, len(list)-maxBetween) && abs(g.time-list[i].time) < copyApart; i-- {
		if g.copies(&list[i]) {
			list[i].again = append(list[i].again, g.frame)
			return
		}
	}
	s.conns[c] = append(list, g)
}

// How far apart copies of one packet are, as SPAN ports make them: in time, and in packets
// of the connection.
const (
	copyApart  = int64(time.Millisecond)
	maxBetween = 64
)

// copies tells whether g is a packet just before it once more.
func (g *sight) copies(h *sight) bool {
	return g.print == h.print && g.src == h.src && g.seq == h.seq && g.ack == h.ack && g.flags == h.flags && g.length == h.length &&
		g.icmp == h.icmp && g.icmpWhat == h.icmpWhat && g.file == h.file
}

// learn looks at what was gathered. It asks for another time if nobody had said whom the
// client talked to, or if only trailers tell which serverside connections are the
// request's; otherwise the flows are found, of which there are none where the captures
// hold no packet of them.
func (b *builder) learn() (again bool) {
	if !b.request.Server.IsValid() {
		if !b.meet() {
			return false
		}
		b.wanted[canonical(b.request.Client, b.request.Server)] = true
		return true
	}
	front := b.clientside()
	if len(b.wanted) == 1 && b.request.Serverside == nil && !b.asked {
		b.asked = true
		for _, c := range b.peers(front) {
			b.wanted[c], again = true, true
		}
		if again {
			return true
		}
	}
	if front != nil {
		b.flows = append(b.flows, front)
	}
	b.serverside(front)
	return false
}

// meet finds out whom the client's port talked to: the first that it did.
func (b *builder) meet() bool {
	first := int64(0)
	for i, p := range b.seen {
		for c, list := range p.conns {
			if t := list[0].time - int64(b.columns[i].Clock); first == 0 || t < first {
				first = t
				b.request.Server = c.Server
				if c.Server == b.request.Client {
					b.request.Server = c.Client
				}
			}
		}
	}
	return first != 0
}

func (b *builder) noPackets() error {
	what := "no packet of " + b.request.Client.String()
	if b.request.Server.IsValid() {
		what += " → " + b.request.Server.String()
	}
	return &analyzer.InputError{Kind: analyzer.ErrMalformed, File: "the captures", What: "they hold " + what,
		Fix: "give the address and port of a client as the captures have it"}
}

// peers are the connections that trailers tie to the request's and that were not looked
// for: those that its clientside frames name, and those whose SYNs name it.
func (b *builder) peers(front *flow) (out []analyzer.Conn) {
	if front == nil {
		return nil
	}
	for _, p := range b.seen {
		for c := range p.tied {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	for i := range front.sights {
		for k := range front.sights[i] {
			g := &front.sights[i][k]
			p := g.note.Peer
			c := canonical(p.Client, p.Server)
			if p.Client.IsValid() && b.corrected(g) >= front.from && !b.wanted[c] && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}
