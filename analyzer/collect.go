package analyzer

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// sighting is one packet of a wanted flow at a point.
type sighting struct {
	frame    uint64
	time     int64
	toServer bool
	flags    byte
	ttl      byte
	icmp     bool
	icmpWhat uint16
	icmpFrom netip.Addr
	seq, ack uint32
	length   int
	status   int    // of an HTTP response that starts here
	expects  uint32 // bytes of it, head and body; 0: unknown
	size     int    // of the IP packet
	alert    byte   // description of a fatal TLS alert in the clear, plus one; 0: none
	note     *trailerNote
	mark     uint64  // of what who renumbers packets leaves as it is; 0: nothing was captured of it
	tsval    uint32  // its time stamp, RFC 7323 §3.2
	stamped  bool    // … if it has one
	sum      uint16  // its checksum, right or wrong; 0: not captured
	damaged  bool    // … is wrong
	shut     bool    // it says that its sender's receive window is zero
	cut      bool    // not all of it was captured, so that its checksum tells nothing
	passed   bool    // the same point has it again with another TTL: it passed a router
	next     nextHop // whom its frame is for
	digest   [8]byte // SHA-256 of the captured bytes, its beginning
}

func (s *sighting) is(set, clear byte) bool {
	return !s.icmp && s.flags&set == set && s.flags&clear == 0
}

// begins is the initial sequence number of the connection that a SYN or SYN-ACK begins;
// false for what is neither.
func (s *sighting) begins() (isn uint32, ok bool) {
	switch {
	case s.toServer && s.is(flagSYN, flagACK):
		return s.seq, true
	case !s.toServer && s.is(flagSYN|flagACK, 0):
		return s.ack - 1, true
	}
	return 0, false
}

// maxSightings bounds what is kept of one tuple at one point. Beyond it the
// flow is too long for this kind of judgement.
const maxSightings = 1 << 14

// collection is what the second pass gathers at one point.
type collection struct {
	want     map[flowKey]int // index into tuples
	tuples   []tuple
	reversed []bool // the initiator is the key's second end
	ports    [1 << 16 / 64]uint64
	seen     [][]sighting
	only     map[int]*bytesWanted // as in wanted

	keys map[uint64]bool // requests to look for by their message
	hits map[uint64][]requestHit

	// Behind a box that rewrites addresses: who has these initial sequence numbers.
	isns  map[uint32]bool
	byISN map[uint32][]tuple

	copies *copies // nil: the survey found none

	// portsDecide: nothing is looked for but tuples, so most frames need not be decoded.
	portsDecide bool

	// Pauses of other points: packets seen here in one void the absence there.
	holes []*hole
}

// requestHit is a request found by its message in another connection.
type requestHit struct {
	tuple
	seq  uint32 // of its first byte
	time int64
}

// hole asks whether a pause at one point is a hole in its capture: whether
// traffic that should have been seen there was seen here.
type hole struct {
	gap    *gap // at the other point, in this point's time
	addrs  map[uint32]bool
	held   map[uint32]bool // what is for them was waiting in a hop
	missed int
	at     int // index of the other point
	which  int // index of its gap
}

func newCollection(s *survey, tuples []tuple, keys map[uint64]bool) *collection {
	c := &collection{want: map[flowKey]int{}, tuples: tuples, reversed: make([]bool, len(tuples)),
		seen: make([][]sighting, len(tuples)), keys: keys, hits: map[uint64][]requestHit{}}
	if s.duplicates > 0 {
		c.copies = &copies{all: true}
	}
	for i, t := range tuples {
		key, b := s.names.key(t)
		c.want[key], c.reversed[i] = i, b
		p := t.client.Port()
		c.ports[p/64] |= 1 << (p % 64)
	}
	return c
}

func (c *collection) wanted(port uint16) bool { return c.ports[port/64]&(1<<(port%64)) != 0 }

