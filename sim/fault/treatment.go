package fault

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/sim/wire"
	"github.com/hopblame/hopblame/topology"
)

// What becomes of packets that are hit.
const (
	Drop   Do = "drop"
	Reject Do = "reject" // answer a SYN with a RST in the name of its destination, or see [Fault.With]

	RateLimit Do = "rate-limit" // drop what exceeds a number of packets a second: see [Fault.Rate]

	// These are done by a wire, which takes packets and puts them back: see package
	// [wire].
	InjectRST Do = "inject-rst" // send one end a RST in the other's name, ahead of the packet: see [Fault.To]
	Delay     Do = "delay"      // send it on after a time: see [Fault.After] and [Fault.Jitter]
	Reorder   Do = "reorder"    // let the next one of the connection go first
	Duplicate Do = "duplicate"  // send it on twice
	Corrupt   Do = "corrupt"    // send it on with a bit turned over: its receiver throws it away
	Rewrite   Do = "rewrite"    // send it on with one field changed: see [Fault.TTL] and those behind it
)

// treatment says to what it can be done, and how it shows.
type treatment struct {
	matches []Match // nil: all but [Any], which must be told apart
	wire    bool    // a wire does it, on a link
	routers bool    // a wire can do it in a router as well
	lost    bool    // the packet, to its receiver
	breaks  bool    // the connection, even if the packet arrives
}

// treatments is the table of what becomes of packets.
var treatments = map[Do]treatment{
	Drop:      {lost: true},
	Reject:    {matches: []Match{SYN}, lost: true},
	RateLimit: {matches: []Match{SYN, SYNACK, ACK, Data, Response}, lost: true},
	InjectRST: {matches: []Match{Data, Response, SYNACK}, wire: true, routers: true, breaks: true},
	Delay:     {matches: onLinks, wire: true},
	Reorder:   {matches: onLinks, wire: true},
	Duplicate: {matches: onLinks, wire: true},
	Corrupt:   {matches: onLinks[:len(onLinks)-1], wire: true, lost: true},
	Rewrite:   {matches: onLinks[:len(onLinks)-1], wire: true, routers: true}, // whether it is lost goes by the field
	Detour:    {matches: []Match{Any}, breaks: true},                          // with a stateful firewall, and it needs one
}

// maxDelay keeps a run finite.
const maxDelay = time.Minute

var (
	all = []Match{SYN, SYNACK, ACK, Data, LargeData, AfterSYN, Response, Any, FIN, RST, ICMP, WhoHas, IsAt}
	// onLinks is what passes a link; [AfterSYN] is a host's.
	onLinks = []Match{SYN, SYNACK, ACK, Data, LargeData, Response, Any}
)

// Treatments lists what can become of packets.
func Treatments() []Do {
	return []Do{Drop, Reject, RateLimit, InjectRST, Delay, Reorder, Duplicate, Corrupt, Rewrite, Detour}
}

// OnWire says whether a wire takes the packets and puts them back.
func (f *Fault) OnWire() bool { return treatments[f.Do].wire }

// Loses says whether what is hit never gets to who it is for.
func (f *Fault) Loses() bool { return treatments[f.Do].lost || f.misleads() }

// Harmless says whether what is hit gets to who it is for all the same, and no RST with it:
// later, twice, behind the next one, or with a field changed that nobody minds. A delay is
// so only if nobody's patience ends before it does.
func (f *Fault) Harmless() bool { return f.OnWire() && !f.Loses() && f.Do != InjectRST }

// Before says whether f, which is listed before another fault of packets at the same
// place, sees a packet before it does.
func (f *Fault) Before(other *Fault) bool { return other.OnWire() || !f.OnWire() }

// TakesFrom says whether f takes packets that another fault, behind it at the same place,
// then never sees, though they go on.
func (f *Fault) TakesFrom(other *Fault) bool {
	same := f.Match == other.Match || f.Match == Any || other.Match == Any ||
		classes[f.Match].segments == nft.Payload && classes[other.Match].segments == nft.Payload // large data is data
	return f.OnWire() && other.OnWire() && f.At == other.At && f.Direction == other.Direction && same
}

func (f *Fault) validateTreatment(bad complaint) {
	t := treatments[f.Do]
	if t.matches != nil && !slices.Contains(t.matches, f.Match) || t.matches == nil && f.Match == Any {
		switch {
		case f.Do == Detour: // see validateDetour
		case f.Do == Reject:
			bad("do %q: only a syn is rejected, a %s can be dropped", f.Do, f.Match)
		case f.Match == AfterSYN:
			bad("do %q: what a full listen queue takes is dropped, and by its host", f.Do)
		case f.Do == RateLimit:
			bad("do %q: a rate is one of syn, syn-ack, ack, data or response, and not of %s", f.Do, f.Match)
		case f.Match == FIN || f.Match == RST || f.Match == ICMP:
			bad("do %q: what matches %s can be dropped, and no more", f.Do, f.Match)
		case f.Do == InjectRST:
			bad("do %q: a forged RST goes ahead of data, a response or a syn-ack, and not of a %s", f.Do, f.Match)
		default:
			bad("match %q: what is %s must be told apart; say syn, syn-ack, ack, data or response", f.Match, map[Do]string{Drop: "dropped", Corrupt: "corrupted", Rewrite: "rewritten"}[f.Do])
		}
	}
	f.validateRewrite(bad)
	f.validateForgery(bad)
	switch {
	case f.Do == Delay && (f.After <= 0 || f.After > maxDelay):
		bad("after %v: %s needs a time of up to %v, such as 300ms", f.After, f.Do, maxDelay)
	case f.Do != Delay && f.After != 0:
		bad("after %v: only %s has it, and an actor that takes its time", f.After, Delay)
	}
	switch {
	case f.Do != Delay && f.Jitter != 0:
		bad("jitter %v: only %s has it", f.Jitter, Delay)
	case f.Jitter < 0 || f.Jitter > maxDelay:
		bad("jitter %v: must be 0 to %v", f.Jitter, maxDelay)
	}
}

// openWire makes the wire of a fault, in a link's middle or in a router.
func (f *Fault) openWire(host *topology.Host, place nft.Place, ipv6 bool, seed uint64) (*wire.Wire, error) {
	open := func() (wire.Exit, error) { return wire.OnLink(host, f.Direction == ToServer) }
	if place == nft.Forward {
		open = func() (wire.Exit, error) { return wire.AtRouter(host, ipv6) }
	}
	exit, err := open()
	if err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.Name, err)
	}
	return wire.New(exit, f.deed(seed)), nil
}

func (f *Fault) deed(seed uint64) wire.Deed {
	random := rand.New(rand.NewPCG(f.digest(seed, math.MaxUint64, 3), f.digest(seed, math.MaxUint64, 4)))
	switch f.Do {
	case InjectRST:
		return wire.InjectRST{Back: f.madeWay() != f.Direction, TTL: uint8(f.TTL)}
	case Delay:
		return wire.Delay{After: f.After, Jitter: f.Jitter, Random: random}
	case Reorder:
		return wire.NewReorder()
	case Duplicate:
		return wire.Duplicate{}
	case Rewrite:
		return wire.Rewrite{TTL: uint8(f.TTL), MSS: uint16(f.MSS), Seq: uint32(f.Seq), TSval: uint32(f.TSval)}
	}
	return wire.Corrupt{Random: random}
}

// madeWay is the direction of what a fault's wire makes.
func (f *Fault) madeWay() Direction {
	switch {
	case f.Do != InjectRST:
		return f.Direction
	case f.To == ToTheServer:
		return ToServer
	}
	return ToClient
}
