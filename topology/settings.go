package topology

import "maps"

// noIPv6 is the setting of the interfaces that are made later; the loopback may keep its
// address. That of all would spin until nobody else on the machine is setting up a link
// (net/ipv6/addrconf.c: addrconf_disable_ipv6, restart_syscall).
const noIPv6 = "net.ipv6.conf.default.disable_ipv6"

// baseSettings are the sysctls of a node. They fix what would otherwise differ
// from one machine to the next and shape TCP; the node's own come on top.
func baseSettings(n *Node, ipv6 bool) map[string]string {
	s := map[string]string{noIPv6: "1"}
	if ipv6 {
		s = map[string]string{}
		if n.Kind != KindBridge {
			s["net.ipv6.conf.all.accept_ra"] = "0"
			s["net.ipv6.conf.default.accept_ra"] = "0"
		}
	}
	if n.Kind != KindBridge {
		// Every kernel has reno; what else there is, and whether an
		// unprivileged user may choose it, differs.
		s["net.ipv4.tcp_congestion_control"] = "reno"
		// A source port that comes round within TIME_WAIT is told from an old
		// one by its timestamp (RFC 6191).
		s["net.ipv4.tcp_timestamps"] = "1"
		// A tail loss probe (RFC 8985 §7) repeats, within milliseconds, what the other
		// end has and is slow to acknowledge: a retransmission that means nothing, and
		// earlier than a BIG-IP's minimum-rto.
		s["net.ipv4.tcp_early_retrans"] = "0"
		s["net.ipv4.ip_local_port_range"] = "1024 65535"
	}
	if n.Kind == KindRouter {
		s["net.ipv4.ip_forward"] = "1"
		if ipv6 {
			s["net.ipv6.conf.all.forwarding"] = "1"
		}
	}
	maps.Copy(s, n.Sysctls)
	return s
}
