package fault

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/internal/nft"
)

// Fate returns whether the connection that carries a request's attempt is hit.
//
// The rule can be computed anywhere: take SHA-256 over the seed, the ordinal and
// the attempt (8 bytes each, big-endian) and the fault's name; the first 8 bytes,
// as a fraction of 2^64, are below the probability.
func (f *Fault) Fate(seed uint64, ordinal, attempt int) bool {
	return f.draw(seed, uint64(ordinal), uint64(attempt)) < f.Probability
}

// draw returns a number from 0 up to but not including 1.
func (f *Fault) draw(seed, a, b uint64) float64 {
	// 53 bits: what a float64 holds exactly, so that 1 is never reached.
	return float64(f.digest(seed, a, b)>>11) / (1 << 53)
}

func (f *Fault) digest(seed, a, b uint64) uint64 {
	var message [24 + 64]byte
	binary.BigEndian.PutUint64(message[0:], seed)
	binary.BigEndian.PutUint64(message[8:], a)
	binary.BigEndian.PutUint64(message[16:], b)
	n := copy(message[24:], f.Name)
	sum := sha256.Sum256(message[:24+n])
	return binary.BigEndian.Uint64(sum[:])
}

// hashSeed is the seed of the kernel's hash for a fault per tuple.
func (f *Fault) hashSeed(seed uint64) uint32 {
	return nonZero(uint32(f.digest(seed, math.MaxUint64, 0)))
}

// nonZero spares the one seed that cannot be asked for: 0 is left out of the
// message, and the kernel then chooses one itself (nft_jhash_init).
func nonZero(seed uint32) uint32 { return max(seed, 1) }

// tupleModulus is the resolution of a probability per tuple.
const tupleModulus = 1_000_000

// threshold is how many of [tupleModulus] values are hit; as little as the
// probability allows when it is not 0, and never all when it is not 1.
func (f *Fault) threshold() uint32 {
	switch n := uint32(math.Round(f.Probability * tupleModulus)); {
	case f.Probability > 0 && n == 0:
		return 1
	case f.Probability < 1 && n == tupleModulus:
		return tupleModulus - 1
	default:
		return n
	}
}

// TupleFate returns whether a 4-tuple is hit by a fault per tuple, the way the
// kernel will decide it.
func (f *Fault) TupleFate(seed uint64, tuple []byte) bool {
	switch f.Probability {
	case 0:
		return false
	case 1:
		return true
	}
	return scale(jhash(tuple, f.hashSeed(seed)), tupleModulus) < f.threshold()
}

// numbers chooses which packets of each block are hit.
func (f *Fault) numbers(seed uint64, hits, block uint32) []uint32 {
	rng := rand.New(rand.NewPCG(f.digest(seed, math.MaxUint64, 1), f.digest(seed, math.MaxUint64, 2)))
	chosen := make([]uint32, 0, hits)
	for _, n := range rng.Perm(int(block))[:hits] {
		chosen = append(chosen, uint32(n))
	}
	slices.Sort(chosen)
	return chosen
}

// Tuple is a 4-tuple in the form that [Fault.TupleFate] and the kernel hash.
func Tuple(source, destination netip.AddrPort) []byte { return nft.Tuple(source, destination) }
