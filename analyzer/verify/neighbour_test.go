package verify

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// question is an ARP request in an Ethernet frame: who has host? tell asker.
func question(asker, host string) []byte { return arp(1, asker, host) }

func arp(operation byte, sender, target string) []byte {
	mac := []byte{2, 0, 0, 0, 0, 1}
	return slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, []byte{0x08, 0x06}, // Ethernet
		[]byte{0, 1, 0x08, 0, 6, 4, 0, operation}, mac, netip.MustParseAddr(sender).AsSlice(), make([]byte, 6), netip.MustParseAddr(target).AsSlice())
}

// discovery is a neighbour solicitation or advertisement in an Ethernet frame.
func discovery(typ byte, source, destination, target string) []byte {
	icmp := slices.Concat([]byte{typ, 0, 0, 0, 0, 0, 0, 0}, netip.MustParseAddr(target).AsSlice())
	return slices.Concat([]byte{0x33, 0x33, 0, 0, 0, 1}, []byte{2, 0, 0, 0, 0, 1}, []byte{0x86, 0xdd},
		[]byte{0x60, 0, 0, 0, 0, byte(len(icmp)), 58, 255}, netip.MustParseAddr(source).AsSlice(), netip.MustParseAddr(destination).AsSlice(), icmp)
}

func TestFiltersFindWhoIsAskedForAndWhoTells(t *testing.T) {
	whoHas, isAt := question("198.18.160.1", "198.18.160.82"), arp(2, "198.18.160.82", "198.18.160.1")
	solicits := discovery(solicitation, "2001:db8:160::1", "ff02::1:ff00:82", "2001:db8:160::82")
	advertises := discovery(advertisement, "2001:db8:160::82", "2001:db8:160::1", "2001:db8:160::82")
	for _, row := range []struct {
		filter string
		frame  []byte
		want   bool
	}{
		{"arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.82", whoHas, true},
		{"arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.81", whoHas, false},
		{"arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.1", isAt, false},
		{"arp.opcode==2 && arp.src.proto_ipv4==198.18.160.82", isAt, true},
		{"arp.opcode==2", solicits, false},
		{"icmpv6.type==135 && icmpv6.nd.ns.target_address==2001:db8:160::82", solicits, true},
		{"icmpv6.nd.na.target_address==2001:db8:160::82", solicits, false},
		{"icmpv6.type==136 && icmpv6.nd.na.target_address==2001:db8:160::82", advertises, true},
		{"icmpv6.nd.na.target_address==2001:db8:160::82", advertises[:14+40+16], false}, // cut off
		{"arp.opcode==1", whoHas[:14+20], false},
	} {
		f, err := Parse(row.filter)
		if err != nil {
			t.Fatal(err)
		}
		var d decoder
		var x Frame
		d.decode(linkEthernet, pcapng.Packet{Data: row.frame, WireLength: len(row.frame)}, &x)
		if got, err := f.Match(&x); err != nil || got != row.want {
			t.Errorf("%s finds % x: %v, %v", row.filter, row.frame, got, err)
		}
	}
}

func TestWhoDoesNotHearAQuestionIsNotBlamedForSilence(t *testing.T) {
	for _, row := range []struct {
		name string
		spin func(s *stage)
	}{
		{"the question is not cited at the hop", func(s *stage) {
			s.v.Evidence = slices.DeleteFunc(s.v.Evidence, func(e analyzer.Evidence) bool {
				return e.Kind == analyzer.KindFrame && e.Point == "server1/eth0"
			})
		}},
		{"the absence does not ask for an answer", func(s *stage) {
			for i := range s.v.Evidence {
				if e := &s.v.Evidence[i]; e.Kind == analyzer.KindAbsence && e.Point == "server1/eth0" {
					e.Filter = "arp.opcode==2 && arp.src.proto_ipv4==198.18.160.82"
				}
			}
		}},
		{"there is an answer", func(s *stage) { s.putFrame("server1/eth0", 2100*1e6, arp(2, "198.18.160.81", "198.18.160.1")) }},
		{"no packet waits", func(s *stage) {
			s.v.Evidence = slices.DeleteFunc(s.v.Evidence, func(e analyzer.Evidence) bool { return e.Point == "firewall/feth11" })
		}},
	} {
		refuted(t, analyzer.NeighbourUnresolved, row.name, row.spin)
	}
}
