package fault

import "github.com/hopblame/hopblame/topology"

// To is the end of a connection that a forged RST is sent to.
type To string

// The ends. The zero value means the f5.
const (
	ToTheF5     To = topology.F5
	ToTheServer To = "server"
)

// validateForgery sees that a RST is forged to an end that it resets. Ahead of a SYN-ACK
// the f5 would take it for the answer to its SYN, and an RST that refuses it is
// [Reject]'s.
func (f *Fault) validateForgery(bad complaint) {
	switch {
	case f.To == "":
		if f.Do == InjectRST && f.Match == SYNACK {
			bad("match %q: the f5 would take a RST ahead of it for a refusal; say to: %s, or do: %s", f.Match, ToTheServer, Reject)
		}
	case f.Do != InjectRST:
		bad("to %q: only %s has it", f.To, InjectRST)
	case f.To == ToTheF5 && f.Match == SYNACK:
		bad("to %q: ahead of a %s the f5 would take a RST for a refusal; say %s, or do: %s", f.To, f.Match, ToTheServer, Reject)
	case f.To == ToTheServer && f.Match == Response:
		bad("to %q: when its response is on its way the server has nothing more to do; a RST to it goes ahead of data or a syn-ack", f.To)
	default:
		oneOf(bad, "to", f.To, ToTheF5, ToTheServer)
	}
}
