package bigip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/sim/capture"
)

func TestTheFileSaysWhatItWasCapturedWith(t *testing.T) {
	for _, row := range []struct {
		typed         Tcpdump
		want          string
		noise         int
		peers, filter bool
	}{
		{"", "tcpdump -ni 0.0:nnn -s0 -w /var/tmp/f5.pcap", 3, false, false},
		{"0.0", "tcpdump -ni 0.0 -s0 -w /var/tmp/f5.pcap", 0, false, false},
		{"0.0:p", "tcpdump -ni 0.0:p -s0 -w /var/tmp/f5.pcap", 0, true, false},
		{"0.0:nnp", "tcpdump -ni 0.0:nnp -s0 -w /var/tmp/f5.pcap", 2, true, false},
		{"0.0:nnnp host 198.18.50.88", "tcpdump -ni 0.0:nnnp -s0 -w /var/tmp/f5.pcap host 198.18.50.88", 3, true, true},
		{" 0.0:n  tcp port 8165\n and\thost 198.18.50.88 ", "tcpdump -ni 0.0:n -s0 -w /var/tmp/f5.pcap tcp port 8165 and host 198.18.50.88", 1, false, true},
	} {
		t.Run(string(row.typed), func(t *testing.T) {
			c, err := row.typed.parse()
			if err != nil {
				t.Fatal(err)
			}
			if c.noise != row.noise || c.peers != row.peers || (c.text != "") != row.filter {
				t.Errorf("got %+v", c)
			}
			config := validConfig()
			config.Tcpdump = row.typed
			if info, ok := f5trailer.ParseFileInfo(newFlowTable(config).FileInfo()); !ok || info.Command != row.want {
				t.Errorf("the file says %q, want %q", info.Command, row.want)
			}
		})
	}
}

func TestWhatCannotBeTypedIsRefusedWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name  string
		typed Tcpdump
		want  string
	}{
		{"no interface", " ", `tcpdump " ": names no interface; there is 0.0`},
		{"an interface of the host", "eth0", `interface "eth0": there is only 0.0`},
		{"a VLAN", "/Common/external:nnn host 1.2.3.4", `interface "/Common/external": there is only 0.0`},
		{"a filter and no interface", "host 1.2.3.4", `interface "host": there is only 0.0`},
		{"a colon and nothing behind it", "0.0:", `":": behind 0.0 there may be :n, :nn or :nnn`},
		{"four n", "0.0:nnnn", `":nnnn": behind 0.0`},
		{"p before n", "0.0:pn", `":pn": behind 0.0`},
		{"two p", "0.0:npp", `":npp": behind 0.0`},
		{"a filter that is none", "0.0:nnn host server1", `filter "host server1": at character 6: got "server1"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := row.typed.parse(); err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "tcpdump ") {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

// asked is a box whose capture was asked for something.
func asked(t *testing.T, typed Tcpdump, ipv6 bool) *box {
	b := newBox(t, DPT, ipv6)
	b.config.Tcpdump = typed
	b.FlowTable = newFlowTable(b.config)
	return b
}

// takes hands the table a frame of a side, as the capture does, and tells whether the
// file gets it.
func (b *box) takes(ns int64, s side, d direction, flags byte, payload int) bool {
	f := b.frameOf(ns, s, d, flags, payload)
	b.AppendTrailer(nil, f)
	return b.Takes(f)
}

// session plays a connection through the proxy and returns the names of the frames
// that the capture takes.
func (b *box) session(from int64) (taken []string) {
	see := func(name string, ns int64, s side, d direction, flags byte, payload int) {
		if b.takes(from+ns, s, d, flags, payload) {
			taken = append(taken, name)
		}
	}
	see("c.SYN", 0, clientside, toServer, flagSYN, 0)
	see("c.SYN-ACK", 1, clientside, toClient, flagSYN|ack, 0)
	see("c.request", 2, clientside, toServer, ack, 10)
	b.connectAt(from + 3)
	see("s.SYN", 4, serverside, toServer, flagSYN, 0)
	see("s.SYN-ACK", 5, serverside, toClient, flagSYN|ack, 0)
	see("s.request", 6, serverside, toServer, ack, 10)
	see("s.response", 7, serverside, toClient, ack, 20)
	see("c.response", 8, clientside, toClient, ack, 20)
	b.closedAt(from + 9)
	see("s.FIN", 10, serverside, toServer, ack|flagFIN, 0)
	see("c.FIN", 11, clientside, toServer, ack|flagFIN, 0)
	return taken
}

func TestPeerFlowsFollowWithPAndOnlyWithIt(t *testing.T) {
	clientHalf := []string{"c.SYN", "c.SYN-ACK", "c.request", "c.response", "c.FIN"}
	serverHalf := []string{"s.SYN", "s.SYN-ACK", "s.request", "s.response", "s.FIN"}
	everything := []string{"c.SYN", "c.SYN-ACK", "c.request", "s.SYN", "s.SYN-ACK", "s.request", "s.response", "c.response", "s.FIN", "c.FIN"}
	for _, row := range []struct {
		name, filter string
		p, without   []string
	}{
		{"no filter", "", everything, everything},
		{"the client: its peer from its SYN on", "host 198.18.50.88", everything, clientHalf},
		{"the member: the client's half from then on, without the request before", "host 198.18.160.81",
			[]string{"s.SYN", "s.SYN-ACK", "s.request", "s.response", "c.response", "s.FIN", "c.FIN"}, serverHalf},
		{"one direction: of the flow itself it stays one", "src host 198.18.50.88",
			[]string{"c.SYN", "c.request", "s.SYN", "s.SYN-ACK", "s.request", "s.response", "s.FIN", "c.FIN"}, []string{"c.SYN", "c.request", "c.FIN"}},
		{"the first SYN alone is enough", "tcp port 8165 and tcp[tcpflags] == tcp-syn",
			append([]string{"c.SYN"}, serverHalf...), []string{"c.SYN"}},
		{"late: the response brings the end of the other half", "src port 8165 and tcp[tcpflags] == tcp-ack",
			[]string{"c.response", "s.FIN"}, []string{"c.response"}},
		{"another host", "host 198.18.50.99", nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := asked(t, Tcpdump("0.0:nnnp "+row.filter), false).session(100); !slices.Equal(got, row.p) {
				t.Errorf("with p: got %q, want %q", got, row.p)
			}
			if got := asked(t, Tcpdump("0.0:nnn "+row.filter), false).session(100); !slices.Equal(got, row.without) {
				t.Errorf("without p: got %q, want %q", got, row.without)
			}
		})
	}
	if got := asked(t, "0.0:p host 2001:db8:50::88", true).session(100); !slices.Equal(got, everything) {
		t.Errorf("in IPv6: got %q, want %q", got, everything)
	}
}

func TestAFlowIsFollowedForItsLifeAndNoLonger(t *testing.T) {
	b := asked(t, "0.0:nnnp src host 198.18.50.88 and src port 54373", false)
	first := b.session(100)
	// The server's flow outlives its peer: it was flagged, and stays so.
	other := b.client
	b.client = netip.MustParseAddrPort("198.18.50.88:54374")
	b.takes(200, clientside, toServer, flagSYN, 0)
	b.flow.Client = b.client
	b.halves[tuple{b.flow.Member, b.flow.SNAT}].peer = b.halves[tuple{b.client, b.config.VirtualServer.Destination}]
	if !b.takes(210, serverside, toClient, ack, 5) {
		t.Error("a flow that was followed is not, once its peer is another one")
	}
	// The same addresses in a new connection are a new flow.
	if got := b.session(300); got != nil {
		t.Errorf("of a flow that does not match: %q", got)
	}
	b.client, b.flow.Client = other, other
	if got := b.session(400); !slices.Equal(got, first) {
		t.Errorf("the tuple's next connection: got %q, want %q", got, first)
	}
}

func TestAFlowFollowsEachOfItsPeers(t *testing.T) {
	b := asked(t, "0.0:p src host 198.18.160.81 and tcp[tcpflags] == tcp-syn|tcp-ack", false)
	b.takes(100, clientside, toServer, flagSYN, 0)
	b.connectAt(101)
	if !b.takes(102, serverside, toClient, flagSYN|ack, 0) {
		t.Fatal("the SYN-ACK matches")
	}
	b.flow.SNAT = netip.AddrPortFrom(b.flow.SNAT.Addr(), 50000)
	b.connectAt(103) // for the same client, before it sends anything
	if !b.takes(104, clientside, toServer, ack, 10) {
		t.Error("the client's flow is not followed, for its latest peer did not match")
	}
	if b.takes(105, serverside, toServer, flagSYN, 0) {
		t.Error("a serverside flow is followed whose peer did not match")
	}
}

func TestWhatBelongsToNoFlowHasToMatch(t *testing.T) {
	arp := make([]byte, 42)
	arp[12], arp[13] = 8, 6
	for typed, want := range map[Tcpdump]bool{"0.0:nnnp arp": true, "0.0:nnnp host 198.18.50.88": false, "0.0:nnnp not tcp": true} {
		b := asked(t, typed, false)
		f := capture.Frame{Time: 1, VLAN: ClientsideVLAN, Data: arp}
		b.AppendTrailer(nil, f)
		if got := b.Takes(f); got != want {
			t.Errorf("%s takes ARP: %v", typed, got)
		}
	}
}
