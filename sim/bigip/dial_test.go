package bigip

import (
	"testing"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

func TestAPortWhoseSYNIsRepeatedToOneMemberIsFreeForAnother(t *testing.T) {
	b := build(t, topology.IPv4)
	b.dropSYNs()
	source := mustAddrPort(b.a.SNAT.String() + ":40000")
	err := b.Host(topology.F5).Run(func() error {
		repeated, err := eventloop.TCP(source)
		if err != nil {
			return err
		}
		defer unix.Close(repeated)
		if err := setISN(repeated, 12345); err != nil {
			return err
		}
		if err := unix.Connect(repeated, eventloop.Sockaddr(b.a.Server1)); err != unix.EINPROGRESS {
			return err
		}
		other, err := eventloop.TCP(source)
		if err != nil {
			return err
		}
		return unix.Close(other)
	})
	if err != nil {
		t.Error(err)
	}
}
