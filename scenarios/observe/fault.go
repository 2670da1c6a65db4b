package observe

import (
	"math/rand/v2"
	"strings"
)

// Fault takes something away from captures, or alters them the way capturing
// does. It is a value: applied twice to the same captures it does the same.
type Fault interface {
	// Name is that of the kind, in the words of the ablations' table.
	Name() string
	// String is the name with all parameters.
	String() string
	// Apply changes c, which must be a clone of what is still needed. What it
	// finds no place for in c it leaves.
	Apply(c *Captures)
}

// Random returns the numbers that belong to a seed.
func Random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x61626c)) }

func at(points []string) string {
	if len(points) == 0 {
		return "every point"
	}
	return strings.Join(points, " and ")
}
