package suite

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/hopblame/hopblame/e2e/testkit"
)

// config makes a full proxy with SNAT that opens a connection to a server for each request,
// and writes a line of its log as testkit.ReadFlows reads it. A server is given less than
// the second after which Linux repeats a SYN.
const config = `global
	nbthread 1
	hard-stop-after 5s
	log stdout format raw local0
defaults
	mode http
	log global
	timeout connect 400ms
	timeout client 20s
	timeout server 20s
	option http-server-close
	http-reuse never
	retries 0
frontend batch
	bind %s
	capture request header X-Request-ID len 32
	log-format '{"id":"%%[capture.req.hdr(0)]","client":"%%ci","client_port":%%cp,"source":"%%bi","source_port":%%bp,"server":"%%si","server_port":%%sp,"accepted_ms":%%Ts%%ms,"connect_ms":%%Tc,"total_ms":%%Ta,"retries":"%%rc"}'
	default_backend pool
backend pool
	source %s
	server server1 %s
	server server2 %s
`

// haproxy is HAProxy, a master and its worker, in the f5's place.
func haproxy(at testkit.Place) testkit.Program {
	source := netip.AddrPortFrom(at.Source, 0) // any port, and brackets around an IPv6 address
	return testkit.Program{
		Name:  "haproxy",
		Args:  []string{"-W", "-f", "haproxy.cfg"},
		Files: map[string]string{"haproxy.cfg": fmt.Sprintf(config, at.Listen, source, at.Servers[0], at.Servers[1])},
		Stop:  syscall.SIGUSR1, // when its last request has ended
	}
}
