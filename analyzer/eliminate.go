package analyzer

import "slices"

// candidate is a serverside connection that never came about.
type candidate struct {
	tuple
	isn     uint32
	at      int // first point on its way that saw it
	odd     *oddConn
	first   int   // point that has its first SYN, which may have been missed before
	opened  int64 // when it was there
	tries   int   // SYNs, at the point that has most of them
	late    bool  // it has fewer SYNs than others: the first may have been missed everywhere
	view    *flowView
	front   tuple       // the client's connection that a trailer names; zero: none does
	verdict *conclusion // the same whichever request it belongs to
}

// candidates are the serverside connections that got no answer.
func (a *analysis) candidates() []*candidate {
	var out []*candidate
	seen := map[uint64]*candidate{}
	for i, s := range a.surveys {
		if s.point.Side == Clientside {
			continue
		}
		for j := range s.odd {
			o := &s.odd[j]
			h := o.tuple.hash(o.isn)
			if o.flags&(sawSYN|completed) != sawSYN || a.topo.toProxy(o.tuple.server) {
				continue
			}
			if c, ok := seen[h]; ok {
				if c != nil {
					a.alsoSeen(c, i, o)
				}
				continue
			}
			if seen[h] = nil; a.isAlias(i, o, out) {
				continue
			}
			c := &candidate{tuple: o.tuple, isn: o.isn, at: i, odd: o, first: i, opened: o.started, tries: int(o.syns)}
			seen[h], out = c, append(out, c)
		}
	}
	most := 0 // the proxy tries as often each time
	for _, c := range out {
		most = max(most, c.tries)
	}
	for _, c := range out {
		c.late = c.tries < most && c.odd.flags&wasReset == 0
	}
	sortBy(out, func(c **candidate) int64 { return (*c).odd.started })
	return out
}

// alsoSeen adds what point q saw of a candidate. Has it a SYN from before the first
// one on the way, that one's capture missed some.
//
//	f5         (missed)  SYN
//	firewall     SYN     SYN
func (a *analysis) alsoSeen(c *candidate, q int, o *oddConn) {
	c.tries = max(c.tries, int(o.syns))
	if off := a.cal.offset(c.first, q, c.opened); off.bounded() && o.started+disorder < c.opened+off.lo {
		c.first, c.opened = q, o.started
	}
}

// maxCandidates bounds how many connections are looked at for one request.
const maxCandidates = 1024

// eliminate pairs what nothing names: a SYN that never got an answer carries no
// content. A request's connection must have begun after it, within the proxy's
// pace, and have ended before it; and there must be one for every request that
// competes for the same ones, or somebody's is missing and may be anyone's. A proxy may leave
// its pace, as in a burst in which no request is good: those for which there are none, or too
// few, may have any within their lifetimes, if there are enough of these.
//
//	request  ├──────────────────────┤RST     its window
//	              SYN · · · ·                a candidate inside
//	                            SYN · · · ·  too late to be its own
func (a *analysis) eliminate(open, all []*matter, cs []*candidate) {
	taken := map[uint64]bool{}
	for _, m := range all {
		for _, v := range m.pairing.views {
			taken[v.tuple.hash(v.isn)] = true
		}
	}
	paced, wide := newPairGraph(len(open), len(cs)), newPairGraph(len(open), len(cs))
	for i, m := range open {
		paced.of[i] = a.rivalsOf(m, cs, taken, a.windowOf(m))
		wide.of[i] = slices.Clone(paced.of[i])
	}
	short := paced.shortage()
	left := func(i int) bool { return len(paced.of[i]) == 0 || short[i] }
	for i, m := range open {
		if left(i) {
			wide.of[i] = a.rivalsOf(m, cs, taken, m.lifetime())
		}
	}
	shortToo := wide.shortage()
	tooMany := slices.ContainsFunc(a.surveys, func(s *survey) bool { return s.oddities > 0 })
	for i, m := range open {
		fit, tooFew := paced.of[i], false
		if left(i) {
			fit, tooFew = wide.of[i], shortToo[i]
		}
		switch {
		case tooMany:
			m.pairing.why = "there are more unanswered connections than are remembered, as in a flood of SYNs"
		case len(fit) == 0:
			m.pairing.why = "none of the proxy's unanswered connections fits it in time"
		case tooFew:
			m.pairing.why = "there are fewer unanswered connections of the proxy in that time than failed requests"
		case len(fit) > maxCandidates:
			m.pairing.why = "too many unanswered connections of the proxy fit it in time"
		default:
			for _, j := range fit {
				m.pairing.rivals = append(m.pairing.rivals, a.look(cs[j]))
			}
			m.pairing.how = m.howEliminated()
		}
	}
}

// howEliminated tells how a request's connection, or several that could be it, were
// found.
func (m *matter) howEliminated() string {
	by, of := "timing", ""
	if !slices.ContainsFunc(m.pairing.rivals, func(c *candidate) bool { return c.front != m.f.tuple }) {
		by, of = "F5 trailer and timing", " for this client"
	}
	if len(m.pairing.rivals) > 1 {
		return "found by " + by + ": one of several unanswered connections of the proxy" + of + " in that time, all with the same fate"
	}
	return "found by " + by + ": the only unanswered connection of the proxy" + of + " in that time"
}

