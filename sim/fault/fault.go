package fault

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/topology"
)

// Match is the class of packets a fault acts on.
type Match string

// Do is what a fault does to them, or what an actor does instead of its part.
type Do string

// Per is what a fault's probability counts.
type Per string

// Direction of the packets a fault acts on.
type Direction string

// The words of a fault; what becomes of packets and what actors do have words of their own.
const (
	SYN      Match = "syn"      // to the server
	SYNACK   Match = "syn-ack"  // to the client
	ACK      Match = "ack"      // to the server, and nothing but an ACK: the handshake's last, and those of the response
	Data     Match = "data"     // to the server, with bytes of the request
	Response Match = "response" // to the client, with bytes of the response
	// LargeData is [Data] in packets larger than [Fault.LargerThan].
	LargeData Match = "large-data"
	// AfterSYN is what a server's host drops of a connection that its listener has no
	// place for: all that comes behind the SYN but a RST, so that it goes on sending
	// SYN-ACKs (net/ipv4/tcp_minisocks.c, tcp_check_req: listen_overflow).
	AfterSYN Match = "after-syn"
	// Any is whatever goes in the fault's direction, for what does not lose it.
	Any Match = "any"
	FIN Match = "fin" // in either direction, and without data
	RST Match = "rst" // in either direction
	// ICMP is an ICMP or ICMPv6 error about a connection, in either direction: never
	// neighbour discovery, nor a redirect.
	ICMP Match = "icmp"

	// PerConnection: a seeded function of fault, ordinal and attempt decides;
	// all that matches of a hit connection is hit.
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

// Fault is one deliberate defect. It is either of packets, which the kernel hits on
// their way and a wire may put back, see [Fault.OnWire]; or of an actor, which then
// misbehaves by itself, see [Fault.Acts].
type Fault struct {
	Name      string        `yaml:"name"`
	At        string        `yaml:"at"`        // a node or a link: "firewall", "link:f5-firewall", "server2"
	Direction Direction     `yaml:"direction"` // of the packets; an actor's fault has none
	Match     Match         `yaml:"match"`     // likewise
	Do        Do            `yaml:"do"`
	After     time.Duration `yaml:"after"`  // of a delay, and of an actor that takes its time
	Jitter    time.Duration `yaml:"jitter"` // of a delay: up to so much more, by chance
	Port      uint16        `yaml:"port"`   // of a client that connects elsewhere
	With      With          `yaml:"with"`   // of a fault that rejects: what it answers with; "" means a RST
	Rate      int           `yaml:"rate"`   // of a policer: packets a second that pass
	Burst     int           `yaml:"burst"`  // of a policer: packets that pass at once; 0 means as many as the rate
	// LargerThan is the size of the largest IP packet that passes, where large ones do
	// not; in bytes.
	LargerThan int `yaml:"larger-than"`
	To         To  `yaml:"to"`  // of a forged RST; "" is to the f5
	TTL        int `yaml:"ttl"` // of a rewrite: TTL or hop limit from there on; of a forged RST its own, 0 meaning 255
	MSS        int `yaml:"mss"` // … or the MSS option's value
	Seq        int `yaml:"seq"` // … or what is added to the sequence number
	// TSval, of a rewrite, is what is taken off the time stamp, in ticks of it: milliseconds
	// with Linux.
	TSval int `yaml:"tsval"`
	// From and For are the time of what has one: when it begins, after the first request,
	// and how long it lasts.
	From        time.Duration `yaml:"from"`
	For         time.Duration `yaml:"for"`
	Per         Per           `yaml:"per"`
	Probability float64       `yaml:"probability"` // 0 to 1; both ends are exact
}

// Acts says whether an actor misbehaves, rather than packets being hit.
func (f *Fault) Acts() bool { _, is := behaviours[f.Do]; return is }

// Resets says whether each hit makes a RST with ACK, by which it can be counted:
// the answer to a SYN, or the end of a connection (RFC 9293 §3.10.7.1, §3.10.5).
func (f *Fault) Resets() bool {
	return f.Do == Reject && !f.SaysICMP() || behaviours[f.Do].resets
}

// Breaks says whether a connection that is hit every time is lost to its request.
func (f *Fault) Breaks() bool {
	if f.Acts() {
		return behaviours[f.Do].breaks
	}
	t := treatments[f.Do]
	return t.breaks || f.Loses() && !classes[f.Match].spares
}

// Shadows says whether f keeps its connections from ever meeting other, a fault that
// they would come to later by time and way.
func (f *Fault) Shadows(other *Fault) bool {
	if f.Provokes(other) {
		return false
	}
	if f.Do == Detour {
		return f.avoids(other)
	}
	if f.Stage() == other.Stage() {
		return !f.OnWire() || f.expiresBefore(other) // the packet is gone, or the actor has done something else
	}
	if f.Acts() {
		return behaviours[f.Do].ends
	}
	return f.Breaks()
}

// Stage is when in a request's life a fault acts: a fault of a lower stage comes
// before one of a higher, wherever they are.
func (f *Fault) Stage() int {
	switch b, acts := behaviours[f.Do]; {
	case !acts && f.Match == Any:
		return f.half() + map[Direction]int{ToServer: classes[SYN].stage, ToClient: classes[SYNACK].stage}[f.Direction]
	case !acts && classes[f.Match].way == "" && f.Direction == ToClient:
		return f.half() + classes[f.Match].stage + 1 // the other way is another packet
	case !acts:
		return f.half() + classes[f.Match].stage
	case b.way == ToServer:
		return clientsTurn
	}
	return serversTurn
}

// Way is the direction of what a fault hits or makes.
func (f *Fault) Way() Direction {
	if f.Acts() {
		return behaviours[f.Do].way
	}
	return f.Direction
}

// class is what a fault's match means.
type class struct {
	way      Direction // "": either
	stage    int       // within its half, see [Fault.half]
	segments nft.Segments
	spares   bool // a connection can do without
}

var classes = map[Match]class{
	SYN:       {way: ToServer, stage: 1, segments: nft.SYNs},
	SYNACK:    {way: ToClient, stage: 2, segments: nft.SYNACKs},
	ACK:       {way: ToServer, stage: 3, segments: nft.PureACKs, spares: true}, // data acknowledges as well
	Data:      {way: ToServer, stage: 4, segments: nft.Payload},
	LargeData: {way: ToServer, stage: 4, segments: nft.Payload},
	// Last of what a server may be spared: others may have taken the ACK and the data.
	AfterSYN: {way: ToServer, stage: 5, segments: nft.AfterSYN},
	Response: {way: ToClient, stage: 7, segments: nft.Payload},
	Any:      {segments: nft.Any, spares: true},
	// To these a connection comes last, if at all, and each way has a stage of its own.
	FIN:  {stage: 8, segments: nft.FINs, spares: true},
	RST:  {stage: 10, segments: nft.RSTs, spares: true},
	ICMP: {stage: 12, segments: nft.ICMPErrors, spares: true},
	// What asks and tells where a host is comes before all that is sent to it.
	WhoHas: {way: ToServer, stage: 1},
	IsAt:   {way: ToClient, stage: 1},
}

// The stages of actors: the client between its handshake and its request, the server
// between request and response.
const (
	clientsTurn = asking
	serversTurn = serverside + 6
)

// Validate reports what in f cannot be, given the lab it is for.
func (f *Fault) Validate(spec *topology.Spec) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("fault %s: "+format, append([]any{f.Name}, args...)...))
	}
	if f.Name == "" || strings.ContainsFunc(f.Name, notWord) || len(f.Name) > 64 {
		bad("a name has 1 to 64 letters, digits and hyphens")
	}
	if f.Acts() {
		f.validateActor(bad)
	} else {
		f.validatePackets(spec, bad)
	}
	if !(f.Probability >= 0 && f.Probability <= 1) { // NaN too
		bad("probability %v: must be 0 to 1", f.Probability)
	} else if f.Per == PerPacket && !f.Acts() {
		if _, _, ok := f.share(); !ok {
			bad("probability %v per packet: must be a multiple of 0.000001", f.Probability)
		}
	}
	return errors.Join(errs...)
}

