package topology_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// TestANodeTakesForItsOwnWhatArrivesOnOneInterfaceOnly has two listeners of one address:
// the client, who has it, and the f5, which intercepts it on the side of the servers.
func TestANodeTakesForItsOwnWhatArrivesOnOneInterfaceOnly(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			a := topology.StandardAddresses(family)
			spec, err := topology.Standard(family)
			if err != nil {
				t.Fatal(err)
			}
			client, _ := spec.Node(topology.Client)
			clients := client.Interfaces[0].Addresses[0].Masked()
			f5, _ := spec.Node(topology.F5)
			f5.Intercepts = []topology.Intercept{{Interface: topology.Internal, To: clients}}
			for node, via := range map[string]netip.Addr{topology.Firewall: a.SNAT, topology.Server1: a.Downstream} {
				n, _ := spec.Node(node)
				n.Routes = append(n.Routes, topology.Route{To: clients, Via: via})
			}
			lab := labtest.BuildSpec(t, spec)

			address := netip.AddrPortFrom(a.Client, 9000).String()
			for _, node := range []string{topology.Client, topology.F5} {
				l := listenAsAnybody(t, lab.Host(node), address)
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						_, _ = io.WriteString(c, node)
						c.Close()
					}
				}()
			}
			for from, want := range map[string]string{topology.Server1: topology.F5, topology.F5: topology.Client} {
				if got := exchange(t, lab.Host(from), address); got != want {
					t.Errorf("from %s, %s answers at %s; want %s", from, got, address, want)
				}
			}
		})
	}
}

// listenAsAnybody listens on an address that may be somebody else's.
func listenAsAnybody(t *testing.T, h *topology.Host, address string) (l net.Listener) {
	t.Helper()
	config := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT
		if network == "tcp6" {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
		}
		var set error
		err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(err, set)
	}}
	config.SetMultipathTCP(false)
	err := h.Run(func() (err error) {
		l, err = config.Listen(t.Context(), "tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
