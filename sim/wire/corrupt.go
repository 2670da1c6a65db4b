package wire

import "math/rand/v2"

// Corrupt turns one bit of each packet over and leaves the checksum as it was: what bad
// memory in a switch does, which makes its Ethernet checksum anew. The bit is one of the
// payload, or else of the window or the checksum itself, so that captures still tell which
// packet it was.
type Corrupt struct {
	Random *rand.Rand // chooses the bit; for one goroutine
}

// The part of a TCP header that can be damaged, window to urgent pointer (RFC 9293 §3.1).
const damageFrom, damageTo = 14, 20

func (c Corrupt) take(w *Wire, p Packet) {
	w.sendAltered(p, c.damage)
}

func (c Corrupt) damage(s segment) {
	b := s.tcp.Payload
	if len(b) == 0 {
		b = s.tcp.Contents[damageFrom:damageTo]
	}
	for {
		bit := c.Random.IntN(len(b) * 8)
		b[bit/8] ^= 1 << (bit % 8)
		if s.damaged() {
			return
		}
		// It was damaged before, and this was the very bit.
		b[bit/8] ^= 1 << (bit % 8)
	}
}
