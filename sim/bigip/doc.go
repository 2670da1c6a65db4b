// Package bigip is the lab's full proxy: it behaves on the wire like the BIG-IP
// of the incident.
//
//	client ── SYN ──▶ VIP          two TCP connections, two stacks:
//	       ◀ SYN-ACK ─             the clientside half is accepted and its
//	       ── POST ──▶             request acknowledged before the serverside
//	       ◀─── ACK ──             half is so much as tried
//	                 SNAT ── SYN ──▶ member
//	                      ── SYN ──▶   (syn-max-retrans more, syn-rto-base apart)
//	       ◀── RST ───             and what fails there is reset here:
//	                               "TCP retransmit timeout", peer flag set
//
// Both halves are kernel sockets, served by one event loop on a thread of the
// f5's namespace. Because the virtual server has an HTTP profile, the serverside
// connection is opened only after the request's header is complete (K8082).
//
// A virtual server of type fastl4 is none of that: it passes packets through, see fastL4.
//
// Where it looks into every request — TLS, HTTP/2, OneConnect, inserted headers — one of
// the two halves ends in memory, and goroutines with net/http do the protocols' work
// behind it (layer7, pipe). The loop keeps the sockets all the same, and with them what
// this package is about: who gets a RST, when and why. That is one table, endings: event
// × side → RST, FIN or nothing, and the cause.
//
//	what is asked for    config virtual pool snat tcpprofile profiles irule monitor tcpdump
//	the connection       proxy attend conn half dial http ending; layer7 pipe clientssl; fastl4…
//	behind it            pool snat probe (the monitors at work) foresight (what can be planned)
//	what a box tells     flowtable trailer reject rstcause rstpacket rstlog sslprovider
//
// Words and defaults are BIG-IP's: virtual server, pool, member, SNAT,
// syn-max-retrans, syn-rto-base, RST cause.
package bigip
