package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The main thread is locked so that no goroutine which enters a namespace can
// land on it: the runtime parks that thread instead of destroying it, and
// /proc/self would then show a namespace of the lab.
func init() { runtime.LockOSThread() }

// ErrClosed is returned by a [Host] whose lab has been closed.
var ErrClosed = errors.New("lab is closed")

// Host is a live node: a namespace, and the one thread that lives in it.
type Host struct {
	name  string
	netns ns.NetNS
	nl    netlinksafe.Handle

	calls   chan func()
	stop    chan struct{}
	threads sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	commands []*Cmd
	settings map[string]string
}

// newHost creates an anonymous namespace and starts its thread.
func newHost(name string) (*Host, error) {
	return startHost(name, func(h *Host) (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return denied("a network namespace", fmt.Errorf("create namespace: %w", err))
		}
		h.netns, err = here()
		return err
	})
}

// here opens the namespace of the calling, locked thread. Not ns.GetCurrentNS, which looks
// below /proc/<pid>: the PID namespace is one of the process's own, /proc need not be.
func here() (ns.NetNS, error) { return ns.GetNS("/proc/thread-self/ns/net") }

// startHost starts a namespace's thread, which settles there by what settle does.
func startHost(name string, settle func(*Host) error) (*Host, error) {
	h := &Host{name: name, calls: make(chan func()), stop: make(chan struct{}), settings: map[string]string{}}
	entered := make(chan error, 1)
	h.threads.Add(1)
	go func() {
		defer h.threads.Done()
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := settle(h)
		if err == nil {
			// Links, addresses, routes: there is no need for the sockets of other families.
			h.nl, err = netlinksafe.NewHandle(unix.NETLINK_ROUTE)
		}
		entered <- err
		for {
			select {
			case f := <-h.calls:
				f()
			case <-h.stop:
				return
			}
		}
	}()
	if err := <-entered; err != nil {
		return nil, errors.Join(fmt.Errorf("node %s: %w", name, err), h.close())
	}
	return h, nil
}

// enter moves the calling, locked thread into the namespace.
func (h *Host) enter() error {
	if err := netns.Set(netns.NsHandle(h.netns.Fd())); err != nil {
		return denied("entering a network namespace", err)
	}
	return nil
}

// Name returns the node's name.
func (h *Host) Name() string { return h.name }

// Run calls f on the host's thread, inside its namespace, and returns what f
// returns. Sockets that f creates stay in the namespace and may be used
// anywhere; goroutines that f starts do not run inside it. Calls are served one
// at a time: f must not call Run of the same host, and must not block for long.
func (h *Host) Run(f func() error) error {
	done := make(chan error, 1)
	select {
	case h.calls <- func() { done <- f() }:
		return <-done
	case <-h.stop:
		return fmt.Errorf("node %s: %w", h.name, ErrClosed)
	}
}

// Go runs f on another thread of its own inside the namespace, for an actor that
// blocks (an event loop). The lab's Close waits for f to return, so f must end
// when its owner is told to.
func (h *Host) Go(f func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("node %s: %w", h.name, ErrClosed)
	}
	entered := make(chan error, 1)
	h.threads.Add(1)
	go func() {
		defer h.threads.Done()
		runtime.LockOSThread()
		err := h.enter()
		entered <- err
		if err == nil {
			f()
		}
	}()
	return <-entered
}

// Listen announces on an address of the node. Multipath TCP is off: since Go
// 1.24 listeners speak it by default, and resets and socket options then differ
// from plain TCP.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	err := h.Run(func() (err error) {
		var c net.ListenConfig
		c.SetMultipathTCP(false)
		l, err = c.Listen(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: listen on %s: %w", h.name, address, err)
	}
	return l, nil
}

