package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"

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
	for _, step := range []func() error{l.createHosts, l.createLinks, l.configureHosts} {
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

// createHosts makes the namespaces, and sets what must be set before an interface is there.
func (l *Lab) createHosts() error {
	var g errgroup.Group
	var mu sync.Mutex
	add := func(to map[string]*Host, name string, settings map[string]string) {
		g.Go(func() error {
			h, err := newHost(name)
			if err != nil {
				return err
			}
			mu.Lock()
			to[name] = h
			mu.Unlock()
			return h.setAll(settings)
		})
	}
	for i := range l.spec.Nodes {
		n := &l.spec.Nodes[i]
		add(l.hosts, n.Name, baseSettings(n, l.spec.UsesIPv6()))
	}
	for _, link := range l.spec.Links {
		if link.Middle {
			add(l.middles, link.Name(), map[string]string{noIPv6: "1"})
		}
	}
	return g.Wait()
}

// configureHosts sets the nodes' own sysctls, brings interfaces up, and gives them
// addresses, routes and neighbours.
func (l *Lab) configureHosts() error {
	segments := l.spec.segments()
	var g errgroup.Group
	for i := range l.spec.Nodes {
		n := &l.spec.Nodes[i]
		h := l.hosts[n.Name]
		g.Go(func() error {
			if err := h.setAll(n.Sysctls); err != nil {
				return err
			}
			if err := h.Run(func() error { return l.configure(h, n, segments) }); err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
			return nil
		})
	}
	for link, m := range l.middles {
		g.Go(func() error {
			if err := m.Run(func() error {
				links, err := m.bridge([]string{MiddleNear, MiddleFar})
				if err != nil {
					return err
				}
				return m.up(links)
			}); err != nil {
				return fmt.Errorf("%s: %w", link, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// configure runs on the host's thread. It asks the kernel for the interfaces once: each
// question waits for the one lock of all namespaces (rtnl_lock), as each order does.
func (l *Lab) configure(h *Host, n *Node, segments map[Endpoint][]Endpoint) (err error) {
	var links map[string]netlink.Link
	if n.Kind == KindBridge {
		var ports []string
		for _, i := range n.Interfaces {
			ports = append(ports, i.Name)
		}
		links, err = h.bridge(ports)
	} else {
		links, err = h.links()
	}
	if err != nil {
		return err
	}
	if err := h.up(links); err != nil {
		return err
	}
	if err := h.configure(n, links); err != nil {
		return err
	}
	if n.Kind == KindBridge {
		return l.teachBridge(h, n, links)
	}
	for _, i := range n.Interfaces {
		at := Endpoint{n.Name, i.Name}
		if err := l.joinNeighbours(h, links[i.Name], segments[at]); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

func (h *Host) configure(n *Node, links map[string]netlink.Link) error {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			a := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
			if err := h.nl.AddrAdd(links[i.Name], a); err != nil {
				return fmt.Errorf("interface %s: address %s: %w", i.Name, p, err)
			}
		}
	}
	for _, r := range n.Routes {
		if err := h.nl.RouteAdd(&netlink.Route{Dst: ipNet(r.To), Gw: r.Via.AsSlice()}); err != nil {
			return fmt.Errorf("route to %s via %s: %w", r.To, r.Via, err)
		}
	}
	for order, i := range n.Intercepts {
		if err := h.intercept(i, order); err != nil {
			return err
		}
	}
	for order, d := range n.Detours {
		if err := h.detour(d, links[d.Interface], order); err != nil {
			return err
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
