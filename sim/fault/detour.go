package fault

import (
	"slices"

	"github.com/hopblame/hopblame/topology"
)

// Detour is what an f5 does that has a second leg in the servers' network and a route of
// its own for some connections: what it sends on them goes past the firewall. The servers
// answer by the way they always do, and there a stateful firewall has never heard of them.
const Detour Do = "detour"

// DetourMark is on the packets that the f5 sends on a detour; see [topology.Spec.WithDetour].
const DetourMark = 0x200

// validateDetour sees that it is the f5's, and of all that it sends on a connection: a way
// is chosen by addresses.
func (f *Fault) validateDetour(bad complaint) {
	if f.At != topology.F5 {
		bad("at %q: a %s is taken by the f5, which chooses the way", f.At, f.Do)
	}
	if f.Direction == ToClient {
		bad("direction %q: a %s is of what the f5 sends, %s", f.Direction, f.Do, ToServer)
	}
	if f.Match != Any && slices.Contains(all, f.Match) {
		bad("match %q: all packets of a connection have one way, so it must be %s", f.Match, Any)
	}
	if f.Per == PerPacket {
		bad("per %q: all packets of a connection have one way, so it must be %s or %s", f.Per, PerConnection, PerTuple)
	}
}

// behindSwitch is what a detour leads over, and beforeSwitch what the answers come to then.
var (
	behindSwitch = []string{linkPrefix + topology.Switch + "-" + topology.Server1, linkPrefix + topology.Switch + "-" + topology.Server2,
		topology.Server1, topology.Server2}
	beforeSwitch = []string{linkPrefix + topology.Firewall + "-" + topology.Switch, topology.Firewall}
)

// avoids says whether a connection on a detour never meets another fault: its SYNs come to
// the servers by the switch, the answers get as far as the firewall, and nothing follows.
func (f *Fault) avoids(other *Fault) bool {
	opens := !other.Acts() && slices.Contains([]Match{SYN, SYNACK, Any}, other.Match)
	met := slices.Contains(behindSwitch, other.At) || other.Way() == ToClient && slices.Contains(beforeSwitch, other.At)
	return !opens || !met
}
