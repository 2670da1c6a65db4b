package fault

import (
	"slices"

	"github.com/hopblame/hopblame/internal/nft"
)

// With is what a fault that rejects answers with.
type With string

// The answers, in nft's words. What a hop says that cannot forward, such as no-route and
// host-unreachable, is none of them: it would be that hop's routes or neighbours.
const (
	// WithRST is a RST in the name of the packet's destination; "" means it.
	WithRST With = "rst"
	// WithAdminProhibited is what a filter says in its own name: ICMP type 3 code 13
	// (RFC 1812 §5.2.7.1), ICMPv6 type 1 code 1 (RFC 4443 §3.1).
	WithAdminProhibited With = "icmp-admin-prohibited"
	// WithPortUnreachable is iptables' default: ICMP type 3 code 3, ICMPv6 type 1 code 4.
	WithPortUnreachable With = "icmp-port-unreachable"
)

// Answers lists what can be rejected with.
func Answers() []With { return []With{WithRST, WithAdminProhibited, WithPortUnreachable} }

// SaysICMP says whether each hit makes an ICMP error, sent by the hop in its own name to
// the sender of the packet that is hit.
func (f *Fault) SaysICMP() bool { return f.Do == Reject && f.With != "" && f.With != WithRST }

// Provokes says whether a hit of f makes what other, nearer to the client, acts on: there is
// no RST and no ICMP error but for a fault's sake.
func (f *Fault) Provokes(other *Fault) bool {
	switch {
	case other.Direction != ToClient || f.Way() != ToClient && f.Do != Reject:
		return false
	case other.Match == RST:
		return f.Resets()
	}
	return other.Match == ICMP && f.SaysICMP()
}

// needsProvoking says whether what f acts on is there for another fault's sake only.
func (f *Fault) needsProvoking() bool { return f.Match == RST || f.Match == ICMP }

// Provoked says whether f acts on what only another fault makes, and on which connections
// that is can be foreseen: see [Fault.Provokes].
func (f *Fault) Provoked() bool { return f.needsProvoking() && f.Per != PerPacket }

func (f *Fault) validateAnswer(bad complaint) {
	switch {
	case f.With != "" && f.Do != Reject:
		bad("with %q: only %s has it", f.With, Reject)
	case f.With != "" && !slices.Contains(Answers(), f.With):
		oneOf(bad, "with", f.With, Answers()...)
	}
	if f.Provoked() && f.Direction == ToServer {
		bad("per %q: whether the f5 sends a %s to a server is its own affair; it must be %s", f.Per, f.Match, PerPacket)
	}
}

// verdict is what the kernel does with a packet that is hit.
func (f *Fault) verdict() nft.Verdict {
	switch {
	case f.Do == Detour:
		return nft.Divert
	case f.Do != Reject:
		return nft.Drop
	case f.With == WithAdminProhibited:
		return nft.RejectAdminProhibited
	case f.With == WithPortUnreachable:
		return nft.RejectPortUnreachable
	}
	return nft.Reject
}
