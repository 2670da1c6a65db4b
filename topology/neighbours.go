package topology

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// joinNeighbours writes permanent neighbour entries for the others of an interface's
// segment. The kernel's neighbour table is one for all namespaces and overflows under
// many labs.
func (l *Lab) joinNeighbours(h *Host, link netlink.Link, others []Endpoint) error {
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
}

// teachBridge tells a bridge node behind which of its ports each address is: one that
// still has to learn floods the first packet to every server.
func (l *Lab) teachBridge(h *Host, n *Node, links map[string]netlink.Link) error {
	for _, link := range l.spec.Links {
		port, peer := link.A, link.B
		if peer.Node == n.Name {
			port, peer = peer, port
		}
		if port.Node != n.Name {
			continue
		}
		// NUD_NOARP makes the entry static; NUD_PERMANENT would mean an address of the
		// bridge itself (net/bridge/br_fdb.c).
		if err := h.nl.NeighSet(&netlink.Neigh{LinkIndex: links[port.Interface].Attrs().Index, Family: unix.AF_BRIDGE,
			State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER, HardwareAddr: l.macs[peer]}); err != nil {
			return fmt.Errorf("%s: forwarding entry: %w", port, err)
		}
	}
	return nil
}
