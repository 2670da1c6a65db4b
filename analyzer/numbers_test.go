package analyzer

import (
	"math/rand/v2"
	"testing"
)

// The table finds what a map would find, however the hashes fall.
func TestNumbersFindWhatAMapFinds(t *testing.T) {
	for name, hash := range map[string]func(uint32) uint64{
		"well spread":      func(k uint32) uint64 { return mix(uint64(k)) },
		"all in one place": func(uint32) uint64 { return 7 },
		"at the end":       func(k uint32) uint64 { return ^uint64(k % 3) },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			var table numbers
			var keys []uint32
			want := map[uint32]uint32{}
			for range 5000 {
				k := r.Uint32N(3000)
				got, ok := table.find(hash(k), func(p uint32) bool { return keys[p] == k })
				place, known := want[k]
				if ok != known || got != place {
					t.Fatalf("key %d: found %d, %v; want %d, %v", k, got, ok, place, known)
				}
				if !known {
					want[k] = uint32(len(keys))
					keys = append(keys, k)
					table.add(hash(k), want[k], func(p uint32) uint64 { return hash(keys[p]) })
				}
			}
		})
	}
}
