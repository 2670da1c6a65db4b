package analyzer

// candidate is a serverside connection that never came about.
type candidate struct {
	tuple
	isn     uint32
	at      int // point that saw it first
	odd     *oddConn
	view    *flowView
	verdict *conclusion // the same whichever request it belongs to
}

// candidates are the serverside connections that got no answer.
func (a *analysis) candidates() []*candidate {
	var out []*candidate
	seen := map[uint64]bool{}
	for i, s := range a.surveys {
		if s.point.Side == Clientside {
			continue
		}
		for j := range s.odd {
			o := &s.odd[j]
			h := o.tuple.hash(o.isn)
			if o.flags&(sawSYN|completed) != sawSYN || seen[h] || a.topo.toProxy(o.tuple.server) {
				continue
			}
			seen[h] = true
			if a.isAlias(i, o, out) {
				continue
			}
			out = append(out, &candidate{tuple: o.tuple, isn: o.isn, at: i, odd: o})
		}
	}
	sortBy(out, func(c **candidate) int64 { return (*c).odd.started })
	return out
}

// maxCandidates bounds how many connections are looked at for one request.
const maxCandidates = 1024

// eliminate pairs what nothing names: a SYN that never got an answer carries no
// content. A request's connection must have begun after it, within the proxy's
// pace, and have ended before it; and there must be one for every request that
// competes for the same ones, or somebody's is missing and may be anyone's.
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
	g := newPairGraph(len(open), len(cs))
	for i, m := range open {
		for j, c := range cs {
			if !taken[c.tuple.hash(c.isn)] && a.fits(m, c) {
				g.join(i, j)
			}
		}
	}
	for _, part := range g.parts() {
		for _, i := range part.requests {
			m := open[i]
			switch {
			case len(g.of[i]) == 0:
				m.pairing.why = "none of the proxy's unanswered connections fits it in time"
			case len(part.requests) > len(part.candidates):
				m.pairing.why = "there are fewer unanswered connections of the proxy in that time than failed requests"
			case len(g.of[i]) > maxCandidates:
				m.pairing.why = "too many unanswered connections of the proxy fit it in time"
			default:
				for _, j := range g.of[i] {
					m.pairing.rivals = append(m.pairing.rivals, a.look(cs[j]))
				}
				m.pairing.how = "found by timing: the only unanswered connection of the proxy in that time"
				if len(m.pairing.rivals) > 1 {
					m.pairing.how = "found by timing: one of several unanswered connections of the proxy in that time, all with the same fate"
				}
			}
		}
	}
}

func (a *analysis) look(c *candidate) *candidate {
	if c.view == nil {
		c.view = a.view(a.cols, a.wanted.index[c.tuple], c.tuple, c.isn, true)
	}
	return c
}

// fits tells whether a connection can be a request's own, as far as time tells.
func (a *analysis) fits(m *matter, c *candidate) bool {
	off := a.cal.offset(m.start.index, c.at, m.f.start)
	if !off.bounded() {
		return false
	}
	from, to := m.f.start, m.f.ended
	if pace := a.cal.proxy.within(); m.f.began != 0 && pace < far {
		from, to = m.f.began-disorder, min(to, m.f.began+pace)
	}
	return c.odd.started >= from+off.lo && c.odd.started <= to+off.hi && c.odd.last <= m.f.ended+off.hi+disorder
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

func (g *pairGraph) find(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

func (g *pairGraph) join(request, candidate int) {
	g.of[request] = append(g.of[request], candidate)
	a, b := g.find(request), g.find(len(g.of)+candidate)
	g.parent[max(a, b)] = min(a, b)
}

// part is a set of requests and connections that compete with nobody else.
type part struct{ requests, candidates []int }

func (g *pairGraph) parts() (out []*part) {
	at := map[int]*part{}
	for i := range g.parent {
		root := g.find(i)
		if root >= len(g.of) {
			continue // a connection that no request can have made
		}
		p := at[root]
		if p == nil {
			p = &part{}
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
