package analyzer

import (
	"maps"
	"net/netip"
	"slices"
)

// side is where a destination of connections lies, seen from a proxy.
type side int8

const (
	back    side = -1 // the proxy connects to it
	unknown side = 0
	front   side = 1 // clients connect to it: it is the proxy
)

// proof is how many independent hints make a destination a proxy's. An F5
// trailer counts for all of them.
const proof = 3

// fronts sorts destinations by what ties connections to them together.
//
//	client         proxy          server
//	   |--request-->|                |
//	   |            |---request----->|   the same line in both requests, and
//	   |            |<--------answer-|   the one that waits longer encloses
//	   |<----answer-|                |   the other, whatever the clocks say
func (in *inference) fronts() {
	known := map[netip.AddrPort]bool{}
	for _, s := range in.surveys {
		for e := range s.servers {
			known[s.dest(e)] = true
		}
	}
	outer, inner := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
	pairs := map[[2]netip.AddrPort]bool{}
	vote := func(a, b netip.AddrPort, weight int) {
		outer[a] += weight
		inner[b] += weight
		pairs[[2]netip.AddrPort{a, b}] = true
	}
	for _, s := range in.surveys {
		ties := maps.Clone(s.clues.ties)
		k := clues{ties: ties}
		for i := range s.resets {
			k.tie(s.resets[i].tuple, &s.resets[i].note)
		}
		for d := range ties {
			if known[d[0]] && known[d[1]] && d[0] != d[1] {
				vote(d[0], d[1], proof)
			}
		}
	}
	for _, waits := range in.echoes() {
		for _, x := range waits {
			for _, y := range waits {
				if x.least > y.most {
					vote(x.to, y.to, 1)
				}
			}
		}
	}
	for d := range known {
		switch o, i := outer[d], inner[d]; {
		case o >= proof && o > 4*i:
			in.dest[d] = front
		case i >= proof && i > 4*o:
			in.dest[d] = back
		}
	}
	for d := range pairs {
		if in.dest[d[0]] == front && in.dest[d[1]] == back {
			in.join(d[0], d[1])
		}
	}
}

// waiting is how long one request to a destination waited for its answer, at
// the points that saw it.
type waiting struct {
	to          netip.AddrPort
	least, most int64
}

// echoes lists the lines that one request to each of several destinations had.
func (in *inference) echoes() map[uint64][]waiting {
	out := map[uint64][]waiting{}
	common := map[uint64]bool{}
	for _, s := range in.surveys {
		for k, e := range s.clues.echoes {
			if e.times > 1 {
				common[k.line] = true
				continue
			}
			w := out[k.line]
			i := slices.IndexFunc(w, func(w waiting) bool { return w.to == k.to })
			if i < 0 {
				out[k.line] = append(w, waiting{k.to, e.wait, e.wait})
				continue
			}
			w[i].least, w[i].most = min(w[i].least, e.wait), max(w[i].most, e.wait)
		}
	}
	maps.DeleteFunc(out, func(line uint64, w []waiting) bool { return common[line] || len(w) < 2 })
	return out
}

func (s *survey) dest(e endpoint) netip.AddrPort { return addrPort(s.names.addr(e.addr), e.port) }

// given takes over the sides that somebody told.
func (in *inference) given() {
	first := -1
	for i, s := range in.surveys {
		if s.point.Side == "" {
			continue
		}
		if first < 0 {
			first = i
		}
		in.sets.union(first, i)
		for e := range s.servers {
			switch s.point.Side {
			case Clientside:
				in.dest[s.dest(e)] = front
			case Serverside:
				in.dest[s.dest(e)] = back
			}
		}
	}
}

// spread sorts the destinations that nothing ties to others — no request to
// them was ever answered — by the company they keep.
func (in *inference) spread() {
	for changed := true; changed; {
		changed = false
		for _, s := range in.surveys {
			fronts, backs := in.kinds(s)
			for e, v := range s.servers {
				d := s.dest(e)
				if in.dest[d] != unknown {
					continue
				}
				switch {
				case len(fronts) > 0 && len(backs) > 0:
					in.dest[d] = s.likeness(v, fronts, backs)
				case len(fronts) > 0:
					in.dest[d] = front
				case len(backs) > 0:
					in.dest[d] = back
				}
				changed = changed || in.dest[d] != unknown
			}
		}
	}
}

