package bigip

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/ports"
)

func TestTheSYNScheduleIsThatOfTheProfile(t *testing.T) {
	for _, row := range []struct {
		name    string
		profile TCPProfile
		at      []time.Duration // of each SYN
		giveUp  time.Duration
	}{
		{"the incident's: 0, 1, 2, 3 and reset at 4 s", Incident, seconds(0, 1, 2, 3), 4 * time.Second},
		{"as shipped: 0, 3, 9, 21 and reset at 45 s", Shipped, seconds(0, 3, 9, 21), 45 * time.Second},
		{"for tests: 0, 100, 200, 300 and reset at 400 ms", Fast, seconds(0, .1, .2, .3), 400 * time.Millisecond},
		{"nothing said is the incident's", TCPProfile{}, seconds(0, 1, 2, 3), 4 * time.Second},
		{"no retransmission is one SYN, not the default", TCPProfile{SYNMaxRetrans: retrans(0)}, seconds(0), time.Second},
		{"only the base given", TCPProfile{SYNRTOBase: 20 * time.Millisecond}, seconds(0, .02, .04, .06), 80 * time.Millisecond},
		{"only the backoff given", TCPProfile{SYNBackoff: Doubling}, seconds(0, 1, 3, 7), 15 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.profile.Tries(); got != len(row.at) {
				t.Fatalf("%d SYNs, want %d", got, len(row.at))
			}
			var at time.Duration
			for try, want := range row.at {
				if at != want {
					t.Errorf("SYN %d at %v, want %v", try, at, want)
				}
				at += row.profile.Wait(try)
			}
			if at != row.giveUp || row.profile.GiveUpAfter() != row.giveUp {
				t.Errorf("gives up after %v and %v, want %v", at, row.profile.GiveUpAfter(), row.giveUp)
			}
		})
	}
}

func seconds(s ...float64) (d []time.Duration) {
	for _, x := range s {
		d = append(d, time.Duration(x*1000)*time.Millisecond)
	}
	return d
}

func validConfig() Config {
	return Config{
		VirtualServer: VirtualServer{Name: "/Common/vs", Destination: netip.MustParseAddrPort("198.18.50.67:8165")},
		Pool:          Pool{Members: []Member{{Name: "server1", Address: netip.MustParseAddrPort("198.18.160.81:8000")}}},
		SNAT:          SNAT{SelfIP: netip.MustParseAddr("198.18.60.247")},
	}
}

func TestConfigurationsThatCannotBeAreRefusedWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Config)
		want string // "" is valid
	}{
		{"the incident's", func(*Config) {}, ""},
		{"as shipped", func(c *Config) { c.Serverside = Shipped }, ""},
		{"for tests", func(c *Config) { c.Serverside = Fast }, ""},
		{"no retransmission at all", func(c *Config) { c.Serverside.SYNMaxRetrans = retrans(0) }, ""},
		{"the legacy trailer", func(c *Config) { c.Format = Legacy }, ""},
		{"fewer than no retransmissions", func(c *Config) { c.Serverside.SYNMaxRetrans = retrans(-1) }, "syn-max-retrans -1: must be 0 to 12"},
		{"more than a BIG-IP's 12 retransmissions", func(c *Config) { c.Serverside.SYNMaxRetrans = retrans(13) }, "syn-max-retrans 13"},
		{"a schedule that takes all night", func(c *Config) {
			c.Serverside = TCPProfile{SYNMaxRetrans: retrans(12), SYNRTOBase: time.Second, SYNBackoff: Doubling}
		}, "gives up after 2h16m31s"},
		{"a base so long that the sum overflows to a short one", func(c *Config) { c.Serverside.SYNRTOBase = 1<<62 + 1 }, "must be at most 5m0s"},
		{"a base shorter than the lab can keep", func(c *Config) { c.Serverside.SYNRTOBase = time.Millisecond }, "syn-rto-base 1ms: must be at least 10ms"},
		{"a base below nothing", func(c *Config) { c.Serverside.SYNRTOBase = -time.Second }, "must be at least 10ms"},
		{"a backoff there is not", func(c *Config) { c.Serverside.SYNBackoff = "linear" }, `syn-backoff "linear": must be constant or doubling`},
		{"a trailer there is not", func(c *Config) { c.Format = "erspan" }, `ethernet-trailer "erspan": must be dpt or legacy`},
		{"a capture with less noise", func(c *Config) { c.Tcpdump = NoiseMedium }, ""},
		{"a capture without any", func(c *Config) { c.Tcpdump = NoiseNone }, ""},
		{"a capture that nobody can type", func(c *Config) { c.Tcpdump = "0.0:nnnn" }, `f5: tcpdump "0.0:nnnn": ":nnnn": behind 0.0 there may be`},
		{"an empty pool", func(c *Config) { c.Pool.Members = nil }, ""},
		{"no SNAT address", func(c *Config) { c.SNAT = SNAT{} }, "need an address"},
		{"no virtual address", func(c *Config) { c.VirtualServer.Destination = netip.AddrPort{} }, "need an address"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := validConfig()
			row.edit(&c)
			switch err := c.Validate(); {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestSNATGivesEveryClientPortOneOfItsOwn(t *testing.T) {
	owner := map[uint16]uint16{}
	for i := range ports.Count {
		client := ports.At(i)
		snat := SNATPort(client)
		if other, taken := owner[snat]; taken {
			t.Fatalf("client ports %d and %d both become %d", other, client, snat)
		}
		owner[snat] = client
		if ports.At(ports.Index(snat)) != snat {
			t.Fatalf("client port %d becomes %d, which is outside the range", client, snat)
		}
	}
	if got := SNATPort(54373); got != 43166 {
		t.Errorf("the incident's 54373 becomes %d, want 43166", got)
	}
}

func TestTheSearchForAnotherSNATPortDoesNotComeBackSoon(t *testing.T) {
	port := SNATPort(54373)
	seen := map[uint16]bool{port: true}
	for range maxPortTries {
		if port = SNATPort(port); seen[port] {
			t.Fatalf("port %d is tried twice", port)
		}
		seen[port] = true
	}
}

func TestEveryPortOfAStrangersClientHasASNATPortInTheRange(t *testing.T) {
	for p := range 65536 {
		if snat := SNATPort(uint16(p)); ports.At(ports.Index(snat)) != snat {
			t.Fatalf("client port %d becomes %d, which is outside the range", p, snat)
		}
	}
}
