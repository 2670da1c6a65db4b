package fault

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/topology"
)

// Match is the class of packets a fault acts on.
type Match string

// Do is what a fault does to them.
type Do string

// Per is what a fault's probability counts.
type Per string

// Direction of the packets a fault acts on.
type Direction string

// The words of a fault.
const (
	SYN    Match = "syn"
	SYNACK Match = "syn-ack"

	Drop Do = "drop"

	// PerConnection: a seeded function of fault, ordinal and attempt decides;
	// every retry of a hit connection is hit.
	PerConnection Per = "connection"
	// PerTuple: a seeded hash of the 4-tuple decides, for programs that are not
	// ours; fate repeats with the tuple.
	PerTuple Per = "tuple"
	// PerPacket: of every block of packets a seeded choice is hit; which
	// connections those belong to cannot be known before.
	PerPacket Per = "packet"

	ToServer Direction = "to-server"
	ToClient Direction = "to-client"
)

// directions are the ways that the classes of packets go.
var directions = map[Match]Direction{SYN: ToServer, SYNACK: ToClient}

// Fault is one deliberate defect.
type Fault struct {
	Name        string    `yaml:"name"`
	At          string    `yaml:"at"` // a node or a link: "firewall", "link:f5-firewall", "server2"
	Direction   Direction `yaml:"direction"`
	Match       Match     `yaml:"match"`
	Do          Do        `yaml:"do"`
	Per         Per       `yaml:"per"`
	Probability float64   `yaml:"probability"` // 0 to 1; both ends are exact
}

// Validate reports what in f cannot be, given the lab it is for.
func (f *Fault) Validate(spec *topology.Spec) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("fault %s: "+format, append([]any{f.Name}, args...)...))
	}
	if f.Name == "" || strings.ContainsFunc(f.Name, notWord) || len(f.Name) > 64 {
		bad("a name has 1 to 64 letters, digits and hyphens")
	}
	oneOf(bad, "direction", f.Direction, ToServer, ToClient)
	oneOf(bad, "match", f.Match, SYN, SYNACK)
	if way, known := directions[f.Match]; known && f.Direction != way && (f.Direction == ToServer || f.Direction == ToClient) {
		bad("direction %q: a %s goes %s", f.Direction, f.Match, way)
	}
	oneOf(bad, "do", f.Do, Drop)
	oneOf(bad, "per", f.Per, PerConnection, PerTuple, PerPacket)
	if !(f.Probability >= 0 && f.Probability <= 1) { // NaN too
		bad("probability %v: must be 0 to 1", f.Probability)
	} else if f.Per == PerPacket {
		if _, _, ok := f.share(); !ok {
			bad("probability %v per packet: must be a multiple of 0.000001", f.Probability)
		}
	}
	places := Places(spec, f.Match)
	switch {
	case slices.Contains(places, f.At):
	case slices.Contains(Places(spec, SYN), f.At):
		// A host's packet filter comes before its captures on the way out.
		path := spec.Path(topology.F5, f.At)
		bad("at %q: the server's own capture would not have the SYN-ACK either; the nearest place is %s", f.At, path[len(path)-2])
	default:
		bad("at %q: there is no such place; there are %s", f.At, strings.Join(places, ", "))
	}
	return errors.Join(errs...)
}

func oneOf[T ~string](bad func(string, ...any), key string, got T, allowed ...T) {
	if slices.Contains(allowed, got) {
		return
	}
	var words []string
	for _, a := range allowed {
		words = append(words, string(a))
	}
	bad("%s %q: must be %s", key, got, strings.Join(words, " or "))
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

// Places returns where a fault can meet packets of a class: everything on the way
// from the f5 to a server but the f5 itself, which ends both its connections, and
// bridges, whose links are places of their own. What is clientside of the f5 is
// none: the plan goes by serverside connections. An answer that its own server
// drops is in no capture at all, so for those the servers are none either.
func Places(spec *topology.Spec, match Match) (places []string) {
	for _, server := range []string{topology.Server1, topology.Server2} {
		for _, place := range spec.Path(topology.F5, server) {
			n, isNode := spec.Node(place)
			switch {
			case place == topology.F5, isNode && n.Kind == topology.KindBridge, slices.Contains(places, place):
			case match == SYNACK && isNode && n.Kind == topology.KindHost:
			default:
				places = append(places, place)
			}
		}
	}
	return places
}

// IsLink says whether the fault is on a wire rather than in a node.
func (f *Fault) IsLink() bool { return strings.HasPrefix(f.At, "link:") }

// share expresses the probability as a number out of a block of packets.
func (f *Fault) share() (hits, block uint32, ok bool) {
	for block = 10; block <= 1_000_000; block *= 10 {
		n := f.Probability * float64(block)
		hits = uint32(math.Round(n))
		// Rounding must not make never or always of what is neither.
		exact := (hits == 0) == (f.Probability == 0) && (hits == block) == (f.Probability == 1)
		if exact && math.Abs(n-math.Round(n)) < 1e-9*float64(block) {
			return hits, block, true
		}
	}
	return 0, 0, false
}