// take digests one frame.
func (c *collection) take(s *survey, link uint16, f pcapng.Packet, p *packet) {
	if !isTime(f.Time) {
		return
	}
	if c.portsDecide {
		if sport, dport, plain := plainPorts(link, f.Data); plain && !c.wanted(sport) && !c.wanted(dport) {
			return
		}
	}
	p.frame, p.time = f.Number, f.Time
	if !decode(link, f.Data, p) {
		return
	}
	if c.copies != nil && c.copies.are(p) {
		c.noteCopy(s, p)
		return
	}
	p.time = s.steady(f.Number, f.Time)
	if len(c.keys) > 0 && len(p.payload) > 16 && !p.icmp {
		c.findRequest(p)
	}
	if c.isns != nil && p.flags&flagSYN != 0 {
		c.noteISN(p)
	}
	i, found, srcIsB := 0, false, false
	if c.wanted(p.sport) || c.wanted(p.dport) {
		var key flowKey
		key, srcIsB = keyOf(s.names.id(p.src), p.sport, s.names.id(p.dst), p.dport)
		i, found = c.want[key]
	}
	if !found {
		if p.flags&(flagSYN|flagACK) == flagSYN {
			return // it may have met the same fate as those asked about; if it passed, more follows
		}
		for _, h := range c.holes {
			if p.time > h.gap.from && p.time < h.gap.to && (h.addrs[s.names.id(p.src)] || h.addrs[s.names.id(p.dst)] && !h.held[s.names.id(p.dst)]) {
				h.missed++
			}
		}
		return
	}
	if len(c.seen[i]) >= maxSightings || c.only != nil && !c.keeps(i, srcIsB == c.reversed[i], p) {
		return
	}
	g := sighting{frame: p.frame, time: p.time, toServer: srcIsB == c.reversed[i], flags: p.flags, ttl: p.ttl,
		seq: p.seq, ack: p.ack, length: p.length, size: p.size, mark: p.mark(), sum: p.sum(), damaged: p.damaged(), cut: p.cut}
	g.next = p.nextHop(f.Data)
	g.shut = p.window == 0 && g.is(flagACK, flagSYN|flagRST) && !p.icmp
	g.tsval, g.stamped = p.timeStamp()
	sum := sha256.Sum256(f.Data)
	copy(g.digest[:], sum[:])
	if p.icmp {
		// The quoted packet went the other way; the error comes back.
		g.icmp, g.icmpWhat, g.toServer = true, p.icmpWhat, !g.toServer
		g.icmpFrom, _ = netip.AddrFromSlice(p.icmpFrom)
	}
	if v := p.payload; len(v) > 12 && string(v[:7]) == "HTTP/1." {
		if n, ok := number(v[9:12]); ok {
			g.status = int(n)
		}
		g.expects = responseLength(v)
	}
	g.alert = fatalAlert(p)
	if s.point.Side != Clientside && s.point.Side != Serverside || g.flags&flagRST != 0 {
		var n trailerNote
		if decodeTrailer(f.Data, f.WireLength, &n) && (n.hasPeer || n.hasCause) {
			g.note = &n
		}
	}
	c.seen[i] = append(c.seen[i], g)
}

// keeps tells whether a packet of a tuple is wanted.
func (c *collection) keeps(i int, toServer bool, p *packet) bool {
	only := c.only[i]
	if only == nil || p.icmp || p.flags&(flagSYN|flagFIN|flagRST) != 0 {
		return true
	}
	seqs := only[wayOf(toServer)]
	if len(seqs) == 0 || p.length == 0 {
		return false
	}
	next, _ := slices.BinarySearch(seqs, p.seq)
	if next == len(seqs) {
		next = 0 // sequence numbers wrap
	}
	return seqs[next]-p.seq < uint32(p.length)
}

// noteCopy marks the packet of which this is a copy from behind a router.
func (c *collection) noteCopy(s *survey, p *packet) {
	if !c.copies.routed || !c.wanted(p.sport) && !c.wanted(p.dport) {
		return
	}
	key, _ := keyOf(s.names.id(p.src), p.sport, s.names.id(p.dst), p.dport)
	i, found := c.want[key]
	if !found {
		return
	}
	for j := len(c.seen[i]) - 1; j >= 0; j-- {
		if g := &c.seen[i][j]; g.seq == p.seq && g.flags == p.flags && g.length == p.length {
			g.passed = true
			return
		}
	}
}

// tlsAlert is the content type of a TLS alert record, RFC 8446 §5.1.
const tlsAlert = 21

// fatalAlert returns the description of a fatal TLS alert in the clear, plus one; 0
// for any other packet. An encrypted alert is longer than these seven bytes.
func fatalAlert(p *packet) byte {
	if v := p.payload; len(v) == 7 && p.length == 7 && v[0] == tlsAlert && v[1] == 3 && v[5] == 2 && v[6] < 255 {
		return v[6] + 1
	}
	return 0
}

