package analyzer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// inference finds out which capture is which. Every step either proves what it
// says or leaves it open, and says that it does.
type inference struct {
	a       *analysis
	surveys []*survey // as given
	rel     [][]relation
	sets    sets                    // points that belong together
	dest    map[netip.AddrPort]side // what is known of destinations
	proven  []bool                  // the point sees a destination whose side is proven
	keep    bool                    // all points have labels: what is not proven stays as given
	notes   []func()
	sort    sorting
}

// toInfer tells whether the order of the points is to be found out.
func (a *analysis) toInfer() bool {
	return a.o.AnyOrder || slices.ContainsFunc(a.points, func(p Point) bool { return p.Hop == "" })
}

// infer puts points and surveys into path order, tells the sides of those
// that have none, and names those that have no hop: p1…pn in path order. An
// unnamed point is a node of its own. What stays open is warned about, and
// [analysis.orderKnown] knows it.
func (a *analysis) infer() error {
	in := &inference{a: a, surveys: a.surveys, rel: compareAll(a.surveys), sets: newSets(len(a.surveys)),
		dest: map[netip.AddrPort]side{}, proven: make([]bool, len(a.surveys)),
		keep: !slices.ContainsFunc(a.points, func(p Point) bool { return p.Hop == "" })}
	in.group()
	in.given()
	in.fronts()
	in.nested()
	in.spread()
	in.place()
	order := in.inOrder()
	in.permute(order)
	in.nameAll()
	for _, say := range in.notes {
		say()
	}
	in.reportOrder(order)
	in.reportGroups()
	for _, s := range a.surveys {
		s.clues = nil
	}
	return nil
}

// group joins points that share connections, and a silent face with its hop's
// other one.
func (in *inference) group() {
	for p, s := range in.surveys {
		for q := range p {
			t := in.surveys[q]
			silent := s.conns.len() == 0 || t.conns.len() == 0
			if in.rel[p][q].shared > 0 || in.rel[p][q].rewritten || silent && s.point.Hop != "" && s.point.Hop == t.point.Hop {
				in.sets.union(p, q)
			}
		}
	}
}

// permute brings everything that is kept by point into the order found.
func (in *inference) permute(order []int) {
	a := in.a
	points, surveys := make([]Point, len(order)), make([]*survey, len(order))
	sources := make([][]source, len(order))
	a.order = &pointOrder{unsure: make([][]bool, len(order)), bare: make([]bool, len(order))}
	for to, from := range order {
		surveys[to] = in.surveys[from]
		surveys[to].index = to
		sources[to] = a.sources[from]
		points[to] = surveys[to].point
		a.order.bare[to] = points[to].Hop == ""
		a.order.unsure[to] = make([]bool, len(order))
		for other, was := range order {
			a.order.unsure[to][other] = other != to && !in.sort.known(from, was)
		}
	}
	a.points, a.surveys, a.sources = points, surveys, sources
	a.groups = nil
	last := -1
	for to, from := range order {
		if surveys[to].conns.len() == 0 && in.sort.group[from] != last {
			continue
		}
		if in.sort.group[from] != last || a.groups == nil {
			a.groups = append(a.groups, nil)
		}
		last = in.sort.group[from]
		a.groups[len(a.groups)-1] = append(a.groups[len(a.groups)-1], to)
	}
}

// nameAll names points by their place, past any label that looks the same.
func (in *inference) nameAll() {
	taken := map[string]bool{}
	for _, p := range in.a.points {
		taken[p.Name], taken[p.Hop] = true, true
	}
	n := 0
	for i := range in.a.points {
		n++
		p := &in.a.points[i]
		if p.Hop == "" {
			if p.Name == "" {
				for taken[fmt.Sprint("p", n)] {
					n++
				}
				p.Name = fmt.Sprint("p", n)
			}
			p.Hop, p.Face = p.Name, ""
			taken[p.Name] = true
		}
		s := in.a.surveys[i]
		s.point = *p
	}
}

// name of a point as it was given; known only after nameAll.
func (in *inference) name(i int) string { return in.surveys[i].point.Name }

func (in *inference) file(i int) string { return in.surveys[i].point.File }

// What a person who knows can do. Labels alone tell no order, but that two
// captures are one hop's.
const (
	labelIt = "label them with --point HOP/FACE=FILE if they are two faces of one hop, or list all captures in path order in a points.json"
	listIt  = "list all captures in path order, with their sides, in a points.json"
)

// reportOrder warns of pairs whose order is open.
func (in *inference) reportOrder(order []int) {
	warn := in.a.warn
	for n, i := range order {
		s := in.surveys[i]
		if s.mixed() {
			warn("%s: %s shows packets before and after a router in one file, so it is no single place on the path; capture one interface a file, or give FILE#INTERFACE", in.file(i), in.name(i))
		}
		for _, q := range order[:n] {
			r := in.rel[q][i]
			odd := s.mixed() || in.surveys[q].mixed() // said above
			pair := fmt.Sprintf("%s (%s) and %s (%s)", in.file(q), in.name(q), in.file(i), in.name(i))
			switch {
			case r.same:
				warn("%s hold the same packets at the same times: they are one capture, given twice; leave one out", pair)
			case r.rewritten:
				warn("%s show the same addresses and ports but never the same sequence numbers: either they are not of the same time, or something between them rewrites these or answers for the server; their connections cannot be compared", pair)
			case r.clash || in.sort.clash[q][i] && !odd:
				warn("%s: the captures contradict themselves about which of the two is nearer to the client (TTLs, addresses and times were compared); %s", pair, labelIt)
			case r.shared > 0 && !in.sort.known(q, i) && !odd:
				warn("%s: cannot tell which of the two is nearer to the client: %s; %s", pair, r.tried, labelIt)
			}
		}
	}
}

// reportGroups warns of points that nothing ties to the others.
func (in *inference) reportGroups() {
	a := in.a
	if len(a.groups) < 2 {
		return
	}
	var names []string
	for _, g := range a.groups {
		var members []string
		for _, i := range g {
			members = append(members, fmt.Sprintf("%s (%s)", a.points[i].Name, a.points[i].File))
		}
		names = append(names, "{"+strings.Join(members, ", ")+"}")
	}
	switch {
	case in.keep:
		a.warn("no connection is at all of %s, and nothing ties those at some to those at others: they are taken to be in the order given", strings.Join(names, " and "))
		a.groups = nil
		return
	case !slices.Contains(in.proven, true):
		a.warn("cannot tell which of %s is on the client's side of a proxy, or whether they belong together: no connection is at both, and no F5 trailer and no request ties theirs together; each is judged by itself; if you know, %s", strings.Join(names, " and "), listIt)
	}
	for k, g := range a.groups[1:] {
		if len(g) == 1 || slices.Contains(in.proven, true) {
			a.warn("%s shares no connection with the others: it proves nothing about theirs", names[1+k])
		}
	}
}
