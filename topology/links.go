package topology

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// Names of the two ports of a link's middle: MiddleNear faces the link's end A.
const (
	MiddleNear = "near"
	MiddleFar  = "far"
)

// firstIndex is above what the kernel comes to in a node by itself.
const firstIndex = 1000

// createLinks makes the veth pairs. Addresses of the hardware are numbered, so
// that they are the same in every lab.
func (l *Lab) createLinks() error {
	number := byte(0)
	next := func() net.HardwareAddr {
		number++
		return net.HardwareAddr{0x02, 0x68, 0x62, 0, 0, number} // locally administered (IEEE 802 bit 0x02)
	}
	var g errgroup.Group
	for _, link := range l.spec.Links {
		macA, macB := next(), next()
		l.macs[link.A], l.macs[link.B] = macA, macB
		a, b := l.hosts[link.A.Node], l.hosts[link.B.Node]
		if !link.Middle {
			g.Go(func() error {
				if err := veth(a, link.A.Interface, macA, b, link.B.Interface, macB); err != nil {
					return fmt.Errorf("%s: %w", link.Name(), err)
				}
				return nil
			})
			continue
		}
		m, near, far := l.middles[link.Name()], next(), next()
		g.Go(func() error {
			if err := errors.Join(
				veth(a, link.A.Interface, macA, m, MiddleNear, near),
				veth(b, link.B.Interface, macB, m, MiddleFar, far),
			); err != nil {
				return fmt.Errorf("%s: %w", link.Name(), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// veth creates both ends in place: no temporary name in any other namespace.
func veth(a *Host, nameA string, macA net.HardwareAddr, b *Host, nameB string, macB net.HardwareAddr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = nameA, macA
	// The kernel tells at once that a device is up whose other end has another number than
	// itself, and else within a second (net/core/link_watch.c: linkwatch_urgent_event).
	// It numbers from 1 by itself.
	attrs.Index = firstIndex + int(macA[len(macA)-1])
	if err := a.Run(func() error {
		err := a.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerHardwareAddr: macB,
			PeerNamespace: netlink.NsFd(int(b.netns.Fd()))})
		if err != nil {
			return denied("a veth pair", fmt.Errorf("veth %s/%s to %s/%s: %w", a.name, nameA, b.name, nameB, err))
		}
		return a.offloadsOff(nameA)
	}); err != nil {
		return err
	}
	return b.Run(func() error { return b.offloadsOff(nameB) })
}

// bridge joins the ports of a node, and returns all links that there are then. It learns
// nothing from multicast and runs no spanning tree: a port forwards at once.
func (h *Host) bridge(ports []string) (map[string]netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "bridge"
	off := false
	if err := h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	links, err := h.links()
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if err := h.nl.LinkSetMaster(links[p], links[attrs.Name]); err != nil {
			return nil, fmt.Errorf("port %s: %w", p, err)
		}
	}
	return links, nil
}

// links are the interfaces of the namespace by name.
func (h *Host) links() (map[string]netlink.Link, error) {
	list, err := h.nl.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := map[string]netlink.Link{}
	for _, link := range list {
		links[link.Attrs().Name] = link
	}
	return links, nil
}

// up sets interfaces up, the loopback included.
func (h *Host) up(links map[string]netlink.Link) error {
	for name, link := range links {
		if err := h.nl.LinkSetUp(link); err != nil {
			return fmt.Errorf("interface %s: set up: %w", name, err)
		}
	}
	return nil
}