// complaint says what is wrong with a key, whose name comes first: by it the file's
// line is found.
type complaint func(format string, args ...any)

func (f *Fault) validatePackets(spec *topology.Spec, bad complaint) {
	if _, known := treatments[f.Do]; !known {
		oneOf(bad, "do", f.Do, append(Treatments(), Behaviours(f.At)...)...)
		if f.Do != "" {
			return // what else it needs goes by what it does
		}
	}
	oneOf(bad, "direction", f.Direction, ToServer, ToClient)
	oneOf(bad, "match", f.Match, all...)
	c, known := classes[f.Match]
	if known && c.way != "" && f.Direction != c.way && (f.Direction == ToServer || f.Direction == ToClient) {
		bad("direction %q: a %s goes %s", f.Direction, f.Match, c.way)
	}
	if known && f.Do != "" && !f.Resolves() {
		f.validateTreatment(bad)
	}
	if f.Port != 0 {
		bad("port %d: only %s has it", f.Port, ConnectElsewhere)
	}
	oneOf(bad, "per", f.Per, PerConnection, PerTuple, PerPacket)
	if f.Match == AfterSYN && f.Per == PerPacket {
		bad("per %q: a connection has its place in a listen queue or has none; %s is per connection or tuple", f.Per, AfterSYN)
	}
	f.validateAnswer(bad)
	f.validateRate(bad)
	f.validateSize(bad)
	f.validateTime(bad)
	if f.Do == Detour {
		f.validateDetour(bad)
		return
	}
	if f.Resolves() {
		f.validateResolution(spec, bad)
		return
	}
	f.validatePlace(spec, bad)
}

