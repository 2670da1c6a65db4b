package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kind says how a node treats frames that are not for itself.
type Kind string

// The kinds of node. The zero value is an end host.
const (
	KindHost   Kind = ""       // keeps what is addressed to it
	KindRouter Kind = "router" // forwards IP packets between its interfaces
	KindBridge Kind = "bridge" // switches Ethernet frames between its interfaces; has no addresses
)

// Spec describes a lab as data. It can be validated, printed and compared
// without any privilege; only [Build] touches the kernel.
type Spec struct {
	Nodes []Node
	Links []Link
}

// Node is one network namespace.
type Node struct {
	Name       string
	Kind       Kind
	Interfaces []Interface
	Routes     []Route
	Intercepts []Intercept
	Detours    []Detour
	// Sysctls are settings below /proc/sys of this namespace, by dotted name
	// ("net.ipv4.tcp_timestamps"); they come on top of those every node gets.
	Sysctls map[string]string
}

// Interface is one face of a node: the end of a veth pair.
type Interface struct {
	Name      string         // at most 15 bytes (IFNAMSIZ less the NUL)
	Addresses []netip.Prefix // address and prefix length; empty on a bridge's ports
}

// Route sends what is for To to the neighbour Via.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Endpoint names an interface of a node.
type Endpoint struct{ Node, Interface string }

// String returns "node/interface".
func (e Endpoint) String() string { return e.Node + "/" + e.Interface }

// Link joins two interfaces.
type Link struct {
	A, B Endpoint // A is the end nearer to the client
	// Middle puts a namespace of its own between the two ends: a bridge in
	// which a fault can drop a packet after the sender's capture has seen it
	// and before the receiver's has.
	Middle bool
	// Detour leaves the link out of [Spec.Path]: no route leads over it, only a [Detour] does.
	Detour bool
}

// Name returns the link's name in faults and verdicts, "link:A-B".
func (l Link) Name() string { return "link:" + l.A.Node + "-" + l.B.Node }

// SpecError says what in a [Spec] cannot be built.
type SpecError struct{ Where, Why string }

func (e *SpecError) Error() string { return "topology: " + e.Where + ": " + e.Why }

// Node returns the node of that name.
func (s *Spec) Node(name string) (*Node, bool) {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i], true
		}
	}
	return nil, false
}

// Interface returns the interface of that name.
func (n *Node) Interface(name string) (*Interface, bool) {
	for i := range n.Interfaces {
		if n.Interfaces[i].Name == name {
			return &n.Interfaces[i], true
		}
	}
	return nil, false
}

// Link returns the link of that name ("link:f5-firewall").
func (s *Spec) Link(name string) (*Link, bool) {
	for i := range s.Links {
		if s.Links[i].Name() == name {
			return &s.Links[i], true
		}
	}
	return nil, false
}

// WithMiddle returns a copy of s whose link of that name has a middle.
func (s Spec) WithMiddle(link string) (Spec, error) {
	s.Links = slices.Clone(s.Links)
	l, ok := s.Link(link)
	if !ok {
		return s, &SpecError{Where: link, Why: "no such link; there are " + strings.Join(s.LinkNames(), ", ")}
	}
	l.Middle = true
	return s, nil
}

// LinkNames returns the names of all links in the order of the spec.
func (s *Spec) LinkNames() []string {
	var names []string
	for _, l := range s.Links {
		names = append(names, l.Name())
	}
	return names
}

// Path returns the names of the nodes and links that a packet crosses on the
// shortest way between two nodes that is no detour, both ends included:
// "f5", "link:f5-firewall", "firewall", …; nil if there is no way.
func (s *Spec) Path(from, to string) []string {
	type step struct {
		node string
		path []string
	}
	seen := map[string]bool{from: true}
	for queue := []step{{from, []string{from}}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at.node == to {
			return at.path
		}
		for _, l := range s.Links {
			next := ""
			switch at.node {
			case l.A.Node:
				next = l.B.Node
			case l.B.Node:
				next = l.A.Node
			}
			if next == "" || seen[next] || l.Detour {
				continue
			}
			seen[next] = true
			queue = append(queue, step{next, append(slices.Clone(at.path), l.Name(), next)})
		}
	}
	return nil
}

