package topology

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// joinNeighbours writes permanent neighbour and forwarding entries. The kernel's
// neighbour table is one for all namespaces and overflows under many labs, and a
// bridge that still has to learn floods the first packet to every server.
func (l *Lab) joinNeighbours() error {
	for at, others := range l.spec.segments() {
		h := l.hosts[at.Node]
		err := h.Run(func() error {
			link, err := h.nl.LinkByName(at.Interface)
			if err != nil {
				return err
			}
			for _, o := range others {
				n, _ := l.spec.Node(o.Node)
				i, _ := n.Interface(o.Interface)
				for _, p := range i.Addresses {
					entry := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT,
						IP: p.Addr().AsSlice(), HardwareAddr: l.macs[o]}
					if err := h.nl.NeighSet(entry); err != nil {
						return fmt.Errorf("neighbour %s: %w", p.Addr(), err)
					}
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return l.teachBridges()
}

// teachBridges tells each bridge node behind which of its ports each address is.
func (l *Lab) teachBridges() error {
	for _, n := range l.spec.Nodes {
		if n.Kind != KindBridge {
			continue
		}
		h := l.hosts[n.Name]
		for _, link := range l.spec.Links {
			port, peer := link.A, link.B
			if peer.Node == n.Name {
				port, peer = peer, port
			}
			if port.Node != n.Name {
				continue
			}
			if err := h.Run(func() error {
				at, err := h.nl.LinkByName(port.Interface)
				if err != nil {
					return err
				}
				// NUD_NOARP makes the entry static; NUD_PERMANENT would mean an
				// address of the bridge itself (net/bridge/br_fdb.c).
				return h.nl.NeighSet(&netlink.Neigh{LinkIndex: at.Attrs().Index, Family: unix.AF_BRIDGE,
					State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER, HardwareAddr: l.macs[peer]})
			}); err != nil {
				return fmt.Errorf("%s: forwarding entry: %w", port, err)
			}
		}
	}
	return nil
}