// Setting reads a sysctl of the namespace by its dotted name.
func (h *Host) Setting(name string) (string, error) {
	var value string
	err := h.Run(func() error {
		b, err := os.ReadFile(sysctlPath(name))
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// Set writes a sysctl of the namespace by its dotted name and records it in the
// lab's settings.
func (h *Host) Set(name, value string) error {
	return h.setAll(map[string]string{name: value})
}

// setAll is Set for several, in the order of their names.
func (h *Host) setAll(settings map[string]string) error {
	return h.Run(func() error {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			value := settings[name]
			if err := os.WriteFile(sysctlPath(name), []byte(value), 0); err != nil {
				return fmt.Errorf("node %s: set %s to %s: %w", h.name, name, value, err)
			}
			h.mu.Lock()
			h.settings[name] = value
			h.mu.Unlock()
		}
		return nil
	})
}

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// SNMP reads the namespace's protocol counters (/proc/net/snmp, RFC 4022 names
// such as "Tcp.InSegs"; for IPv6 /proc/net/snmp6, "Ip6InReceives").
func (h *Host) SNMP() (map[string]uint64, error) {
	return h.protocolCounters("snmp", func(counters map[string]uint64) {
		// Absent where IPv6 is compiled out.
		if list, err := os.ReadFile(protocolFiles + "snmp6"); err == nil {
			parseSNMP6(string(list), counters)
		}
	})
}

// Netstat reads Linux's own counters of the namespace (/proc/net/netstat), under names such
// as "TcpExt.PAWSEstab".
func (h *Host) Netstat() (map[string]uint64, error) { return h.protocolCounters("netstat", nil) }

// protocolFiles is where the counters of a thread's namespace are.
const protocolFiles = "/proc/thread-self/net/"

// protocolCounters reads a file of tables, and what more adds to it.
func (h *Host) protocolCounters(file string, more func(map[string]uint64)) (map[string]uint64, error) {
	counters := map[string]uint64{}
	err := h.Run(func() error {
		tables, err := os.ReadFile(protocolFiles + file)
		if err != nil {
			return err
		}
		parseSNMP(string(tables), counters)
		if more != nil {
			more(counters)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: read protocol counters: %w", h.name, err)
	}
	return counters, nil
}

// parseSNMP reads pairs of lines, "Tcp: InSegs OutSegs" over "Tcp: 5 7".
func parseSNMP(text string, into map[string]uint64) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(names) && j < len(values); j++ {
			var v uint64
			if _, err := fmt.Sscan(values[j], &v); err == nil {
				into[strings.TrimSuffix(names[0], ":")+"."+names[j]] = v
			}
		}
	}
}

// parseSNMP6 reads lines of "name value".
func parseSNMP6(text string, into map[string]uint64) {
	for line := range strings.Lines(text) {
		var name string
		var v uint64
		if _, err := fmt.Sscan(line, &name, &v); err == nil {
			into[name] = v
		}
	}
}

// close ends the node's programs, waits for its threads and lets the namespace go.
func (h *Host) close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	commands := h.commands
	h.mu.Unlock()
	for _, c := range commands {
		c.kill()
	}
	close(h.stop)
	h.threads.Wait()
	if h.nl.Handle != nil {
		h.nl.Close()
	}
	if h.netns == nil {
		return nil // it never got there
	}
	if err := h.netns.Close(); err != nil && !errors.Is(err, unix.EBADF) {
		return fmt.Errorf("node %s: close namespace: %w", h.name, err)
	}
	return nil
}

// Dial connects from the node to an address, which must be an IP literal: name
// look-ups would run outside the namespace.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{}
	d.SetMultipathTCP(false)
	// The dialler makes its socket on the goroutine that calls it as long as
	// there is one address to try, so this is a thread of its own inside.
	type result struct {
		conn net.Conn
		err  error
	}
	got := make(chan result, 1)
	if err := h.Go(func() {
		c, err := d.DialContext(ctx, network, address)
		got <- result{c, err}
	}); err != nil {
		return nil, err
	}
	r := <-got
	if r.err != nil {
		return nil, fmt.Errorf("node %s: %w", h.name, r.err)
	}
	return r.conn, nil
}