// kinds lists what is known of a point's destinations.
func (in *inference) kinds(s *survey) (fronts, backs []*serverSeen) {
	for e, v := range s.servers {
		switch in.dest[s.dest(e)] {
		case front:
			fronts = append(fronts, v)
		case back:
			backs = append(backs, v)
		}
	}
	return fronts, backs
}

// likeness sorts a destination at a point that sees both sides of a proxy: by
// the VLAN, where the sides differ in it, else by who connects to it.
func (s *survey) likeness(v *serverSeen, fronts, backs []*serverSeen) side {
	vlans := func(of []*serverSeen) map[uint16]bool {
		out := map[uint16]bool{}
		for _, v := range of {
			out[v.vlan] = true
		}
		return out
	}
	if f, b := vlans(fronts)[v.vlan], vlans(backs)[v.vlan]; f != b {
		return sideOf(f)
	}
	clients := s.clientsOf()
	meets := func(of []*serverSeen) bool {
		return slices.ContainsFunc(of, func(o *serverSeen) bool {
			for a := range clients[o] {
				if clients[v][a] {
					return true
				}
			}
			return false
		})
	}
	if f, b := meets(fronts), meets(backs); f != b {
		return sideOf(f)
	}
	return unknown
}

func sideOf(clients bool) side {
	if clients {
		return front
	}
	return back
}

// clientsOf lists who connects to each destination, as far as anybody is remembered.
func (s *survey) clientsOf() map[*serverSeen]map[uint32]bool {
	out := map[*serverSeen]map[uint32]bool{}
	for i := range s.conns.len() {
		c := s.conns.at(i)
		if out[c.server] == nil {
			out[c.server] = map[uint32]bool{}
		}
		a := c.key.a
		if c.flags&initiatorIsB != 0 {
			a = c.key.b
		}
		if of := out[c.server]; len(of) < maxRemembered {
			of[a] = true
		}
	}
	return out
}

// place fills in the sides of points. Points that nothing ties to a proxy see
// connections from clients to servers: where there is no proxy at all they are
// called clientside, beside one they must not be taken for its clients'.
func (in *inference) place() {
	proxied := map[int]bool{}
	for i, s := range in.surveys {
		if f, b := in.kinds(s); len(f)+len(b) > 0 {
			proxied[in.sets.find(i)] = true
		}
	}
	for i, s := range in.surveys {
		for e, v := range s.servers {
			v.side = in.dest[s.dest(e)]
		}
		if s.point.Side != "" || s.conns.len() == 0 {
			continue
		}
		f, b := in.kinds(s)
		if in.keep && len(f)+len(b) == 0 {
			continue // by the order given, in inferSides
		}
		switch {
		case len(f) > 0 && len(b) > 0:
			s.point.Side = Both
		case len(f) > 0:
			s.point.Side = Clientside
		case len(b) > 0, len(proxied) > 0:
			s.point.Side = Serverside
		default:
			s.point.Side = Clientside
		}
		if len(f)+len(b) > 0 {
			in.proven[i] = true
		}
	}
	for _, s := range in.surveys { // a silent face looks where its hop's other one does
		for _, t := range in.surveys {
			if s.conns.len() == 0 && s.point.Side == "" && s.point.Hop != "" && s.point.Hop == t.point.Hop && t.point.Side != Both {
				s.point.Side = t.point.Side
			}
		}
	}
}

// join puts all points that saw one of two destinations into one set.
func (in *inference) join(a, b netip.AddrPort) {
	first := -1
	for i, s := range in.surveys {
		for e := range s.servers {
			if d := s.dest(e); d == a || d == b {
				if first < 0 {
					first = i
				}
				in.sets.union(first, i)
			}
		}
	}
}

// sets is a union-find over the points.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) find(i int) int {
	for s[i] != i {
		i = s[i]
	}
	return i
}

func (s sets) union(a, b int) {
	if a, b = s.find(a), s.find(b); a != b {
		s[max(a, b)] = min(a, b)
	}
}
