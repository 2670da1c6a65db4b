package topology

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Intercept has a node take for its own what arrives on one of its interfaces for the
// addresses of others: so a proxy that connects from its clients' addresses
// (IP_TRANSPARENT) gets its answers. What the node sends to these addresses, and what
// arrives elsewhere, goes its usual way.
type Intercept struct {
	Interface string
	To        netip.Prefix
}

// interceptTable is the routing table of a node's first intercept; each has its own.
const interceptTable = 100

// intercept sets up what "ip rule add iif eth0 lookup 100" and "ip route add local
// 198.18.50.0/24 dev lo table 100" do.
func (h *Host) intercept(i Intercept, order int) error {
	lo, err := h.nl.LinkByName("lo")
	if err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.IifName, rule.Table, rule.Family = i.Interface, interceptTable+order, unix.AF_INET
	if i.To.Addr().Is6() {
		rule.Family = unix.AF_INET6
	}
	if err := h.nl.RuleAdd(rule); err != nil {
		return fmt.Errorf("rule for what arrives on %s: %w", i.Interface, err)
	}
	route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(i.To), Table: rule.Table, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST}
	if err := h.nl.RouteAdd(route); err != nil {
		return fmt.Errorf("route that delivers %s: %w", i.To, err)
	}
	return nil
}
