package wire

import (
	"fmt"

	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// router sends packets by its table of routes.
type router struct {
	fd   int
	ipv6 bool
}

// AtRouter puts packets back on their way at a node that forwards them: its routes say
// where each goes. Their TTL, or hop limit, is the one they are to leave with.
func AtRouter(host *topology.Host, ipv6 bool) (Exit, error) {
	r := &router{fd: -1, ipv6: ipv6}
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	err := host.Run(func() (err error) {
		// IPPROTO_RAW: the header is ours (raw(7), ipv6(7)).
		r.fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: raw socket: %w", host.Name(), err)
	}
	return r, nil
}

func (r *router) on(p Packet) error {
	if r.ipv6 {
		return unix.Sendto(r.fd, p.IP, 0, &unix.SockaddrInet6{Addr: [16]byte(p.IP[24:40])})
	}
	return unix.Sendto(r.fd, p.IP, 0, &unix.SockaddrInet4{Addr: [4]byte(p.IP[16:20])})
}

func (r *router) back(p Packet) error { return r.on(p) }

func (r *router) close() error { return unix.Close(r.fd) }