// findRequest looks for a request that is wanted by its message.
func (c *collection) findRequest(p *packet) {
	key := requestKey(p.payload, len(p.payload) == p.length)
	if key == 0 || !c.keys[key] {
		return
	}
	src, _ := netip.AddrFromSlice(p.src)
	dst, _ := netip.AddrFromSlice(p.dst)
	h := requestHit{tuple{netip.AddrPortFrom(src, p.sport), netip.AddrPortFrom(dst, p.dport)}, p.seq, p.time}
	known := slices.ContainsFunc(c.hits[key], func(o requestHit) bool { return o.tuple == h.tuple && o.seq == h.seq })
	if !known && len(c.hits[key]) < maxHits {
		c.hits[key] = append(c.hits[key], h)
	}
}

// noteISN remembers which connection has a wanted initial sequence number.
func (c *collection) noteISN(p *packet) {
	isn, answer := p.seq, p.flags&flagACK != 0
	if answer {
		isn = p.ack - 1
	}
	if !c.isns[isn] || len(c.byISN[isn]) >= maxHits {
		return
	}
	src, _ := netip.AddrFromSlice(p.src)
	dst, _ := netip.AddrFromSlice(p.dst)
	t := tuple{netip.AddrPortFrom(src, p.sport), netip.AddrPortFrom(dst, p.dport)}
	if answer {
		t = tuple{t.server, t.client}
	}
	if !slices.Contains(c.byISN[isn], t) {
		c.byISN[isn] = append(c.byISN[isn], t)
	}
}

// maxHits bounds how often one request's message is noted at a point: more is no
// identity.
const maxHits = 16

// collect runs the second pass over all points.
func (a *analysis) collect(ctx context.Context, tuples []tuple, keys map[uint64]bool, isns map[uint32]bool) ([]*collection, error) {
	for _, only := range a.wanted.only {
		slices.Sort(only[up])
		slices.Sort(only[down])
	}
	waits := make([][]wait, len(a.surveys))
	for i, s := range a.surveys {
		waits[i] = s.waits()
	}
	out := make([]*collection, len(a.surveys))
	for i, s := range a.surveys {
		out[i] = newCollection(s, tuples, keys)
		out[i].holes = a.holesSeenFrom(i, waits)
		out[i].only = a.wanted.only
		if a.isBehind(i) {
			out[i].isns, out[i].byISN = isns, map[uint32][]tuple{}
		}
	}
	for _, c := range out {
		c.portsDecide = len(c.keys)+len(c.isns)+len(c.holes) == 0 && c.copies == nil
	}
	err := a.eachPoint(ctx, "collect", func(i int, read reader) error {
		var p packet
		s, c := a.surveys[i], out[i]
		return read(func(link uint16, f pcapng.Packet) { c.take(s, link, f, &p) })
	})
	if err != nil {
		return nil, err
	}
	for _, c := range out {
		for _, h := range c.holes {
			g := &a.surveys[h.at].gaps[h.which]
			g.missed = max(g.missed, h.missed)
		}
	}
	return out, nil
}

// maxHoles bounds the pauses that are examined: a capture with more is idle
// most of the time.
const maxHoles = 256

// holesSeenFrom lists the pauses at other points which this point's traffic
// can expose. Only traffic with an address that the other point also carries
// counts, and only between captures whose clocks are linked.
func (a *analysis) holesSeenFrom(i int, waits [][]wait) []*hole {
	var out []*hole
	s := a.surveys[i]
	for j, q := range a.surveys {
		if j == i || len(q.gaps) > maxHoles || !a.cal.offset(j, i, q.first).bounded() {
			continue
		}
		// What both carry: a server that both have seen connections to.
		addrs := map[uint32]bool{}
		for e := range q.servers {
			if addr := q.names.addr(e.addr); a.topo.isServer(i, addr) {
				addrs[s.names.idOf(addr)] = true
			}
		}
		if len(addrs) == 0 {
			continue
		}
		const edge = int64(20e6) // packets under way when the pause begins or ends
		for k, g := range q.gaps {
			off := a.cal.offset(j, i, g.from)
			h := gap{from: g.from + off.hi + edge, to: g.to + off.lo - edge}
			if h.to > h.from {
				held := map[uint32]bool{}
				for _, w := range waits[j] {
					if w.from <= g.from && g.to <= w.to {
						held[s.names.idOf(w.host)] = true
					}
				}
				out = append(out, &hole{gap: &h, addrs: addrs, held: held, at: j, which: k})
			}
		}
	}
	return out
}
