package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Forget makes a node forget the hardware address of a neighbour, as when an entry of its
// table has had its time: the next packet to it has to wait until the node has asked, by
// ARP (RFC 826) or neighbour discovery (RFC 4861 §7.2).
func (h *Host) Forget(face string, neighbour netip.Addr) error {
	err := h.Run(func() error {
		link, err := h.nl.LinkByName(face)
		if err != nil {
			return err
		}
		return h.nl.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: neighbour.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("node %s: %s: forget %s: %w", h.name, face, neighbour, err)
	}
	return nil
}

// Resolving returns how many neighbours the node has asked for and not heard of yet.
// Packets to them wait.
func (h *Host) Resolving() (n int, err error) {
	err = h.Run(func() error {
		list, err := h.nl.NeighList(0, unix.AF_UNSPEC)
		for i := range list {
			if list[i].State&unix.NUD_INCOMPLETE != 0 {
				n++
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("node %s: list neighbours: %w", h.name, err)
	}
	return n, nil
}

// Attributes of a neighbour table (include/uapi/linux/neighbour.h), which package unix
// does not have.
const (
	tableName       = 1  // NDTA_NAME
	tableParameters = 6  // NDTA_PARMS
	parameterIndex  = 1  // NDTPA_IFINDEX
	parameterQueue  = 16 // NDTPA_QUEUE_LENBYTES
)

// HoldForNeighbours sets how many bytes of packets wait at a face for the hardware address
// of one neighbour. The kernel drops what is more without a word. It goes by netlink: the
// sysctl net.ipv4.neigh.*.unres_qlen_bytes is not there without root.
func (h *Host) HoldForNeighbours(face string, bytes uint32) error {
	err := h.Run(func() error {
		link, err := h.nl.LinkByName(face)
		if err != nil {
			return err
		}
		set := func(family byte, table string) error {
			parameters := nl.NewRtAttr(tableParameters|unix.NLA_F_NESTED, nil)
			parameters.AddRtAttr(parameterIndex, binary.NativeEndian.AppendUint32(nil, uint32(link.Attrs().Index)))
			parameters.AddRtAttr(parameterQueue, binary.NativeEndian.AppendUint32(nil, bytes))
			r := nl.NewNetlinkRequest(unix.RTM_SETNEIGHTBL, unix.NLM_F_ACK)
			r.AddRawData(slices.Concat([]byte{family, 0, 0, 0}, // struct ndtmsg
				nl.NewRtAttr(tableName, nl.ZeroTerminated(table)).Serialize(), parameters.Serialize()))
			_, err := r.Execute(unix.NETLINK_ROUTE, 0)
			return err
		}
		err = set(unix.AF_INET, "arp_cache")
		if v6 := set(unix.AF_INET6, "ndisc_cache"); !errors.Is(v6, unix.ENOENT) { // IPv6 is compiled out, or off
			err = errors.Join(err, v6)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("node %s: %s: let packets wait for neighbours: %w", h.name, face, err)
	}
	return nil
}
