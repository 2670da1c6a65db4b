package fault

import (
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/nflog"
)

// Entry is one packet that a fault hit, as the kernel reported it, or one request
// that an actor misbehaved at, as it noted itself.
type Entry struct {
	Time        time.Time
	Fault       string
	At          string // node or link
	Direction   Direction
	Source      netip.AddrPort
	Destination netip.AddrPort
	Seq         uint32 // 0 of an actor's entry
	IPID        uint16 // IPv4 identification; 0 with IPv6, and of an actor's entry
	Ordinal     int    // of the request, as the actor read it; -1 of a packet, which does not tell
}

// Ends returns the two ends of the packet's connection, the one that opened it
// first.
func (e *Entry) Ends() (from, to netip.AddrPort) {
	if e.Direction == ToClient {
		return e.Destination, e.Source
	}
	return e.Source, e.Destination
}

// Entries are the packets that a rule for f has logged, as its ledger has them.
func (f *Fault) Entries(packets []nflog.Packet) (all []Entry) {
	for _, p := range packets {
		all = append(all, Entry{Time: p.Time, Fault: f.Name, At: f.At, Direction: f.TakenWay(),
			Source: p.Source, Destination: p.Destination, Seq: p.Seq, IPID: p.IPID, Ordinal: -1})
	}
	return all
}
