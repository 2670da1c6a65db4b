package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

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
		settings := baseSettings(n, l.spec.UsesIPv6())
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
	for order, i := range n.Intercepts {
		if err := h.intercept(i, order); err != nil {
			return err
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