// Validate reports everything in s that could not be built, as one joined error
// of [SpecError] values; nil if there is nothing.
func (s *Spec) Validate() error {
	var errs []error
	bad := func(where, format string, args ...any) {
		errs = append(errs, &SpecError{Where: where, Why: fmt.Sprintf(format, args...)})
	}
	nodes := map[string]bool{}
	addresses := map[netip.Addr]string{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Name == "" || strings.ContainsAny(n.Name, "/:, ") {
			bad("node "+n.Name, "a name must be non-empty and without '/', ':', ',' or spaces")
		}
		if nodes[n.Name] {
			bad("node "+n.Name, "named twice")
		}
		nodes[n.Name] = true
		if n.Kind != KindHost && n.Kind != KindRouter && n.Kind != KindBridge {
			bad("node "+n.Name, "unknown kind %q; there are router, bridge and the empty one for a host", n.Kind)
		}
		n.validateInterfaces(addresses, bad)
		for _, x := range n.Intercepts {
			if _, ok := n.Interface(x.Interface); !ok || !x.To.IsValid() {
				bad("node "+n.Name, "intercepts %s on %q: it must be a prefix, and one of the node's interfaces", x.To, x.Interface)
			}
		}
		for _, x := range n.Detours {
			if _, ok := n.Interface(x.Interface); !ok || !x.To.IsValid() || x.Mark == 0 {
				bad("node "+n.Name, "sends what has the mark %#x to %s by %q: it must be a mark, a prefix, and one of the node's interfaces", x.Mark, x.To, x.Interface)
			}
		}
	}
	s.validateLinks(bad)
	return errors.Join(errs...)
}

func (n *Node) validateInterfaces(addresses map[netip.Addr]string, bad func(where, format string, args ...any)) {
	seen := map[string]bool{}
	for _, i := range n.Interfaces {
		where := Endpoint{n.Name, i.Name}.String()
		if i.Name == "" || len(i.Name) > 15 || strings.ContainsAny(i.Name, "/: ") {
			bad(where, "an interface name has 1 to 15 bytes without '/', ':' or spaces")
		}
		if seen[i.Name] {
			bad(where, "named twice")
		}
		seen[i.Name] = true
		if n.Kind == KindBridge && len(i.Addresses) > 0 {
			bad(where, "a bridge's port has no address")
		}
		for _, a := range i.Addresses {
			switch other, taken := addresses[a.Addr()]; {
			case !a.IsValid():
				bad(where, "address is not valid")
			case !lawful(a.Addr()):
				bad(where, "address %s is outside 198.18.0.0/15 and 2001:db8::/32, the ranges set aside for tests", a)
			case taken:
				bad(where, "address %s is also on %s", a.Addr(), other)
			}
			addresses[a.Addr()] = where
		}
	}
}

func (s *Spec) validateLinks(bad func(where, format string, args ...any)) {
	used := map[Endpoint]string{}
	for _, l := range s.Links {
		for _, e := range []Endpoint{l.A, l.B} {
			n, ok := s.Node(e.Node)
			if !ok {
				bad(l.Name(), "no node %q", e.Node)
				continue
			}
			if _, ok := n.Interface(e.Interface); !ok {
				bad(l.Name(), "node %s has no interface %q", e.Node, e.Interface)
			}
			if other, taken := used[e]; taken {
				bad(l.Name(), "%s is already joined by %s", e, other)
			}
			used[e] = l.Name()
		}
		if l.A.Node == l.B.Node {
			bad(l.Name(), "joins a node to itself")
		}
	}
}

// lawful: traffic of a lab never means a network of somebody's. 198.18.0.0/15 is
// set aside for benchmarks (RFC 2544 §C.2.2), 2001:db8::/32 for documentation
// (RFC 3849).
func lawful(a netip.Addr) bool {
	return netip.MustParsePrefix("198.18.0.0/15").Contains(a) || netip.MustParsePrefix("2001:db8::/32").Contains(a)
}

// UsesIPv6 says whether any address of s is an IPv6 one.
func (s *Spec) UsesIPv6() bool {
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

// segments returns, for each endpoint that has addresses, all others on the same
// stretch of Ethernet (through links and bridges).
func (s *Spec) segments() map[Endpoint][]Endpoint {
	parent := map[Endpoint]Endpoint{}
	var find func(e Endpoint) Endpoint
	find = func(e Endpoint) Endpoint {
		if p, ok := parent[e]; ok && p != e {
			root := find(p)
			parent[e] = root
			return root
		}
		return e
	}
	union := func(a, b Endpoint) { parent[find(a)] = find(b) }
	for _, l := range s.Links {
		union(l.A, l.B)
	}
	for _, n := range s.Nodes {
		if n.Kind != KindBridge {
			continue
		}
		for _, i := range n.Interfaces {
			union(Endpoint{n.Name, i.Name}, Endpoint{n.Name, n.Interfaces[0].Name})
		}
	}
	groups := map[Endpoint][]Endpoint{}
	for _, n := range s.Nodes {
		for _, i := range n.Interfaces {
			if len(i.Addresses) > 0 {
				e := Endpoint{n.Name, i.Name}
				groups[find(e)] = append(groups[find(e)], e)
			}
		}
	}
	out := map[Endpoint][]Endpoint{}
	for _, g := range groups {
		for _, e := range g {
			for _, other := range g {
				if other != e {
					out[e] = append(out[e], other)
				}
			}
		}
	}
	return out
}
