package analyzer

import (
	"cmp"
	"net/netip"
	"slices"
)

// pointOrder is what is known of the points' order beyond their indices. A nil
// one stands for points that somebody put in path order.
type pointOrder struct {
	bare   []bool   // points nobody named: the capture itself is the node
	unsure [][]bool // pairs whose order is not proven
}

// orderKnown tells whether the order of two points is proven, or was given.
// A verdict that would read differently if they changed places must not be
// given when it is not.
func (a *analysis) orderKnown(p, q int) bool { return a.order.known(p, q) }

func (o *pointOrder) known(p, q int) bool { return o == nil || !o.unsure[p][q] }

// isBare tells whether nobody named the point.
func (o *pointOrder) isBare(p int) bool { return o != nil && o.bare[p] }

// sorting is a partial order of the points, by their indices as given.
type sorting struct {
	before [][]bool // proven, directly or over others
	clash  [][]bool // proven both ways: nothing is
	group  []int    // rank of the points that belong together
}

func (s *sorting) known(p, q int) bool {
	return p == q || !s.clash[p][q] && s.before[p][q] != s.before[q][p]
}

// inOrder returns the points' indices in path order.
func (in *inference) inOrder() []int {
	n := len(in.surveys)
	in.sort = sorting{before: square(n), clash: square(n), group: in.ranks()}
	for p, s := range in.surveys {
		for q := range in.surveys {
			t := in.surveys[q]
			r := in.rel[p][q]
			bySide := in.sets.find(p) == in.sets.find(q) && sideRank(s) < sideRank(t) && s.conns.len() > 0 && t.conns.len() > 0
			in.sort.before[p][q] = r.first > 0 || bySide
			if r.clash || r.rewritten || bySide && r.first < 0 || s.mixed() || t.mixed() {
				in.sort.clash[p][q], in.sort.clash[q][p] = true, true
			}
		}
	}
	closure(in.sort.before)
	var out []int
	left := make([]int, n)
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		best := -1
		for _, i := range left {
			if in.free(i, left) && (best < 0 || in.prefer(i, best, out) < 0) {
				best = i
			}
		}
		out = append(out, best)
		left = slices.DeleteFunc(left, func(i int) bool { return i == best })
	}
	return out
}

// mixed tells whether the file holds packets from both sides of a router.
func (s *survey) mixed() bool { return s.routed > 2 && 10*s.routed > len(s.samples.all) }

func square(n int) [][]bool {
	out := make([][]bool, n)
	for i := range out {
		out[i] = make([]bool, n)
	}
	return out
}

// closure adds what follows: p before q before r.
func closure(before [][]bool) {
	for via := range before {
		for p := range before {
			for q := range before {
				before[p][q] = before[p][q] || before[p][via] && before[via][q]
			}
		}
	}
}

// free tells whether none of the points left must come before i. Those that
// go round in a circle do not count.
func (in *inference) free(i int, left []int) bool {
	b := in.sort.before
	return !slices.ContainsFunc(left, func(j int) bool { return b[j][i] && !b[i][j] })
}

// prefer compares two points neither of which must come first. It depends on
// nothing but the captures, so the same ones come in the same order however
// they are given; only labelled ones stay as they were given.
func (in *inference) prefer(i, j int, out []int) int {
	s, t := in.surveys[i], in.surveys[j]
	sameHop := func(p int) int {
		if n := len(out); n > 0 && in.surveys[p].point.Hop != "" && in.surveys[p].point.Hop == in.surveys[out[n-1]].point.Hop {
			return 0
		}
		return 1
	}
	given := 0
	if in.keep {
		given = cmp.Compare(i, j)
	}
	return cmp.Or(
		cmp.Compare(in.sort.group[i], in.sort.group[j]),
		cmp.Compare(sideRank(s), sideRank(t)),
		cmp.Compare(sameHop(i), sameHop(j)),
		given,
		lowest(s).Compare(lowest(t)),
		cmp.Compare(s.point.File, t.point.File),
		cmp.Compare(s.point.Path, t.point.Path),
		cmp.Compare(s.point.Interface, t.point.Interface),
		cmp.Compare(i, j))
}

// lowest is the lowest address that connections at the point go to.
func lowest(s *survey) netip.Addr {
	var a netip.Addr
	for _, d := range s.destinations() {
		if !a.IsValid() || d.Addr().Less(a) {
			a = d.Addr()
		}
	}
	return a
}

func sideRank(s *survey) int {
	switch s.point.Side {
	case Clientside:
		return 0
	case Both:
		return 1
	}
	return 2
}

// ranks orders the sets of points that belong together: the one around a proxy
// first, then the larger ones, those without any connection last.
func (in *inference) ranks() []int {
	type set struct {
		root          int
		proxied       bool
		points, conns int
		file          string
	}
	at := map[int]*set{}
	var all []*set
	for i, s := range in.surveys {
		r := in.sets.find(i)
		g := at[r]
		if g == nil {
			g = &set{root: r, file: s.point.File}
			at[r] = g
			all = append(all, g)
		}
		g.proxied = g.proxied || in.proven[i]
		g.points++
		g.conns += s.conns.len()
		g.file = min(g.file, s.point.File)
	}
	slices.SortStableFunc(all, func(x, y *set) int {
		first := func(a, b bool) int {
			switch {
			case a == b:
				return 0
			case a:
				return -1
			}
			return 1
		}
		if in.keep && !slices.Contains(in.proven, true) {
			return cmp.Compare(x.root, y.root) // its first point, as given
		}
		return cmp.Or(first(x.conns > 0, y.conns > 0), first(x.proxied, y.proxied),
			-cmp.Compare(x.points, y.points), -cmp.Compare(x.conns, y.conns), cmp.Compare(x.file, y.file))
	})
	out := make([]int, len(in.surveys))
	for rank, g := range all {
		for i := range in.surveys {
			if in.sets.find(i) == g.root {
				out[i] = rank
			}
		}
	}
	return out
}
