package analyzer

import (
	"bytes"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// unreachable tells of an ICMP error in answer to a connection's SYN, by type and code,
// that some points see on its way back.
func (s *story) unreachable(at time.Duration, b *telling, from string, typ, code uint8, points ...string) {
	syn := s.serialize(told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})[14:]
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	parts := []gopacket.SerializableLayer{eth}
	if src := s.addr(from); src.Is6() {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: src.AsSlice(), DstIP: b.client.Addr().AsSlice()}
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
		_ = icmp.SetNetworkLayerForChecksum(ip)
		eth.EthernetType = layers.EthernetTypeIPv6
		parts = append(parts, ip, icmp, gopacket.Payload(append(make([]byte, 4), syn...)))
	} else {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: src.AsSlice(), DstIP: b.client.Addr().AsSlice()}
		parts = append(parts, ip, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code)}, gopacket.Payload(syn))
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		s.tb.Fatal(err)
	}
	for _, point := range points {
		s.capture(at, point, told{flow: b}, bytes.Clone(buf.Bytes()))
		at += hopDelay
	}
}

// ICMPStories are analyses of SYNs that are answered with an ICMP error: the folder with the
// captures, the report, and the verdict that is right, as far as it is said here.
func ICMPStories(t *testing.T, each func(t *testing.T, dir string, r *Report, want Verdict)) {
	type icmp struct{ typ, code uint8 }
	forbidden, noPort, noHost := [2]icmp{{3, 13}, {1, 1}}, [2]icmp{{3, 3}, {1, 4}}, [2]icmp{{3, 1}, {1, 3}}
	const firewall, server2 = "198.18.60.1", "198.18.160.82"
	for _, row := range []struct {
		name   string
		dies   string // the last point that has the SYN
		says   [2]icmp
		from   string
		points []string // that have the error
		skip   string
		hop    string
		Cause
		settle string
	}{
		{"the firewall forbids it", "firewall/feth11", forbidden, firewall, []string{"firewall/feth11", "f5/0.0"}, "", "firewall", Rejected, ""},
		{"the firewall forbids it, and the f5 never hears", "firewall/feth11", forbidden, firewall, []string{"firewall/feth11"}, "", "firewall", Rejected, ""},
		{"the firewall forbids it in the server's name", "firewall/feth11", noPort, server2, []string{"firewall/feth11", "f5/0.0"}, "", "firewall", Rejected, ""},
		{"something behind the firewall forbids it, in the firewall's name", "firewall/feth10", forbidden, firewall,
			[]string{"firewall/feth10", "firewall/feth11", "f5/0.0"}, "", "link:firewall-server2", Rejected, ""},
		{"the firewall has no neighbour of that address", "firewall/feth11", noHost, firewall, []string{"firewall/feth11", "f5/0.0"}, "", "firewall", NoRoute, ""},
		{"nobody captured behind the firewall", "firewall/feth11", forbidden, firewall, []string{"firewall/feth11", "f5/0.0"}, "firewall/feth10",
			"", Inconclusive, "a capture on firewall's server-facing interface"},
		{"the server's packet filter refuses it", "", noPort, server2, []string{"server2/eth0", "firewall/feth10", "firewall/feth11", "f5/0.0"}, "", "server2", Rejected, ""},
		{"the server's packet filter forbids it", "", forbidden, server2, []string{"server2/eth0", "firewall/feth10", "firewall/feth11", "f5/0.0"}, "", "server2", Rejected, ""},
		{"something in the server that is not the server refuses it", "", noPort, "198.18.17.2", []string{"server2/eth0", "firewall/feth10", "firewall/feth11", "f5/0.0"}, "",
			"", Inconclusive, "the packet filter of"},
		{"the server cannot reach itself", "", noHost, server2, []string{"server2/eth0", "firewall/feth10", "firewall/feth11", "f5/0.0"}, "",
			"", Inconclusive, "the routes and neighbours of"},
		{"the firewall forwards it, and says that it does not", "", forbidden, firewall, []string{"firewall/feth11", "f5/0.0"}, "", "", Inconclusive, "a look at the frames"},
	} {
		for n, family := range []string{"IPv4", "IPv6"} {
			t.Run(row.name+", "+family, func(t *testing.T) {
				s := newStory(t)
				s.v6 = family == "IPv6"
				if row.skip != "" {
					s.skip = []string{row.skip}
				}
				s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
					s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: row.dies})
					s.unreachable(at+5*hopDelay, b, row.from, row.says[n].typ, row.says[n].code, row.points...)
				})
				s.background(0, 300)
				s.background(at+8*time.Second, 200)
				r := s.analyze()
				each(t, filepath.Dir(s.written[0].Path), r, Verdict{Hop: row.hop, Cause: row.Cause, WouldSettle: row.settle})
			})
		}
	}
}
