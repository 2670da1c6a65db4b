package capture

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// isICMPError tells whether an IP packet of at least 40 bytes is an ICMP error about TCP:
// of the types 3, 11 and 12 (RFC 792), or below 128 (RFC 4443 §2.1).
func isICMPError(etherType, ip []byte) bool {
	switch binary.BigEndian.Uint16(etherType) {
	case unix.ETH_P_IP:
		icmp := ip[min(int(ip[0]&15)*4, len(ip)):]
		return ip[9] == unix.IPPROTO_ICMP && len(icmp) > 8+9 && (icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12) && icmp[8+9] == unix.IPPROTO_TCP
	case unix.ETH_P_IPV6:
		icmp := ip[40:]
		return ip[6] == unix.IPPROTO_ICMPV6 && len(icmp) > 8+6 && icmp[0] < 128 && icmp[8+6] == unix.IPPROTO_TCP
	}
	return false
}
