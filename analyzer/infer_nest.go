package analyzer

import "slices"

// nested recognises a proxy at a point whose connections nobody else ties
// together: no trailer, no request that both sides share. Its capture has one
// clock, so connections can be compared in time: each one to a server is opened
// while one from a client is open.
//
// With many at a time that says little, as any moment has an open connection.
// Then it must also be where one kind of connection ends and the other begins.
func (in *inference) nested() {
	for i, s := range in.surveys {
		if f, b := in.kinds(s); len(f)+len(b) > 0 {
			continue
		}
		a, b, ok := s.twoKinds()
		if !ok {
			continue
		}
		ab, ba := share(b, a), share(a, b) // of b within a, of a within b
		aIn, bIn := in.turnsAt(i, a), in.turnsAt(i, b)
		switch {
		case ab > nests && (ba < nestsNot && alike(len(a), len(b)) || aIn < 0 && bIn > 0):
			in.proxyAt(i, a, b)
		case ba > nests && (ab < nestsNot && alike(len(a), len(b)) || bIn < 0 && aIn > 0):
			in.proxyAt(i, b, a)
		case aIn*bIn < 0, max(ab, ba) > nests:
			in.notes = append(in.notes, func() {
				in.a.warn("%s: cannot tell whether %s is a proxy: connections to %s and to %s could be its clients' and its own, and nothing ties them together; if you know, %s",
					s.point.File, in.name(i), s.dest(a[0].to()), s.dest(b[0].to()), listIt)
			})
		}
	}
}

const (
	nests    = 0.95 // of a proxy's connections begin within one of a client's
	nestsNot = 0.5  // the reverse, unless there are many at a time
	fewest   = 8    // connections that count as a kind
)

func alike(n, m int) bool { return 4*n <= 5*m && 4*m <= 5*n }

// to is where the connection goes.
func (c *conn) to() endpoint { return c.server.endpoint }

// twoKinds splits a point's connections in two by who opens them, if there are
// two kinds: a proxy uses other addresses towards its servers than its clients
// do. Each kind is in order of time.
func (s *survey) twoKinds() (a, b []*conn, ok bool) {
	clients := s.clientsOf()
	kinds := newSets(len(s.names.addrs))
	for _, of := range clients {
		first := -1
		for id := range of {
			if first < 0 {
				first = int(id)
			}
			kinds.union(first, int(id))
		}
	}
	groups := map[int][]*conn{}
	for i := range s.conns.len() {
		c := s.conns.at(i)
		if c.flags&(completed|wasReset) != completed {
			continue // one that hangs is open while many others begin
		}
		id := c.key.a
		if c.flags&initiatorIsB != 0 {
			id = c.key.b
		}
		k := kinds.find(int(id))
		groups[k] = append(groups[k], c)
	}
	if len(groups) != 2 {
		return nil, nil, false
	}
	for _, g := range groups {
		if len(g) < fewest {
			return nil, nil, false
		}
		sortBy(g, func(c **conn) int64 { return (*c).started })
		if a == nil {
			a = g
		} else {
			b = g
		}
	}
	if b[0].frame < a[0].frame {
		a, b = b, a
	}
	return a, b, true
}

// share is how many of inner begin while one of outer is open.
func share(inner, outer []*conn) float64 {
	latest := make([]int64, len(outer)) // end of any of the first
	for i, c := range outer {
		latest[i] = c.lastPacket()
		if i > 0 {
			latest[i] = max(latest[i], latest[i-1])
		}
	}
	n, k := 0, 0
	for _, c := range inner {
		for k < len(outer) && outer[k].started < c.started {
			k++
		}
		if k > 0 && latest[k-1] > c.started {
			n++
		}
	}
	return float64(n) / float64(len(inner))
}

// turnsAt tells whether all other points of a kind of connections are on the
// server's side of point i (+1: they begin here), or on the client's (-1).
func (in *inference) turnsAt(i int, of []*conn) int {
	s := in.surveys[i]
	out := 0
	for j, q := range in.surveys {
		if j == i || !slices.ContainsFunc(of, func(c *conn) bool { return q.conn(s.tuple(c)) != nil }) {
			continue
		}
		first := int(in.rel[i][j].first)
		if first == 0 || out != 0 && out != first {
			return 0
		}
		out = first
	}
	return out
}

// proxyAt notes what was found.
func (in *inference) proxyAt(i int, clients, servers []*conn) {
	s := in.surveys[i]
	for _, c := range clients {
		in.dest[s.dest(c.to())] = front
	}
	for _, c := range servers {
		in.dest[s.dest(c.to())] = back
	}
}
