package analyzer

import (
	"net/netip"
	"slices"
)

// pathFinder knows which points a flow passes and what their faces are. It
// trusts the order of the points, and else what the captures show.
type pathFinder struct {
	surveys  []*survey
	order    *pointOrder
	endHost  []bool // all traffic at the point starts or ends at its own addresses
	branch   []netip.Addr
	proxyOwn []map[netip.Addr]bool // nil but for points of proxies
	ends     []netip.Addr          // at an unnamed point: the host it is proven to be at
	cache    map[[2]netip.Addr][]int
}

func newPathFinder(surveys []*survey, order *pointOrder) *pathFinder {
	f := &pathFinder{surveys: surveys, order: order, endHost: make([]bool, len(surveys)),
		branch: make([]netip.Addr, len(surveys)), cache: map[[2]netip.Addr][]int{}}
	talks := func(p netip.Prefix) bool {
		return slices.ContainsFunc(surveys, func(s *survey) bool { return s.names.saw(p.Addr()) })
	}
	for i, s := range surveys {
		own := func(a netip.Addr) bool {
			return slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
		}
		f.endHost[i] = len(s.addrs) > 0
		for j := range s.conns.len() {
			if t := s.tuple(s.conns.at(j)); !own(t.client.Addr()) && !own(t.server.Addr()) {
				f.endHost[i] = false
				break
			}
		}
		if s.conns.len() == 0 && !slices.ContainsFunc(s.addrs, talks) {
			f.endHost[i] = false
		}
	}
	f.findBranches()
	f.findProxies()
	f.findEnds()
	return f
}

// findBranches recognises servers in captures without interface addresses:
// points of different hops, each of which saw one server only, and not the
// same, behind a point that saw them all.
func (f *pathFinder) findBranches() {
	only := make([]netip.Addr, len(f.surveys))
	hops := map[string]int{}
	for i, s := range f.surveys {
		hops[s.point.Hop]++
		for e := range s.servers {
			a := s.names.addr(e.addr)
			if only[i].IsValid() && only[i] != a {
				only[i] = netip.Addr{}
				break
			}
			only[i] = a
		}
	}
	for i, s := range f.surveys {
		if !only[i].IsValid() || s.point.Side != Serverside || hops[s.point.Hop] != 1 || len(s.addrs) > 0 {
			continue
		}
		fork := slices.ContainsFunc(f.surveys[:i], func(u *survey) bool {
			return len(u.servers) > 1 && u.point.Side == Serverside && u.names.saw(only[i])
		})
		sibling := false
		for j := range f.surveys {
			sibling = sibling || j != i && only[j].IsValid() && only[j] != only[i] && f.surveys[j].point.Side == Serverside
		}
		if fork && sibling {
			f.branch[i] = only[i]
		}
	}
}

// isEnd tells whether the point is at the host that owns the address.
func (f *pathFinder) isEnd(i int, a netip.Addr) bool {
	s := f.surveys[i]
	if s.point.Side == Both {
		return f.proxyOwn[i][a]
	}
	if f.endHost[i] {
		return slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
	}
	if f.order.isBare(i) {
		return f.ends[i] == a
	}
	if f.branch[i].IsValid() {
		return f.branch[i] == a
	}
	// Without any address known, the first clientside point is the client's.
	return i == 0 && s.point.Side == Clientside && len(s.addrs) == 0 && s.names.saw(a) && !f.isServer(i, a)
}

func (f *pathFinder) isServer(i int, a netip.Addr) bool {
	s := f.surveys[i]
	for e := range s.servers {
		if s.names.addr(e.addr) == a {
			return true
		}
	}
	return false
}

// isServerPort tells whether a point saw connections to the endpoint.
func (f *pathFinder) isServerPort(s *survey, to netip.AddrPort) bool {
	id, ok := s.names.find(to.Addr())
	if !ok {
		return false
	}
	_, ok = s.servers[endpoint{id, to.Port()}]
	return ok
}

// path returns the points that a flow passes, client end first.
func (f *pathFinder) path(t tuple) []int {
	key := [2]netip.Addr{t.client.Addr(), t.server.Addr()}
	if p, ok := f.cache[key]; ok {
		return p
	}
	var on []int
	for i := range f.surveys {
		if f.passes(i, key[0], key[1]) {
			on = append(on, i)
		}
	}
	// A silent face of a hop that the flow enters belongs to its path too.
	for i, s := range f.surveys {
		if s.conns.len() == 0 && !slices.Contains(on, i) && !f.endHost[i] && s.point.Side != Both &&
			slices.ContainsFunc(on, func(j int) bool {
				return f.surveys[j].point.Hop == s.point.Hop && f.surveys[j].point.Side == s.point.Side
			}) {
			on = append(on, i)
		}
	}
	slices.Sort(on)
	f.cache[key] = on
	return on
}

func (f *pathFinder) passes(i int, client, server netip.Addr) bool {
	s := f.surveys[i]
	own := func(a netip.Addr) bool {
		return slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
	}
	if f.endHost[i] {
		return own(client) || own(server)
	}
	if f.branch[i].IsValid() {
		return f.branch[i] == server
	}
	if f.isServer(i, server) && s.names.saw(client) {
		return true
	}
	// Never seen there; but the face is in the server's own network.
	return s.point.Side == Serverside && slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Masked().Contains(server) }) &&
		s.names.saw(client)
}
