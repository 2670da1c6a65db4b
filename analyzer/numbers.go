package analyzer

import "hash/maphash"

// numbers finds things that lie in a list elsewhere by what they are: an open hash
// table of their places there. It needs 6 to 12 bytes for each; a map, which holds the
// keys once more, would be 36, and in a flood of SYNs a third of all memory. The
// zero value is ready.
type numbers struct {
	slots []uint32 // place + 1; 0: free
	n     int
}

// hashSeed keeps whoever makes a capture from choosing addresses that collide.
var hashSeed = maphash.MakeSeed()

// find returns the place of what has the hash and is it.
func (t *numbers) find(hash uint64, is func(place uint32) bool) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if p := t.slots[i] - 1; is(p) {
			return p, true
		}
	}
	return 0, false
}

// add enters a place whose thing is not in yet. hashOf tells the hashes of those that are.
func (t *numbers) add(hash uint64, place uint32, hashOf func(place uint32) uint64) {
	if t.n++; t.n*3 > len(t.slots)*2 { // at most two thirds full
		old := t.slots
		t.slots = make([]uint32, max(64, 2*len(old)))
		for _, s := range old {
			if s != 0 {
				t.put(hashOf(s-1), s)
			}
		}
	}
	t.put(hash, place+1)
}

func (t *numbers) put(hash uint64, s uint32) {
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}
