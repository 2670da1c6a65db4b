package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// linkUpDeadline bounds the wait for a veth to come up; it takes 65 µs as a rule.
const linkUpDeadline = 5 * time.Second

// loopback has the same number in every namespace (include/net/flow.h: LOOPBACK_IFINDEX).
var loopback = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}

// waitUp waits until both ends of every link say they are up. Without it one lab
// in 25 loses its first packet: the device still has the no-op queue.
func (l *Lab) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, linkUpDeadline)
	defer cancel()
	all := slices.Collect(maps.Values(l.hosts))
	all = slices.AppendSeq(all, maps.Values(l.middles))
	var g errgroup.Group
	for _, h := range all {
		g.Go(func() error {
			if err := h.waitUp(ctx); err != nil {
				return err
			}
			if n, ok := l.spec.Node(h.name); ok {
				if err := h.waitAddresses(ctx, n); err != nil {
					return err
				}
			}
			// The kernel says "up" a moment before it gives the device its queue
			// (net/core/link_watch.c: linkwatch_do_dev), both under the lock that setting
			// a link takes as well. Setting one up once more, which changes nothing,
			// therefore waits for that moment to be over.
			return h.Run(func() error { return h.nl.LinkSetUp(loopback) })
		})
	}
	return g.Wait()
}

func (h *Host) waitUp(ctx context.Context) error {
	for {
		down, err := h.linkDown()
		if err != nil || down == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s: interface %s is not up: %w", h.name, down, ctx.Err())
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// waitAddresses waits until the kernel takes what is for the node's IPv6 addresses.
// It makes the route that says so in a work queue of its own, also without duplicate
// address detection (net/ipv6/addrconf.c: addrconf_dad_work); on a busy machine a
// new lab would lose its first packets.
func (h *Host) waitAddresses(ctx context.Context, n *Node) error {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			for p.Addr().Is6() {
				local, err := h.isLocal(p.Addr())
				if err != nil {
					return fmt.Errorf("node %s: look up address %s: %w", h.name, p.Addr(), err)
				}
				if local {
					break
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("node %s: address %s is not in use yet: %w", h.name, p.Addr(), ctx.Err())
				case <-time.After(100 * time.Microsecond):
				}
			}
		}
	}
	return nil
}

func (h *Host) isLocal(a netip.Addr) (local bool, err error) {
	err = h.Run(func() error {
		routes, err := h.nl.RouteGet(a.AsSlice())
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
			return nil
		}
		for _, r := range routes {
			local = local || r.Type == unix.RTN_LOCAL
		}
		return err
	})
	return local, err
}

// linkDown returns an interface that is not up yet. Only ends of links count: a
// bridge forwards before its own device, which nobody uses, says that it is up.
func (h *Host) linkDown() (down string, err error) {
	err = h.Run(func() error {
		links, err := h.nl.LinkList()
		for _, link := range links {
			if link.Type() == "veth" && link.Attrs().OperState != netlink.OperUp {
				down = link.Attrs().Name
			}
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("node %s: list interfaces: %w", h.name, err)
	}
	return down, nil
}

// quietFor is how long no packet may move for a lab to count as quiet: longer
// than any answer takes between namespaces of one machine.
const quietFor = 30 * time.Millisecond

// AwaitQuiet waits until no interface of the lab sends or receives anything, so
// that what is counted on both sides of a hop can be compared. Who may yet send
// something though nothing moves — a wire that holds packets back, TCP that will
// repeat itself — is asked in between: busy says what it has to do, "" for nothing.
// An error is the context's end, which says who was waited for, or busy's.
func (l *Lab) AwaitQuiet(ctx context.Context, busy ...func(context.Context) (string, error)) error {
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	// Only what was idle before nothing moved has sent nothing since.
	idle := false
	for last := uint64(0); ; {
		moved, err := l.packetsMoved()
		if err != nil {
			return err
		}
		if moved == last && idle {
			return nil
		}
		last, idle = moved, true
		what := "the lab to be quiet"
		for _, ask := range busy {
			says, err := ask(ctx)
			if err != nil {
				return err
			}
			if says != "" {
				what, idle = says, false
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
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
