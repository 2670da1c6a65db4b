package analyzer

import (
	"net/netip"
	"slices"
)

// initialTTLs are those that systems send with: Linux, BSD and macOS; Windows;
// Solaris, routers and many appliances.
var initialTTLs = []uint8{64, 128, 255}

// findEnds looks, for points that nobody named and whose file has no interface
// address, for the host that the point is at: the capture itself must prove it.
//
// What a host sends has its initial TTL on its own segment and nowhere else, so
// a TTL tells "at the host or directly before it", no more: a mirror port in
// front of a server looks just like the server. That is close enough for a name
// that only says "at this capture", if moreover the point carries that host's
// traffic only, while one before it carries other hosts' too. Without such a
// fork in between, the router's own last face could be meant, and its link to
// the server at fault; then nothing is called an end, and a label settles it.
func (f *pathFinder) findEnds() {
	f.ends = make([]netip.Addr, len(f.surveys))
	for i, s := range f.surveys {
		if !f.order.isBare(i) || len(s.addrs) > 0 || s.point.Side == Both {
			continue
		}
		if a, ok := s.onlyServer(); ok && f.fork(i, a) && f.nearest(i, a, +1) && s.sendsHere(a) {
			f.ends[i] = a
		} else if a, ok := s.onlyClient(); ok && f.nearest(i, a, -1) && s.sendsHere(a) {
			f.ends[i] = a
		}
	}
}

// onlyServer returns the host that all connections at the point go to.
func (s *survey) onlyServer() (netip.Addr, bool) {
	return s.only(func(t tuple) netip.Addr { return t.server.Addr() })
}

// onlyClient returns the host that opens all connections at the point.
func (s *survey) onlyClient() (netip.Addr, bool) {
	return s.only(func(t tuple) netip.Addr { return t.client.Addr() })
}

func (s *survey) only(of func(tuple) netip.Addr) (a netip.Addr, ok bool) {
	for i := range s.conns.len() {
		b := of(s.tuple(s.conns.at(i)))
		if a.IsValid() && a != b {
			return a, false
		}
		a = b
	}
	return a, a.IsValid()
}

// sendsHere tells whether all that a host sends has the same initial TTL here.
func (s *survey) sendsHere(a netip.Addr) bool {
	var seen uint8
	for i := range s.samples.all {
		h := &s.samples.all[i]
		for _, x := range [...]struct {
			from netip.Addr
			ttl  uint8
		}{{h.client.Addr(), h.ttl.syn}, {h.server.Addr(), h.ttl.synAck}} {
			if x.from != a || x.ttl == 0 {
				continue
			}
			if seen != 0 && seen != x.ttl {
				return false
			}
			seen = x.ttl
		}
	}
	return slices.Contains(initialTTLs, seen)
}

// nearest tells whether no other point is nearer to the host, or might be: in
// the direction of servers (+1) or of clients (-1).
func (f *pathFinder) nearest(i int, a netip.Addr, way int) bool {
	for j, q := range f.surveys {
		if j == i || q.conns.len() == 0 || !q.names.saw(a) {
			continue
		}
		if !f.order.known(i, j) || (j-i)*way > 0 {
			return false
		}
	}
	return true
}

// fork tells whether a point before i sees the host, and other servers too.
func (f *pathFinder) fork(i int, server netip.Addr) bool {
	return slices.ContainsFunc(f.surveys[:i], func(q *survey) bool {
		others := false
		for e, v := range q.servers {
			others = others || q.names.addr(e.addr) != server && v.side != front
		}
		return others && f.isServer(q.index, server)
	})
}

func (s *survey) destinations() []netip.AddrPort {
	var out []netip.AddrPort
	for e := range s.servers {
		out = append(out, s.dest(e))
	}
	return out
}
