package firewall

import (
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Reason is why the firewall drops a packet.
type Reason string

// The reasons, by the name that a ledger has for them.
const (
	SYNRate          Reason = "firewall-syn-rate"          // a SYN above syn-rate
	HeldSession      Reason = "firewall-held-session"      // a SYN of the 5-tuple of a session that is held
	TableFull        Reason = "firewall-table-full"        // a SYN beyond max-sessions
	NoSession        Reason = "firewall-no-session"        // another packet to a server that belongs to no session, or no longer
	NoSessionAnswers Reason = "firewall-no-session-answer" // the same from a server
	ChallengeACK     Reason = "firewall-challenge-ack"     // a server's ACK where a SYN-ACK was due
)

// refusals are the reasons in the order of the kernel's table, with the class of packets
// that each takes.
var refusals = [nft.Refusals]struct {
	reason Reason
	way    fault.Direction
	match  fault.Match
}{
	nft.OverRate:      {SYNRate, fault.ToServer, fault.SYN},
	nft.Reused:        {HeldSession, fault.ToServer, fault.SYN},
	nft.TableFull:     {TableFull, fault.ToServer, fault.SYN},
	nft.Unknown:       {NoSession, fault.ToServer, fault.Data},
	nft.UnknownAnswer: {NoSessionAnswers, fault.ToClient, fault.Response},
	nft.Challenge:     {ChallengeACK, fault.ToClient, fault.SYNACK},
}

// Faults describes what the firewall drops in the form in which what faults drop is
// described, so that one ledger holds both and one check goes over it: packets that were
// taken, at the firewall, which nobody could know before. None if it is not stateful.
func (c Config) Faults() (all []fault.Fault) {
	if !c.Stateful() {
		return nil
	}
	for _, r := range refusals {
		all = append(all, fault.Fault{Name: string(r.reason), At: topology.Firewall, Direction: r.way, Match: r.match,
			Do: fault.Drop, Per: fault.PerPacket})
	}
	return all
}

// Without returns the configuration of a firewall that does not drop packets for a reason:
// the limit behind it is as far away as a firewall may have it, and the rest stays. What a
// session that is closed still drops depends on its time-wait, which stays as well. Where
// the reason never occurs, and where there is no such reason, nothing changes.
func (c Config) Without(r Reason) Config {
	switch r {
	case SYNRate:
		if c.SYNRate != 0 {
			c.SYNRate, c.SYNBurst = defaultMaxSessions, defaultMaxSessions
		}
	case HeldSession:
		c.TupleReuse = Accept
	case TableFull:
		c.MaxSessions = defaultMaxSessions
	case NoSession, NoSessionAnswers:
		c.TimeoutTCP = maxTimeout
	case ChallengeACK:
		c.ChallengeACK = Accept
	}
	return c
}
