package observe

import "fmt"

// Snaplen cuts every frame short, tcpdump's -s: headers stay; content, and
// trailers above all, which are at the end, go.
type Snaplen struct {
	Points []string // none: every point
	Bytes  int
}

// Name implements [Fault].
func (a Snaplen) Name() string { return fmt.Sprintf("snaplen %d", a.Bytes) }

func (a Snaplen) String() string { return fmt.Sprintf("snaplen %d at %s", a.Bytes, at(a.Points)) }

// Apply implements [Fault].
func (a Snaplen) Apply(c *Captures) {
	c.change(a.Points, func(p *Capture) {
		for i := range p.Interfaces {
			p.Interfaces[i].SnapLen = uint32(a.Bytes)
		}
		p.rewrite(func(f Frame) Frame {
			f.Data = f.Data[:min(len(f.Data), a.Bytes)]
			return f
		})
	})
}
