package observe

import (
	"fmt"
	"net/netip"
)

// WithoutEndpoints leaves out the TCP connections of some endpoints, whole: a capture
// filter that is told afterwards what was of no interest. The statistics count what is
// left.
type WithoutEndpoints map[netip.AddrPort]bool

// Name implements [Fault].
func (a WithoutEndpoints) Name() string { return "without some connections" }

func (a WithoutEndpoints) String() string { return fmt.Sprintf("without %d endpoints", len(a)) }

// Apply implements [Fault].
func (a WithoutEndpoints) Apply(c *Captures) {
	c.change(nil, func(p *Capture) {
		p.filter(func(f *Frame) bool {
			s, ok := TCP(f.Data)
			return !ok || !a[s.Src] && !a[s.Dst]
		})
	})
}
