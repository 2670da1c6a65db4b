package bigip

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/topology"
)

func TestASnatpoolsAddressesMustFitTheServersideVLAN(t *testing.T) {
	for _, row := range []struct {
		name string
		pool []netip.Addr
		want string // "" is valid
	}{
		{"addresses of the VLAN", addresses("198.18.60.5", "198.18.60.6"), ""},
		{"the self IP too", addresses("198.18.60.247", "198.18.60.6"), ""},
		{"one of another family, which is never used", addresses("2001:db8:60::5", "198.18.60.6"), ""},
		{"an address of another VLAN", addresses("198.18.60.5", "198.18.61.5"), "f5: snat: members 198.18.61.5: must be an address of the serverside VLAN, 198.18.60.0/24"},
		{"the network itself", addresses("198.18.60.0"), "f5: snat: members 198.18.60.0: must be an address of the serverside VLAN, 198.18.60.0/24"},
		{"everybody on it", addresses("198.18.60.255"), "f5: snat: members 198.18.60.255: must be an address of the serverside VLAN, 198.18.60.0/24"},
		{"somebody else's", addresses("198.18.60.1"), "f5: snat: members 198.18.60.1: is the address of the firewall"},
	} {
		t.Run(row.name, func(t *testing.T) {
			spec, err := topology.Standard(topology.IPv4)
			if err != nil {
				t.Fatal(err)
			}
			c := validConfig()
			c.SNAT.Type, c.SNAT.Pool = SNATPool, row.pool
			err = c.Wire(&spec)
			if got := message(err); got != row.want {
				t.Fatalf("got %q, want %q", got, row.want)
			}
			if err == nil {
				err = spec.Validate()
			}
			if row.want == "" && err != nil {
				t.Errorf("the lab cannot be: %v", err)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTheIncidentsConfigurationNeedsNoOtherLab(t *testing.T) {
	spec, _ := topology.Standard(topology.IPv4)
	wired := spec
	c := validConfig()
	if err := c.Wire(&wired); err != nil {
		t.Fatal(err)
	}
	for i, n := range wired.Nodes {
		if len(n.Routes) != len(spec.Nodes[i].Routes) || len(n.Intercepts) > 0 {
			t.Errorf("%s has got more than it had", n.Name)
		}
	}
}

// TestTheMemberSeesTheSourceThatTheTranslationChooses reads it from the frames, and sees
// that the answer comes back.
func TestTheMemberSeesTheSourceThatTheTranslationChooses(t *testing.T) {
	pool := map[topology.Family][]netip.Addr{
		topology.IPv4: addresses("198.18.60.5", "198.18.60.6"),
		topology.IPv6: addresses("2001:db8:60::5", "2001:db8:60::6"),
	}
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		for _, row := range []struct {
			name string
			snat SNAT
			port SourcePort
			want func(b *bench, client netip.AddrPort) netip.AddrPort // the first connection's
		}{
			{"automap", SNAT{}, "", func(b *bench, client netip.AddrPort) netip.AddrPort {
				return netip.AddrPortFrom(b.a.SNAT, SNATPort(client.Port()))
			}},
			{"automap, preserve", SNAT{}, Preserve, func(b *bench, client netip.AddrPort) netip.AddrPort {
				return netip.AddrPortFrom(b.a.SNAT, client.Port())
			}},
			{"snatpool", SNAT{Type: SNATPool, Pool: pool[family]}, "", func(b *bench, client netip.AddrPort) netip.AddrPort {
				return netip.AddrPortFrom(pool[family][0], SNATPort(client.Port()))
			}},
			{"none", SNAT{Type: NoSNAT}, "", func(_ *bench, client netip.AddrPort) netip.AddrPort { return client }},
		} {
			t.Run(row.name+", "+string(family), func(t *testing.T) {
				config := Config{Serverside: Fast, SNAT: row.snat, VirtualServer: VirtualServer{SourcePort: row.port}}
				b := buildFor(t, family, config)
				sources := make(chan netip.AddrPort, 2)
				hold := make(chan struct{})
				b.member(func(c *net.TCPConn) {
					take(c)
					sources <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
					<-hold
					respond(c, 2)
				})
				b.startWith(config)
				stop := b.capture()
				one := b.dial()
				b.write(one, request(0, 0))
				first := receive(t, sources, "the request did not arrive")
				two := b.dial() // while the first is open
				b.write(two, request(1, 0))
				second := receive(t, sources, "the second request did not arrive")
				close(hold)
				for _, c := range []*net.TCPConn{one, two} {
					if got, wasReset, _ := reset(c); wasReset || len(got) == 0 {
						t.Errorf("the client got %q, a reset: %v", got, wasReset)
					}
				}
				client := one.LocalAddr().(*net.TCPAddr).AddrPort()
				if want := row.want(b, client); first != want {
					t.Errorf("client %v comes from %v, want %v", client, first, want)
				}
				if row.snat.Type == SNATPool && second.Addr() != pool[family][1] {
					t.Errorf("the second connection comes from %v too", second)
				}
				flows := b.close()
				var onTheWire []netip.AddrPort
				for _, f := range stop() {
					if f.vlan == ServersideVLAN && f.flags == flagSYN {
						onTheWire = append(onTheWire, f.src)
						if peer := f.trailer.High.Remote; peer.Addr() != b.a.Client {
							t.Errorf("the SYN's trailer has the peer %v", peer)
						}
					}
				}
				if told := []netip.AddrPort{flows[0].SNAT, flows[1].SNAT}; !slices.Equal(onTheWire, told) || !slices.Equal(told, []netip.AddrPort{first, second}) {
					t.Errorf("the SYNs came from %v, the flows say %v", onTheWire, told)
				}
			})
		}
	}
}
