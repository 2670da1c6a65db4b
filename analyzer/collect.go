package analyzer

import (
	"bytes"
	"context"
	"errors"
	"net/netip"

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
	status   int // of an HTTP response that starts here
	note     *trailerNote
	digest   [8]byte // see Evidence.Digest
}

func (s *sighting) is(set, clear byte) bool {
	return !s.icmp && s.flags&set == set && s.flags&clear == 0
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

	ids    map[string]tuple // request ids to look for; value: the client's own tuple
	idHits map[string][]tuple

	// Pauses of other points: packets seen here in one void the absence there.
	holes []*hole
}

// hole asks whether a pause at one point is a hole in its capture: whether
// traffic that should have been seen there was seen here.
type hole struct {
	gap    *gap // at the other point, in this point's time
	addrs  map[uint32]bool
	missed int
	at     int // index of the other point
	which  int // index of its gap
}

func newCollection(s *survey, tuples []tuple, ids map[string]tuple) *collection {
	c := &collection{want: map[flowKey]int{}, tuples: tuples, reversed: make([]bool, len(tuples)),
		seen: make([][]sighting, len(tuples)), ids: ids, idHits: map[string][]tuple{}}
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
	if !decode(link, f.Data, p) {
		return
	}
	p.frame, p.time = f.Number, f.Time
	if f.Number == s.slowExample.Frame {
		g := sighting{frame: f.Number, time: f.Time, toServer: true, flags: p.flags, seq: p.seq, ack: p.ack, length: p.length, digest: digest(f.Data)}
		src, _ := netip.AddrFromSlice(p.src)
		dst, _ := netip.AddrFromSlice(p.dst)
		s.slowExample = g.evidence(s.point, tuple{netip.AddrPortFrom(src, p.sport), netip.AddrPortFrom(dst, p.dport)}, s.slowExample.What)
	}
	if len(c.ids) > 0 && len(p.payload) > 32 && !p.icmp {
		c.findID(s, p)
	}
	i, found, srcIsB := 0, false, false
	if c.wanted(p.sport) || c.wanted(p.dport) {
		var key flowKey
		key, srcIsB = keyOf(s.names.id(p.src), p.sport, s.names.id(p.dst), p.dport)
		i, found = c.want[key]
	}
	if !found {
		for _, h := range c.holes {
			if p.time > h.gap.from && p.time < h.gap.to && (h.addrs[s.names.id(p.src)] || h.addrs[s.names.id(p.dst)]) {
				h.missed++
			}
		}
		return
	}
	if len(c.seen[i]) >= maxSightings {
		return
	}
	g := sighting{frame: p.frame, time: p.time, toServer: srcIsB == c.reversed[i], flags: p.flags, ttl: p.ttl,
		seq: p.seq, ack: p.ack, length: p.length, digest: digest(f.Data)}
	if p.icmp {
		// The quoted packet went the other way; the error comes back.
		g.icmp, g.icmpWhat, g.toServer = true, p.icmpWhat, !g.toServer
		g.icmpFrom, _ = netip.AddrFromSlice(p.icmpFrom)
	}
	if v := p.payload; len(v) > 12 && string(v[:7]) == "HTTP/1." {
		if n, ok := number(v[9:12]); ok {
			g.status = int(n)
		}
	}
	if s.point.Side != Clientside && s.point.Side != Serverside || g.flags&flagRST != 0 {
		var n trailerNote
		if decodeTrailer(f.Data, f.WireLength, &n) && (n.hasPeer || n.hasCause) {
			g.note = &n
		}
	}
	c.seen[i] = append(c.seen[i], g)
}

// findID looks for a request that carries one of the wanted ids.
func (c *collection) findID(s *survey, p *packet) {
	const name = "\r\nx-request-id:"
	b := p.payload
	if !(&message{request: true}).looksRight(b[:24]) {
		return
	}
	for i := bytes.IndexByte(b, '\r'); i >= 0 && i+len(name) < len(b); {
		if equalFold(b[i:i+len(name)], name) {
			v, _, _ := bytes.Cut(b[i+len(name):], []byte("\r"))
			id := string(bytes.Trim(v, " \t"))
			own, ok := c.ids[id]
			src, _ := netip.AddrFromSlice(p.src)
			dst, _ := netip.AddrFromSlice(p.dst)
			t := tuple{netip.AddrPortFrom(src, p.sport), netip.AddrPortFrom(dst, p.dport)}
			if ok && t != own && len(c.idHits[id]) < 16 {
				c.idHits[id] = append(c.idHits[id], t)
			}
			return
		}
		j := bytes.IndexByte(b[i+1:], '\r')
		if j < 0 {
			return
		}
		i += 1 + j
	}
}

// collect runs the second pass over all points.
func (a *analysis) collect(ctx context.Context, tuples []tuple, ids map[string]tuple) ([]*collection, error) {
	out := make([]*collection, len(a.surveys))
	for i, s := range a.surveys {
		out[i] = newCollection(s, tuples, ids)
		out[i].holes = a.holesSeenFrom(i)
	}
	err := a.eachPoint(ctx, "collect", func(i int, read reader) error {
		var p packet
		s, c := a.surveys[i], out[i]
		_, err := read(func(link uint16, f pcapng.Packet) { c.take(s, link, f, &p) })
		var cut *pcapng.TruncatedError
		if errors.As(err, &cut) {
			return nil // known since the survey
		}
		return err
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
func (a *analysis) holesSeenFrom(i int) []*hole {
	var out []*hole
	s := a.surveys[i]
	for j, q := range a.surveys {
		off := a.cal.offset(j, i)
		if j == i || !off.bounded() || len(q.gaps) > maxHoles {
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
			h := gap{from: g.from + off.hi + edge, to: g.to + off.lo - edge}
			if h.to > h.from {
				out = append(out, &hole{gap: &h, addrs: addrs, at: j, which: k})
			}
		}
	}
	return out
}
