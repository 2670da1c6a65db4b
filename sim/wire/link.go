package wire

import (
	"fmt"
	"net"

	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// link is the middle of a link.
type link struct {
	fd        int
	far, near int // interface indexes: where packets go on, and where they came from
}

// OnLink puts packets back in the middle of a link: those to the server at its far end, or
// those to the client at its near end. They leave by the port itself and do not meet the
// bridge's rules again.
func OnLink(middle *topology.Host, toServer bool) (Exit, error) {
	l := &link{fd: -1}
	err := middle.Run(func() error {
		far, err := net.InterfaceByName(topology.MiddleFar)
		if err != nil {
			return err
		}
		near, err := net.InterfaceByName(topology.MiddleNear)
		if err != nil {
			return err
		}
		if l.far, l.near = far.Index, near.Index; !toServer {
			l.far, l.near = l.near, l.far
		}
		// Protocol 0: it receives nothing.
		l.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: packet socket: %w", middle.Name(), err)
	}
	return l, nil
}

func (l *link) on(p Packet) error { return l.send(append(p.Ether, p.IP...), l.far) }

// back sends to whom the packet that p has the header of came from, in the name of whom
// it went to.
func (l *link) back(p Packet) error {
	frame := append(p.Ether, p.IP...)
	to, from := [6]byte(p.Ether[6:12]), [6]byte(p.Ether[0:6])
	copy(frame[0:], to[:])
	copy(frame[6:], from[:])
	return l.send(frame, l.near)
}

func (l *link) send(frame []byte, port int) error {
	return unix.Sendto(l.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: port})
}

func (l *link) close() error { return unix.Close(l.fd) }
