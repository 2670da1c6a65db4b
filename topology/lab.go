package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Lab is a built [Spec]: live namespaces, all interfaces up.
type Lab struct {
	spec    Spec
	hosts   map[string]*Host
	middles map[string]*Host // by link name
	macs    map[Endpoint]net.HardwareAddr
}

// linkUpDeadline bounds the wait for a veth to come up; it takes 65 µs as a rule.
const linkUpDeadline = 5 * time.Second

// Build makes the lab that spec describes. It returns a [SpecError] for a spec
// that cannot be built, an [UnsupportedError] where this machine does not allow
// it, and leaves nothing behind when it fails.
func Build(ctx context.Context, spec Spec) (lab *Lab, err error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if sandboxErr != nil {
		return nil, sandboxErr
	}
	l := &Lab{spec: spec, hosts: map[string]*Host{}, middles: map[string]*Host{}, macs: map[Endpoint]net.HardwareAddr{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, step := range []func() error{l.createHosts, l.createLinks, l.configureHosts, l.joinNeighbours} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l, l.waitUp(ctx)
}

// Spec returns what the lab was built from.
func (l *Lab) Spec() Spec { return l.spec }

// Host returns the live node of that name; nil if there is none.
func (l *Lab) Host(node string) *Host { return l.hosts[node] }

// Middle returns the namespace in the middle of a link; nil if it has none.
func (l *Lab) Middle(link string) *Host { return l.middles[link] }

// MAC returns the hardware address of an interface.
func (l *Lab) MAC(e Endpoint) net.HardwareAddr { return l.macs[e] }

// Settings returns the sysctls set in each node, by node and dotted name.
func (l *Lab) Settings() map[string]map[string]string {
	out := map[string]map[string]string{}
	for name, h := range l.hosts {
		h.mu.Lock()
		out[name] = maps.Clone(h.settings)
		h.mu.Unlock()
	}
	return out
}

// Close ends every program in the lab and lets the namespaces go; the kernel
// then removes what is in them. It may be called more than once.
func (l *Lab) Close() error {
	var g errgroup.Group
	for _, hosts := range []map[string]*Host{l.hosts, l.middles} {
		for _, h := range hosts {
			g.Go(h.close)
		}
	}
	return g.Wait()
}

func (l *Lab) createHosts() error {
	add := func(to map[string]*Host, key, name string) error {
		h, err := newHost(name)
		if err == nil {
			to[key] = h
		}
		return err
	}
	for _, n := range l.spec.Nodes {
		if err := add(l.hosts, n.Name, n.Name); err != nil {
			return err
		}
	}
	for _, link := range l.spec.Links {
		if link.Middle {
			if err := add(l.middles, link.Name(), link.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

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
			veth(a, link.A.Interface, macA, m, "near", next()),
			veth(b, link.B.Interface, macB, m, "far", next()),
			bridge(m, []string{"near", "far"}),
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

// configureHosts sets sysctls, brings interfaces up and gives them addresses and routes.
func (l *Lab) configureHosts() error {
	for i := range l.spec.Nodes {
		n := &l.spec.Nodes[i]
		h := l.hosts[n.Name]
		if n.Kind == KindBridge {
			var ports []string
			for _, i := range n.Interfaces {
				ports = append(ports, i.Name)
			}
			if err := bridge(h, ports); err != nil {
				return err
			}
		}
		settings := baseSettings(n, l.spec.usesIPv6())
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			if err := h.Set(name, settings[name]); err != nil {
				return err
			}
		}
		if err := h.Run(func() error { return h.configure(n) }); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	for link, m := range l.middles {
		if err := m.Set("net.ipv6.conf.all.disable_ipv6", "1"); err != nil {
			return fmt.Errorf("%s: %w", link, err)
		}
		if err := m.Run(m.linksUp); err != nil {
			return fmt.Errorf("%s: %w", link, err)
		}
	}
	return nil
}

func (h *Host) configure(n *Node) error {
	if err := h.linksUp(); err != nil {
		return err
	}
	for _, i := range n.Interfaces {
		link, err := h.nl.LinkByName(i.Name)
		if err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
		for _, p := range i.Addresses {
			a := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
			if err := h.nl.AddrAdd(link, a); err != nil {
				return fmt.Errorf("interface %s: address %s: %w", i.Name, p, err)
			}
		}
	}
	for _, r := range n.Routes {
		if err := h.nl.RouteAdd(&netlink.Route{Dst: ipNet(r.To), Gw: r.Via.AsSlice()}); err != nil {
			return fmt.Errorf("route to %s via %s: %w", r.To, r.Via, err)
		}
	}
	return nil
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

// waitUp waits until both ends of every link say they are up. Without it one lab
// in 25 loses its first packet: the device still has the no-op queue.
func (l *Lab) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, linkUpDeadline)
	defer cancel()
	for _, hosts := range []map[string]*Host{l.hosts, l.middles} {
		for _, h := range hosts {
			for {
				down := ""
				err := h.Run(func() error {
					links, err := h.nl.LinkList()
					for _, link := range links {
						// Only ends of links: a bridge forwards before its own
						// device, which nobody uses, says so a second later.
						if link.Type() == "veth" && link.Attrs().OperState != netlink.OperUp {
							down = link.Attrs().Name
						}
					}
					return err
				})
				if err != nil {
					return fmt.Errorf("node %s: list interfaces: %w", h.name, err)
				}
				if down == "" {
					break
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("node %s: interface %s is not up: %w", h.name, down, ctx.Err())
				case <-time.After(100 * time.Microsecond):
				}
			}
		}
	}
	return nil
}

func (s *Spec) usesIPv6() bool {
	for _, n := range s.Nodes {
		for _, i := range n.Interfaces {
			for _, a := range i.Addresses {
				if a.Addr().Is6() {
					return true
				}
			}
		}
	}
	return false
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// quietFor is how long no packet may move for a lab to count as quiet: longer
// than any answer takes between namespaces of one machine.
const quietFor = 30 * time.Millisecond

// AwaitQuiet waits until no interface of the lab sends or receives anything, so
// that what is counted on both sides of a hop can be compared.
func (l *Lab) AwaitQuiet(ctx context.Context) error {
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	for last := uint64(0); ; {
		moved, err := l.packetsMoved()
		if err != nil {
			return err
		}
		if moved == last {
			return nil
		}
		last = moved
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the lab to be quiet: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (l *Lab) packetsMoved() (sum uint64, err error) {
	for _, h := range l.hosts {
		if err := h.Run(func() error {
			links, err := h.nl.LinkList()
			for _, link := range links {
				if s := link.Attrs().Statistics; s != nil {
					sum += s.RxPackets + s.TxPackets
				}
			}
			return err
		}); err != nil {
			return 0, fmt.Errorf("node %s: read interface counters: %w", h.name, err)
		}
	}
	return sum, nil
}
