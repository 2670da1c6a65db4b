package wire

import (
	"time"

	"github.com/google/gopacket"
)

// Reorder has each packet change places with the one that follows it on its connection,
// in its direction.
type Reorder struct {
	waiting map[[2]gopacket.Flow]*item
}

// NewReorder makes a deed for one wire.
func NewReorder() *Reorder { return &Reorder{waiting: map[[2]gopacket.Flow]*item{}} }

// reorderHold is how long a packet waits for the one to follow it, as the last of a flight
// does in vain. It is below every stack's retransmission timeout.
const reorderHold = 20 * time.Millisecond

func (r *Reorder) take(w *Wire, p Packet) {
	s, err := parse(p.IP)
	if err != nil {
		w.note(nil, err)
		w.send(p)
		return
	}
	c := s.connection()
	if before := r.waiting[c]; before != nil {
		delete(r.waiting, c)
		if w.release(before) {
			w.send(p)
			w.send(before.Packet)
			return
		}
	}
	r.waiting[c] = w.hold(p, time.Now().Add(reorderHold))
}
