package observe

import "net/netip"

// OneDirection keeps what goes one way: one fibre of two was tapped, or a filter
// named one end only. The statistics count what is left.
type OneDirection struct {
	Points   []string // none: every point
	ToServer bool     // what is kept; else what goes to the client
}

// Name implements [Fault].
func (a OneDirection) Name() string { return "one direction only" }

func (a OneDirection) String() string {
	way := "to-client"
	if a.ToServer {
		way = "to-server"
	}
	return "only what goes " + way + " at " + at(a.Points)
}

// Apply implements [Fault].
func (a OneDirection) Apply(c *Captures) {
	servers := c.servers()
	c.change(a.Points, func(p *Capture) {
		p.filter(func(f *Frame) bool {
			l, ok := Locate(f.Data)
			if !ok {
				return true
			}
			_, to := l.addresses(f.Data)
			return to.IsMulticast() || to.IsLinkLocalUnicast() || servers[to] == a.ToServer
		})
	})
}

// servers are the addresses that somebody opens connections to.
func (c *Captures) servers() map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	for i := range c.Points {
		for k := range c.Points[i].Frames {
			if s, ok := TCP(c.Points[i].Frames[k].Data); ok && s.Flags&(SYN|ACK) == SYN {
				found[s.Dst.Addr()] = true
			}
		}
	}
	return found
}
