package ablation

import (
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/topology"
)

// stretch is a part of a path: the places from one index to another, both
// included. Places are nodes (even indices) and links (odd ones).
type stretch struct{ from, to int }

func (s stretch) contains(x stretch) bool { return s.from <= x.from && x.to <= s.to }

// way is a path with the faces on it that were captured. The face between places
// i and i+1 has index i.
type way struct {
	path     []string
	captured []bool            // by face
	faces    map[string][2]int // of each point on the path: first and last face
	hop      map[string]string // point to node
}

func newWay(spec *topology.Spec, path []string, points []analyzer.Point) *way {
	w := &way{path: path, captured: make([]bool, max(0, len(path)-1)), faces: map[string][2]int{}, hop: map[string]string{}}
	for _, p := range points {
		node := slices.Index(path, p.Hop)
		if node < 0 {
			continue
		}
		for _, at := range []int{node - 1, node + 1} {
			if at < 0 || at >= len(path) || !onFace(spec, path[at], &p) {
				continue
			}
			face := min(node, at)
			w.captured[face] = true
			if f, ok := w.faces[p.Name]; ok {
				w.faces[p.Name] = [2]int{min(f[0], face), max(f[1], face)}
			} else {
				w.faces[p.Name] = [2]int{face, face}
			}
			w.hop[p.Name] = p.Hop
		}
	}
	return w
}

// onFace tells whether a point is where a link ends. A full proxy's point is on
// all its faces.
func onFace(spec *topology.Spec, link string, p *analyzer.Point) bool {
	l, ok := spec.Link(link)
	if !ok {
		return false
	}
	for _, e := range []topology.Endpoint{l.A, l.B} {
		if e.Node == p.Hop && (e.Interface == p.Face || p.Side == analyzer.Both) {
			return true
		}
	}
	return false
}

// named returns what a verdict's hop means, and whether the captures license the
// name: a node only if its faces on the path were captured, a link:A-B only if
// the faces were that look at each other. points maps the names of unlabelled
// points (p1 …) to those they had.
func (w *way) named(hop string, points map[string]string) (s stretch, licensed, ok bool) {
	ends, isLink := strings.CutPrefix(hop, "link:")
	if !isLink {
		if p, unlabelled := points[hop]; unlabelled {
			hop = w.hop[p]
		}
		return w.node(hop)
	}
	for i := range ends { // names may have hyphens
		if ends[i] != '-' {
			continue
		}
		a, b := ends[:i], ends[i+1:]
		pa, isPoint := points[a]
		pb, arePoints := points[b]
		if isPoint && arePoints {
			return w.betweenPoints(pa, pb)
		}
		from, to := slices.Index(w.path, a), slices.Index(w.path, b)
		if from >= 0 && to > from+1 && from%2 == 0 && to%2 == 0 {
			return stretch{from + 1, to - 1}, w.captured[from] && w.captured[to-1], true
		}
	}
	return s, false, false
}

func (w *way) node(name string) (s stretch, licensed, ok bool) {
	i := slices.Index(w.path, name)
	if i < 0 || i%2 != 0 {
		return s, false, false
	}
	licensed = (i == 0 || w.captured[i-1]) && (i == len(w.path)-1 || w.captured[i])
	return stretch{i, i}, licensed, true
}

// betweenPoints: two faces of one hop mean the hop.
func (w *way) betweenPoints(a, b string) (s stretch, licensed, ok bool) {
	fa, onA := w.faces[a]
	fb, onB := w.faces[b]
	switch {
	case !onA || !onB:
		return s, false, false
	case a == b && fa[1] > fa[0]: // a proxy's two sides in one file
		return stretch{fa[0] + 1, fa[1]}, true, true
	case fa[1] < fb[0]:
		return stretch{fa[1] + 1, fb[0]}, true, true
	}
	return s, false, false
}