// Bounds of what passes: the least MTU of an IPv4 host (RFC 1122 §3.3.3), and the lab's.
const (
	leastMTU = 576
	labMTU   = 1500
)

// validateSize sees that what is hit for its size has one that is hit everywhere: a
// path has one MTU, for all connections.
func (f *Fault) validateSize(bad complaint) {
	switch large := f.Match == LargeData; {
	case !large && f.LargerThan != 0:
		bad("larger-than %d: only %s has it", f.LargerThan, LargeData)
	case large && (f.LargerThan < leastMTU || f.LargerThan >= labMTU):
		bad("larger-than %d: %s needs the largest packet that passes, %d to %d bytes", f.LargerThan, LargeData, leastMTU, labMTU-1)
	case large && f.Probability != 0 && f.Probability != 1:
		bad("probability %v: %s is hit always or never, as by an MTU; how many requests are large is up to the traffic", f.Probability, LargeData)
	}
}

func (f *Fault) validatePlace(spec *topology.Spec, bad complaint) {
	places := Places(spec, f.Match)
	switch {
	case f.Do == Reject && f.IsLink():
		bad("at %q: a cable rejects nothing; firewall, server1 and server2 can", f.At)
	case f.OnWire() && slices.Contains(places, f.At) && !f.IsLink() && !(treatments[f.Do].routers && f.At == topology.Firewall):
		bad("at %q: %s is done on a wire; there are %s", f.At, f.Do, strings.Join(slices.DeleteFunc(places, func(p string) bool { return !strings.HasPrefix(p, linkPrefix) }), ", "))
	case slices.Contains(places, f.At):
	case f.Match == AfterSYN:
		bad("at %q: %s is what a server with a full listen queue drops, %s", f.At, AfterSYN, words(places))
	case !slices.Contains(Places(spec, SYN), f.At):
		bad("at %q: there is no such place; there are %s%s", f.At, strings.Join(places, ", "), nearest.Hint(f.At, places))
	case f.Clientside():
		bad("at %q: a %s is hit on the other side of the f5 only; there are %s", f.At, f.Match, strings.Join(places, ", "))
	case f.Direction == ToClient:
		// A host's packet filter comes before its captures on the way out.
		path := spec.Path(topology.F5, f.At)
		what := map[Match]string{SYNACK: "SYN-ACK", Response: "response", Any: "packet", FIN: "FIN", RST: "RST", ICMP: "ICMP error"}[f.Match]
		bad("at %q: the server's own capture would not have the %s either; the nearest place is %s", f.At, what, path[len(path)-2])
	default:
		path := spec.Path(topology.F5, f.At)
		bad("at %q: the server's own capture would have it, and its host to blame is no cause yet; the nearest place is %s", f.At, path[len(path)-2])
	}
}

func oneOf[T ~string](bad complaint, key string, got T, allowed ...T) {
	if slices.Contains(allowed, got) {
		return
	}
	bad("%s %q: must be %s%s", key, got, words(allowed), nearest.Hint(got, allowed))
}

// words lists a choice: "syn, syn-ack or data".
func words[T ~string](all []T) string {
	var list strings.Builder
	for i, word := range all {
		switch {
		case i > 0 && i == len(all)-1:
			list.WriteString(" or ")
		case i > 0:
			list.WriteString(", ")
		}
		list.WriteString(string(word))
	}
	return list.String()
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

// Places returns where a fault can meet packets of a class: everything on the way
// from the client to a server but the client, whose own part is an actor's; the f5, which
// ends both its connections; and bridges, whose links are places of their own. The servers
// themselves can meet SYNs and what follows them, which is theirs alone: what they drop of
// their own answers is in no capture at all, and what else they drop of an open connection
// has no name yet.
func Places(spec *topology.Spec, match Match) (places []string) {
	for _, server := range []string{topology.Server1, topology.Server2} {
		for _, place := range spec.Path(topology.Client, server) {
			n, isNode := spec.Node(place)
			switch {
			case place == topology.Client, place == topology.F5, isNode && n.Kind == topology.KindBridge, slices.Contains(places, place):
			case match == AfterSYN && place != server:
			case match != AfterSYN && match != SYN && isNode && n.Kind == topology.KindHost:
			case place == ClientLink && classes[match].stage >= classes[FIN].stage: // what ends a connection there is planned by nobody yet
			default:
				places = append(places, place)
			}
		}
	}
	return places
}

// IsLink says whether the fault is on a wire rather than in a node.
func (f *Fault) IsLink() bool { return strings.HasPrefix(f.At, linkPrefix) }

const linkPrefix = "link:"

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
