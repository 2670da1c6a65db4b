package topology

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// offloads are the features of a device with which a capture does not show what a wire
// would: frames exceed the MSS and checksums are not there yet (net/ethtool/common.c:
// netdev_features_strings).
var offloads = []string{
	"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
	"tx-tcp-mangleid-segmentation", "tx-generic-segmentation", "rx-gro",
}

// ethtoolFamily is the number of the kernel's generic netlink family for ethtool; it is
// the same in every namespace.
var ethtoolFamily = sync.OnceValues(func() (uint16, error) {
	family, err := netlink.GenlFamilyGet(unix.ETHTOOL_GENL_NAME)
	if errors.Is(err, unix.ENOENT) {
		return 0, &UnsupportedError{Feature: "switching offloads off by netlink", Why: err.Error(),
			Fix: "a kernel of version 5.6 or later, made with CONFIG_ETHTOOL_NETLINK", Err: err}
	}
	if err != nil {
		return 0, fmt.Errorf("netlink family %s: %w", unix.ETHTOOL_GENL_NAME, err)
	}
	return family.ID, nil
})

// offloadsOff makes a capture show what a wire would. One message says it all, by names,
// where the older ioctl asks three times, each under the lock that labs wait for
// (Documentation/networking/ethtool-netlink.rst, FEATURES_SET).
func (h *Host) offloadsOff(device string) error {
	family, err := ethtoolFamily()
	if err != nil {
		return fmt.Errorf("node %s: %s: switch offloads off: %w", h.name, device, err)
	}
	header := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_NAME, nl.ZeroTerminated(device))
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_FLAGS, nl.Uint32Attr(unix.ETHTOOL_FLAG_OMIT_REPLY))
	wanted := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_WANTED|unix.NLA_F_NESTED, nil)
	bits := wanted.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS|unix.NLA_F_NESTED, nil)
	for _, feature := range offloads {
		// A bit that is named and has no value is to be off.
		bit := bits.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS_BIT|unix.NLA_F_NESTED, nil)
		bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_NAME, nl.ZeroTerminated(feature))
	}
	req := nl.NewNetlinkRequest(int(family), unix.NLM_F_ACK)
	// The library sends four bytes of a struct that has two: the others are to be ours.
	head := &struct {
		nl.Genlmsg
		reserved uint16
	}{Genlmsg: nl.Genlmsg{Command: unix.ETHTOOL_MSG_FEATURES_SET, Version: unix.ETHTOOL_GENL_VERSION}}
	req.AddData(&head.Genlmsg)
	req.AddData(header)
	req.AddData(wanted)
	if _, err := req.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("node %s: %s: switch offloads off: %w", h.name, device, err)
	}
	return nil
}
