package observe

import (
	"fmt"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// Unlabel takes away all that says where a capture was taken: points.json, file
// names, the order of files, and what interfaces say of themselves.
type Unlabel struct{ Seed uint64 }

// Name implements [Fault].
func (a Unlabel) Name() string { return "files unlabelled" }

func (a Unlabel) String() string { return fmt.Sprintf("files unlabelled (seed %d)", a.Seed) }

// Apply implements [Fault].
func (a Unlabel) Apply(c *Captures) {
	r := Random(a.Seed)
	c.change(nil, func(p *Capture) {
		for i := range p.Interfaces {
			old := p.Interfaces[i].Interface
			p.Interfaces[i].Interface = pcapng.Interface{LinkType: old.LinkType, SnapLen: old.SnapLen, Filter: old.Filter}
		}
	})
	points := make([]Capture, len(c.Points))
	c.Files = nil
	for i, j := range r.Perm(len(points)) {
		points[i] = c.Points[j]
		c.Files = append(c.Files, fmt.Sprintf("%08x-%d.pcapng", r.Uint32(), i))
	}
	c.Points = points
}
