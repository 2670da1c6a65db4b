package fault

import (
	"net/netip"
	"sync"
	"time"
)

// Mood is an actor's fault at work: the actor asks before each request, does what
// the fault says, and has it noted. It is safe for concurrent use.
type Mood struct {
	fault Fault
	seed  uint64

	mu      sync.Mutex
	entries []Entry
}

// NewMood puts an actor's fault to work; f must be valid.
func NewMood(f Fault, seed uint64) *Mood { return &Mood{fault: f, seed: seed} }

// Fault returns the fault at work.
func (m *Mood) Fault() Fault { return m.fault }

// Strikes says whether the actor is to misbehave at a request's attempt. One that
// does not say its ordinal (-1) is served well.
func (m *Mood) Strikes(ordinal, attempt int) bool {
	return ordinal >= 0 && m.fault.Fate(m.seed, ordinal, attempt)
}

// Note writes the ledger's entry: what the actor is about to do, to whom, at which
// request. source is the actor's own end of the connection.
func (m *Mood) Note(source, destination netip.AddrPort, ordinal int) {
	e := Entry{Time: time.Now(), Fault: m.fault.Name, At: m.fault.At, Direction: m.fault.Way(),
		Source: source, Destination: destination, Ordinal: ordinal}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, e)
}

// Hits is how often the actor has misbehaved so far.
func (m *Mood) Hits() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.entries))
}

// Report returns the ledger. The actor itself is the only one who counts; what its
// face's capture can confirm is for the caller to compare.
func (m *Mood) Report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Report{Fault: m.fault, Entries: m.entries, Counter: uint64(len(m.entries))}
}
