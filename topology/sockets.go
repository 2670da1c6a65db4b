package topology

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// States of a connection as /proc/net/tcp shows them (include/net/tcp_states.h).
const (
	synReceived = "03"
	listening   = "0A"
)

// Timers of a connection as /proc/net/tcp shows them (net/ipv4/tcp_ipv4.c,
// get_tcp4_sock).
const (
	retransmission = "01"
	windowProbe    = "04"
)

// socket is a line of /proc/net/tcp.
type socket struct {
	local netip.AddrPort
	state string
	timer string // "" where the line is cut short
}

// Unsettled returns how many connections of the node's TCP will yet send something by
// themselves, because what they sent is not acknowledged. Half-open ones are among
// them.
func (h *Host) Unsettled() (n int, err error) {
	all, err := h.sockets()
	for _, s := range all {
		if s.timer == retransmission || s.timer == windowProbe {
			n++
		}
	}
	return n, err
}

// HalfOpen returns how many connections the node's TCP has answered and not yet
// seen confirmed. It repeats its SYN-ACKs to these.
func (h *Host) HalfOpen() (n int, err error) {
	all, err := h.sockets()
	for _, s := range all {
		if s.state == synReceived {
			n++
		}
	}
	return n, err
}

// listenPoll is how often a node is asked whether a program listens yet.
const listenPoll = 5 * time.Millisecond

// AwaitListener waits until a program in the node listens on an address, or on its
// port for all addresses, without sending it anything. The caller ends ctx when the
// program does.
func (h *Host) AwaitListener(ctx context.Context, address netip.AddrPort) error {
	for {
		all, err := h.sockets()
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.state == listening && (s.local == address || s.local.Addr().IsUnspecified() && s.local.Port() == address.Port()) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s: nobody listens on %s: %w", h.name, address, context.Cause(ctx))
		case <-time.After(listenPoll):
		}
	}
}

func (h *Host) sockets() (all []socket, err error) {
	err = h.Run(func() error {
		for _, table := range []string{"tcp", "tcp6"} {
			list, err := os.ReadFile("/proc/thread-self/net/" + table)
			if table == "tcp6" && errors.Is(err, os.ErrNotExist) {
				continue // IPv6 is compiled out
			}
			if err != nil {
				return err
			}
			all = append(all, parseSockets(string(list))...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: read connections: %w", h.name, err)
	}
	return all, nil
}

// parseSockets reads lines of "sl local_address rem_address st queues timer …"; what is none,
// like the heading, it passes over.
func parseSockets(table string) (all []socket) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		if local, ok := parseAddress(f[1]); ok {
			s := socket{local: local, state: f[3]}
			if len(f) > 5 {
				s.timer, _, _ = strings.Cut(f[5], ":")
			}
			all = append(all, s)
		}
	}
	return all
}

// parseAddress reads "5132A8C6:1FE5": the address as words in the machine's byte
// order, the port as a number.
func parseAddress(s string) (a netip.AddrPort, ok bool) {
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return a, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	address, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(address.Unmap(), uint16(p)), err == nil
}