func (a *analysis) look(c *candidate) *candidate {
	if c.view != nil {
		return c
	}
	c.view = a.view(a.cols, a.wanted.index[c.tuple], c.tuple, c.isn, true)
	for i := range c.view.steps {
		for j := range c.view.steps[i].packets {
			if n := c.view.steps[i].packets[j].note; n != nil && n.hasPeer && !n.ingress {
				c.front = n.peer
			}
		}
	}
	return c
}

// rivalsOf lists the connections that can be a request's own: those that fit in
// time, and of these the ones with the very port that the proxy would have taken,
// if there are any.
func (a *analysis) rivalsOf(m *matter, cs []*candidate, taken map[uint64]bool, w synWindow) (out []int) {
	var ported []int
	for j, c := range cs {
		if taken[c.tuple.hash(c.isn)] || !a.fits(m, c, w) {
			continue
		}
		if a.look(c); c.front != (tuple{}) && c.front != m.f.tuple {
			continue
		}
		if out = append(out, j); a.cal.proxy.sameHabit(m.f.client, c.client) {
			ported = append(ported, j)
		}
	}
	if len(ported) > 0 {
		return ported
	}
	return out
}

// synWindow is when a request's own SYN must have been sent, by the clock of a point.
type synWindow struct {
	at       int
	from, to int64
}

// lifetime is the window of a request of which no more is known.
func (m *matter) lifetime() synWindow { return synWindow{m.start.index, m.f.start, m.f.ended} }

// windowOf uses the proxy's pace where it is known: from the request's first byte
// as the point by whose clock it was measured saw it.
func (a *analysis) windowOf(m *matter) synWindow {
	w := m.lifetime()
	if m.f.began == 0 {
		return w
	}
	h := &a.cal.proxy
	began := m.f.began
	if h.at != w.at {
		step := m.client.stepAt(h.at)
		if step < 0 {
			return w
		}
		seen := m.client.steps[step].of(byteKind(m.client, true, m.f.seq))
		if len(seen) == 0 {
			return w
		}
		began = seen[0].time
	}
	if from, to, ok := h.window(began); ok {
		return synWindow{h.at, from, to}
	}
	return w
}

// fits tells whether a connection can be a request's own, as far as time tells:
// its first SYN lies in the window, its last before the request's end. One whose first
// SYN may have been missed may have begun in the window as well.
func (a *analysis) fits(m *matter, c *candidate, w synWindow) bool {
	off, end := a.cal.offset(w.at, c.first, w.from), a.cal.offset(m.start.index, c.at, m.f.ended)
	if !off.bounded() || !end.bounded() {
		return false
	}
	return c.opened >= w.from+off.lo && (c.late || c.opened <= w.to+off.hi) && c.odd.last <= m.f.ended+end.hi+disorder
}

// pairGraph says which requests compete for which connections.
type pairGraph struct {
	of     [][]int // candidates, by request
	parent []int   // union-find over requests, then candidates
}

func newPairGraph(requests, candidates int) *pairGraph {
	g := &pairGraph{of: make([][]int, requests), parent: make([]int, requests+candidates)}
	for i := range g.parent {
		g.parent[i] = i
	}
	return g
}

// force takes a connection that is the only one of some request away from the
// others, again and again: it is that request's own.
func (g *pairGraph) force() {
	owner := map[int]int{}
	for again := true; again; {
		again = false
		for i, cs := range g.of {
			if len(cs) != 1 {
				continue
			}
			if _, owned := owner[cs[0]]; !owned {
				owner[cs[0]] = i
				again = true
			}
		}
		for i := range g.of {
			if len(g.of[i]) < 2 {
				continue
			}
			g.of[i] = slices.DeleteFunc(g.of[i], func(j int) bool { o, owned := owner[j]; return owned && o != i })
		}
	}
	g.connect()
}

// connect puts together who competes, as things stand.
func (g *pairGraph) connect() {
	for i := range g.parent {
		g.parent[i] = i
	}
	for i, cs := range g.of {
		for _, j := range cs {
			a, b := g.find(i), g.find(len(g.of)+j)
			g.parent[max(a, b)] = min(a, b)
		}
	}
}

// shortage forces what can be, and tells which requests compete with others for fewer
// connections than they are: directly, or with what was forced undone. For a request
// without a connection takes one that is another's, and that one the next; who is left with
// none at the end need not be who has none.
//
//	silent ── C ── its own ── D ── its own    the silent one has C for good, it seems
func (g *pairGraph) shortage() map[int]bool {
	g.connect()
	before := g.contests()
	of := map[int]*contest{}
	for _, part := range before {
		for _, i := range part.requests {
			of[i] = part
		}
	}
	g.force()
	short := map[*contest]bool{}
	for _, part := range g.contests() {
		for _, i := range part.requests {
			if len(part.requests) > len(part.candidates) || len(of[i].requests) > len(of[i].candidates) {
				short[of[i]] = true
			}
		}
	}
	requests := map[int]bool{}
	for part := range short {
		for _, i := range part.requests {
			requests[i] = true
		}
	}
	return requests
}

func (g *pairGraph) find(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

// contest is a set of requests and connections that compete with nobody else.
type contest struct{ requests, candidates []int }

func (g *pairGraph) contests() (out []*contest) {
	at := map[int]*contest{}
	for i := range g.parent {
		root := g.find(i)
		if root >= len(g.of) {
			continue // a connection that no request can have made
		}
		p := at[root]
		if p == nil {
			p = &contest{}
			at[root] = p
			out = append(out, p)
		}
		if i < len(g.of) {
			p.requests = append(p.requests, i)
		} else {
			p.candidates = append(p.candidates, i-len(g.of))
		}
	}
	return out
}
