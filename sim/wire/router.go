package wire

import (
	"fmt"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// router sends packets by its table of routes.
type router struct{ fd int }

// AtRouter puts packets back on their way at a node that forwards them: its routes say
// where each goes. Their TTL, or hop limit, is the one they are to leave with.
func AtRouter(host *topology.Host, ipv6 bool) (Exit, error) {
	r := &router{fd: -1}
	err := host.Run(func() (err error) {
		r.fd, err = eventloop.RawIP(ipv6)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host.Name(), err)
	}
	return r, nil
}

func (r *router) on(p Packet) error { return eventloop.SendIP(r.fd, p.IP) }

func (r *router) back(p Packet) error { return r.on(p) }

func (r *router) close() error { return unix.Close(r.fd) }
