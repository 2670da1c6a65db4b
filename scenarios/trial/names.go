package trial

import (
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// Names says what an analyzer's words for hops mean in ours: "p3" → "firewall/feth11",
// "bigip" → "f5". An analyzer that is not told where captures were taken has words of its
// own, and ours calls unlabelled ones p1, p2 … The zero value leaves all as it is.
type Names map[string]string

// ParseNames reads pairs "THEIRS=OURS"; ours is a hop or one of its faces.
func ParseNames(pairs []string) (Names, error) {
	n := Names{}
	for _, p := range pairs {
		theirs, ours, ok := strings.Cut(p, "=")
		if !ok || theirs == "" || ours == "" {
			return nil, fmt.Errorf("name %q: give THEIRS=OURS, such as p3=firewall/feth11 or bigip=f5", p)
		}
		if was, taken := n[theirs]; taken && was != ours {
			return nil, fmt.Errorf("name %q: %s is %s already", p, theirs, was)
		}
		n[theirs] = ours
	}
	return n, nil
}

// Hop translates a verdict's hop. What is between two faces of a hop is the hop.
func (n Names) Hop(theirs string) string {
	if ours, ok := n[theirs]; ok {
		return node(ours)
	}
	ends, isLink := strings.CutPrefix(theirs, "link:")
	if !isLink {
		return theirs
	}
	// A name may have a hyphen in it: the ends are split where both are known, or where
	// only one is.
	from, to, known := "", "", 0
	for at, c := range ends {
		if c != '-' {
			continue
		}
		a, isA := n[ends[:at]]
		b, isB := n[ends[at+1:]]
		switch {
		case isA && isB:
			from, to, known = a, b, 2
		case isA && known == 0:
			from, to, known = a, ends[at+1:], 1
		case isB && known == 0:
			from, to, known = ends[:at], b, 1
		}
	}
	switch {
	case known == 0:
		return theirs
	case node(from) == node(to):
		return node(from)
	}
	return "link:" + node(from) + "-" + node(to)
}

// node is the hop of a face.
func node(face string) string {
	hop, _, _ := strings.Cut(face, "/")
	return hop
}

// translate gives all verdicts our words.
func (n Names) translate(verdicts []analyzer.Verdict) {
	for i := range verdicts {
		verdicts[i].Hop = n.Hop(verdicts[i].Hop)
	}
}
