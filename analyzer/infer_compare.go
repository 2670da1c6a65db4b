package analyzer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// relation is what the connections that two points p and q both saw tell about
// their places.
type relation struct {
	shared    int    // sampled connections seen at both
	first     int8   // +1: p is nearer to the client, -1: q is, 0: not known
	clash     bool   // the evidence contradicts itself
	same      bool   // the two are one capture, given twice
	rewritten bool   // same addresses and ports, never the same sequence number
	tried     string // for people: what was compared, if that decides nothing
}

// votes are for p or q being first.
type votes struct{ p, q int }

// compareAll relates every two points.
func compareAll(surveys []*survey) [][]relation {
	out := make([][]relation, len(surveys))
	for p := range surveys {
		out[p] = make([]relation, len(surveys))
	}
	for p := range surveys {
		for q := p + 1; q < len(surveys); q++ {
			r := compare(surveys[p], surveys[q])
			out[p][q] = r
			r.first = -r.first
			out[q][p] = r
		}
	}
	return out
}

// compare weighs three independent kinds of evidence. Each is either silent or
// says who is first; that two of them disagree is a contradiction and decides
// nothing, since then something is not what it seems.
func compare(p, q *survey) relation {
	var r relation
	var own, ttl votes
	var ways []int64
	identical := true
	shared(p, q, func(x, y *handshake) {
		r.shared++
		own.address(p, q, x.tuple)
		ttl.hops(x.ttl, y.ttl)
		identical = identical && x.syn == y.syn && x.synAck == y.synAck && x.ttl == y.ttl
		if once(x) && once(y) {
			ways = append(ways, roundTrip(x, y))
		}
	})
	if r.shared == 0 {
		r.rewritten = sameTuples(p, q)
		return r
	}
	r.same = identical && p.packets == q.packets && slices.Equal(p.chunks, q.chunks)
	slices.Sort(ways)
	byOwn, byTTL, byTime := own.exact(), ttl.exact(), causality(ways, wayNoise(p, q))
	said := []int8{byOwn, byTTL, byTime}
	p1, q1 := slices.Contains(said, 1), slices.Contains(said, -1)
	r.clash = p1 && q1 || own.mixed() || ttl.mixed()
	if !r.clash {
		r.first = byOwn + byTTL + byTime
		r.first = max(-1, min(1, r.first))
	}
	r.tried = tried(r.shared, ttl, ways)
	return r
}

// address: whoever sits on an interface that has the connection's own address
// is at its end.
func (v *votes) address(p, q *survey, t tuple) {
	if p.owns(t.client.Addr()) || q.owns(t.server.Addr()) {
		v.p++
	}
	if q.owns(t.client.Addr()) || p.owns(t.server.Addr()) {
		v.q++
	}
}

func (s *survey) owns(a netip.Addr) bool {
	return slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// hops: a router takes one from the TTL (RFC 791 §3.2) or hop limit (RFC 8200
// §3) of what it forwards. So a SYN's falls on its way to the server and a
// SYN-ACK's rises towards it. Equal ones say that no router is in between.
func (v *votes) hops(p, q ttls) {
	vote := func(higher, lower uint8) {
		switch {
		case higher == 0 || lower == 0: // not seen at one of them
		case higher > lower:
			v.p++
		case higher < lower:
			v.q++
		}
	}
	vote(p.syn, q.syn)
	vote(q.synAck, p.synAck)
}

// exact decides on evidence that has no noise. Routes do change, so one in
// twenty may say otherwise.
func (v votes) exact() int8 {
	switch {
	case v.p > 20*v.q:
		return 1
	case v.q > 20*v.p:
		return -1
	}
	return 0
}

func (v votes) mixed() bool { return v.p+v.q > 0 && v.exact() == 0 }

// once tells whether both halves of a handshake were seen, without retries: a
// retry's partner at another point is not certain.
func once(h *handshake) bool { return h.syns == 1 && h.synAcks == 1 }

// roundTrip is what a handshake takes between p and q, there and back. Whoever
// is first makes it positive, however the clocks stand: their offset is in it
// once with either sign. See [checkOrder].
func roundTrip(x, y *handshake) int64 { return y.syn - x.syn + x.synAck - y.synAck }

// causality decides on sorted round trips. Many small ones that agree will do,
// or a few that are larger than any noise.
func causality(ways []int64, noise int64) int8 {
	var v votes
	for _, w := range ways {
		switch {
		case w > 0:
			v.p++
		case w < 0:
			v.q++
		}
	}
	n := len(ways)
	winner, loser, sign := v.p, v.q, int8(1)
	if v.q > v.p {
		winner, loser, sign = v.q, v.p, -1
	}
	if winner <= 4*loser || 2*winner < n {
		return 0
	}
	size := ways[n/2] * int64(sign)
	if n >= 20 && noise < disorder || n >= fewOrdered && size > noise || size > disorder+noise {
		return sign
	}
	return 0
}

// sameTuples finds what rewrites sequence numbers: a firewall that randomises
// them, or one that answers for the server. The two points then see the same
// addresses and ports, and no connection that is the same.
func sameTuples(p, q *survey) bool {
	const enough = 4096
	for i := range min(p.conns.len(), enough) {
		c := p.conns.at(i)
		if c.flags&knowsISN == 0 {
			continue
		}
		if other := q.conn(p.tuple(c)); other != nil && other.flags&knowsISN != 0 {
			return true
		}
	}
	return false
}

func tried(n int, ttl votes, ways []int64) string {
	s := fmt.Sprintf("%d connections are at both", n)
	if n >= sampleSize {
		s = fmt.Sprintf("%d connections were compared", n)
	}
	switch {
	case ttl.p+ttl.q == 0:
		s += ", with equal TTLs"
	case ttl.mixed():
		s += ", their TTLs say both"
	}
	if len(ways) == 0 {
		return s + ", and no handshake has both its halves at both"
	}
	median := time.Duration(int64(math.Abs(float64(ways[len(ways)/2]))))
	return s + fmt.Sprintf(", and a SYN and its SYN-ACK take %v between them", median)
}
