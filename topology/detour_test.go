package topology_test

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

const detourMark = 0x200

func TestALabWithADetourIsTheStandardOneAndOneLinkMore(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		standard, err := topology.Standard(family)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := topology.Standard(family)
		spec := standard.WithDetour(detourMark)
		if err := spec.Validate(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, standard, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("the standard lab is another: %s", diff)
		}
		if n := len(standard.Links); !slices.Equal(spec.Links[:n], standard.Links) || len(spec.Links) != n+1 {
			t.Errorf("the links are %v", spec.Links)
		}
		if got, want := spec.Path(topology.Client, topology.Server1), standard.Path(topology.Client, topology.Server1); !slices.Equal(got, want) {
			t.Errorf("the way leads over %v, want %v", got, want)
		}
	}
}

func TestWhatHasTheMarkGoesPastTheFirewallAndTheRestThroughIt(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			spec, err := topology.Standard(family)
			if err != nil {
				t.Fatal(err)
			}
			lab := labtest.BuildSpec(t, spec.WithDetour(detourMark))
			a := topology.StandardAddresses(family)
			l, err := lab.Host(topology.Server1).Listen(t.Context(), "tcp", a.Server1.String())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.Copy(c, c)
					c.Close()
				}
			}()
			// Each router on the way takes one off the TTL, so that 1 comes to a neighbour only.
			for _, row := range []struct {
				name      string
				mark, ttl int
				arrives   bool
			}{
				{"without the mark", 0, 2, true},
				{"with the mark, and no router on its way", detourMark, 1, true},
				{"without the mark, and a router on its way", 0, 1, false},
			} {
				if got := arrives(t, lab.Host(topology.F5), a, row.mark, row.ttl); got != row.arrives {
					t.Errorf("%s: a connection comes about: %v", row.name, got)
				}
			}
		})
	}
}

// arrives tells whether a connection to server1, whose packets have a mark and a TTL, comes
// about.
func arrives(t *testing.T, from *topology.Host, a topology.Addresses, mark, ttl int) bool {
	t.Helper()
	level, option := unix.IPPROTO_IP, unix.IP_TTL
	if a.SNAT.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.SNAT, 0)), Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) {
			if set = unix.SetsockoptInt(int(fd), level, option, ttl); set == nil && mark != 0 {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
			}
		})
		if err == nil {
			err = set
		}
		return err
	}}
	var c net.Conn
	var err error
	if failed := from.Run(func() error { c, err = d.DialContext(t.Context(), "tcp", a.Server1.String()); return nil }); failed != nil {
		t.Fatal(failed)
	}
	if err != nil {
		return false
	}
	c.Close()
	return true
}
