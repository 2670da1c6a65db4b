package topology

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// linkUpDeadline bounds the wait for a veth to come up; it takes 65 µs as a rule.
const linkUpDeadline = 5 * time.Second

// waitUp waits until both ends of every link say they are up. Without it one lab
// in 25 loses its first packet: the device still has the no-op queue.
func (l *Lab) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, linkUpDeadline)
	defer cancel()
	all := slices.Collect(maps.Values(l.hosts))
	all = slices.AppendSeq(all, maps.Values(l.middles))
	for _, h := range all {
		if err := h.waitUp(ctx); err != nil {
			return err
		}
	}
	// The kernel says "up" a moment before it gives the device its queue
	// (net/core/link_watch.c: linkwatch_do_dev), both under the lock that setting
	// a link takes as well. Setting them up once more, which changes nothing,
	// therefore waits for that moment to be over.
	for _, h := range all {
		if err := h.Run(h.linksUp); err != nil {
			return err
		}
	}
	return nil
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
