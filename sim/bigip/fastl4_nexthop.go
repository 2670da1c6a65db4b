package bigip

import (
	"fmt"
	"net/netip"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"golang.org/x/sys/unix"
)

// nextHops knows where frames to a member go, by the kernel's routes and neighbours.
// They are asked for once a member: neighbours are permanent in the lab.
type nextHops struct {
	netlink netlinksafe.Handle
	out     int // index of the interface
	known   map[netip.Addr]hardware
}

// newNextHops opens netlink in the calling thread's namespace.
func newNextHops(out *face) (*nextHops, error) {
	h, err := netlinksafe.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &nextHops{netlink: h, out: out.index, known: map[netip.Addr]hardware{}}, nil
}

func (n *nextHops) close() { n.netlink.Close() }

// to returns the MAC address of the next hop towards an address. What has no route, or
// a next hop that is not known, is an error.
func (n *nextHops) to(a netip.Addr) (hardware, error) {
	if mac, ok := n.known[a]; ok {
		return mac, nil
	}
	routes, err := n.netlink.RouteGet(a.AsSlice())
	if err != nil {
		return hardware{}, fmt.Errorf("route to %s: %w", a, err)
	}
	for _, r := range routes {
		if r.LinkIndex != n.out {
			continue
		}
		via := a.AsSlice()
		if r.Gw != nil {
			via = r.Gw
		}
		neighbours, err := n.netlink.NeighList(n.out, unix.AF_UNSPEC)
		if err != nil {
			return hardware{}, fmt.Errorf("neighbours: %w", err)
		}
		for _, x := range neighbours {
			if x.IP.Equal(via) && len(x.HardwareAddr) == len(hardware{}) {
				n.known[a] = hardware(x.HardwareAddr)
				return n.known[a], nil
			}
		}
	}
	return hardware{}, fmt.Errorf("next hop to %s: %w", a, unix.EHOSTUNREACH)
}
