package topology

import (
	"errors"
	"fmt"
	"net"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// Names of the two ports of a link's middle: MiddleNear faces the link's end A.
const (
	MiddleNear = "near"
	MiddleFar  = "far"
)

// createLinks makes the veth pairs. Addresses of the hardware are numbered, so
// that they are the same in every lab.
func (l *Lab) createLinks() error {
	number := byte(0)
	next := func() net.HardwareAddr {
		number++
		return net.HardwareAddr{0x02, 0x68, 0x62, 0, 0, number} // locally administered (IEEE 802 bit 0x02)
	}
	for _, link := range l.spec.Links {
		macA, macB := next(), next()
		l.macs[link.A], l.macs[link.B] = macA, macB
		a, b := l.hosts[link.A.Node], l.hosts[link.B.Node]
		if !link.Middle {
			if err := veth(a, link.A.Interface, macA, b, link.B.Interface, macB); err != nil {
				return fmt.Errorf("%s: %w", link.Name(), err)
			}
			continue
		}
		m := l.middles[link.Name()]
		if err := errors.Join(
			veth(a, link.A.Interface, macA, m, MiddleNear, next()),
			veth(b, link.B.Interface, macB, m, MiddleFar, next()),
			bridge(m, []string{MiddleNear, MiddleFar}),
		); err != nil {
			return fmt.Errorf("%s: %w", link.Name(), err)
		}
	}
	return nil
}

// veth creates both ends in place: no temporary name in any other namespace.
func veth(a *Host, nameA string, macA net.HardwareAddr, b *Host, nameB string, macB net.HardwareAddr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = nameA, macA
	err := a.Run(func() error {
		return a.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerHardwareAddr: macB,
			PeerNamespace: netlink.NsFd(int(b.netns.Fd()))})
	})
	if err != nil {
		return denied("a veth pair", fmt.Errorf("veth %s/%s to %s/%s: %w", a.name, nameA, b.name, nameB, err))
	}
	return errors.Join(offloadsOff(a, nameA), offloadsOff(b, nameB))
}

// offloadsOff makes a capture show what a wire would: with them on, frames
// exceed the MSS and checksums are wrong.
func offloadsOff(h *Host, name string) error {
	return h.Run(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("node %s: ethtool socket: %w", h.name, err)
		}
		defer e.Close()
		off := map[string]bool{}
		for _, f := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation",
			"tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-generic-segmentation", "rx-gro"} {
			off[f] = false
		}
		if err := e.Change(name, off); err != nil {
			return fmt.Errorf("node %s: %s: switch offloads off: %w", h.name, name, err)
		}
		return nil
	})
}

// bridge joins the ports of a node. It learns nothing from multicast and runs no
// spanning tree: a port forwards at once.
func bridge(h *Host, ports []string) error {
	return h.Run(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "bridge"
		off := false
		if err := h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
			return fmt.Errorf("node %s: bridge: %w", h.name, err)
		}
		br, err := h.nl.LinkByName("bridge")
		if err != nil {
			return fmt.Errorf("node %s: bridge: %w", h.name, err)
		}
		for _, p := range ports {
			port, err := h.nl.LinkByName(p)
			if err == nil {
				err = h.nl.LinkSetMaster(port, br)
			}
			if err != nil {
				return fmt.Errorf("node %s: port %s: %w", h.name, p, err)
			}
		}
		return nil
	})
}

// linksUp sets every interface of the namespace up, the loopback included.
func (h *Host) linksUp() error {
	links, err := h.nl.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		if err := h.nl.LinkSetUp(link); err != nil {
			return fmt.Errorf("interface %s: set up: %w", link.Attrs().Name, err)
		}
	}
	return nil
}
