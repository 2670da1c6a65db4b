package pcapfilter

import (
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

type frame struct {
	name string
	data []byte
}

func namesOf(frames []frame) (names []string) {
	for _, f := range frames {
		names = append(names, f.name)
	}
	return names
}

// build serializes layers behind an Ethernet header.
func build(t layers.EthernetType, all ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	ether := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: t}
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, append([]gopacket.SerializableLayer{ether}, all...)...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func ip4(src, dst string, p layers.IPProtocol, all ...gopacket.SerializableLayer) []byte {
	return with4(&layers.IPv4{Version: 4, TTL: 64, Protocol: p}, src, dst, all...)
}

func with4(ip *layers.IPv4, src, dst string, all ...gopacket.SerializableLayer) []byte {
	ip.SrcIP, ip.DstIP = net.ParseIP(src), net.ParseIP(dst)
	return build(layers.EthernetTypeIPv4, append([]gopacket.SerializableLayer{ip}, all...)...)
}

func ip6(src, dst string, p layers.IPProtocol, all ...gopacket.SerializableLayer) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: net.ParseIP(src), DstIP: net.ParseIP(dst)}
	return build(layers.EthernetTypeIPv6, append([]gopacket.SerializableLayer{ip}, all...)...)
}

func arp(t layers.EthernetType, src, dst string) []byte {
	return build(t, &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1,
		SourceHwAddress: make([]byte, 6), SourceProtAddress: net.ParseIP(src).To4(), DstHwAddress: make([]byte, 6), DstProtAddress: net.ParseIP(dst).To4()})
}

const client, vip, snat, server1 = "198.18.50.88", "198.18.50.67", "198.18.60.247", "198.18.160.81"

func segment(from, to layers.TCPPort, set func(*layers.TCP)) *layers.TCP {
	t := &layers.TCP{SrcPort: from, DstPort: to}
	set(t)
	return t
}

func syn(t *layers.TCP) { t.SYN = true }
func ack(t *layers.TCP) { t.ACK, t.PSH = true, true }

// lab are frames as they pass the f5.
var lab = []frame{
	{"client SYN", ip4(client, vip, 6, segment(54373, 8165, syn))},
	{"SYN-ACK to client", ip4(vip, client, 6, segment(8165, 54373, func(t *layers.TCP) { t.SYN, t.ACK = true, true }))},
	{"POST", ip4(client, vip, 6, segment(54373, 8165, ack), gopacket.Payload("POST /batch HTTP/1.1\r\n"))},
	{"RST to client", ip4(vip, client, 6, segment(8165, 54373, func(t *layers.TCP) { t.RST, t.ACK = true, true }))},
	{"server SYN", ip4(snat, server1, 6, segment(43166, 8000, syn))},
	{"ping", ip4(snat, server1, 1, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)})},
	{"DNS", ip4(snat, "198.18.0.53", 17, &layers.UDP{SrcPort: 5353, DstPort: 53}, gopacket.Payload("?"))},
	{"ARP for client", arp(layers.EthernetTypeARP, client, "198.18.50.1")},
	{"POST in IPv6", ip6("2001:db8:50::88", "2001:db8:60::67", 6, segment(54373, 8165, ack), gopacket.Payload("POST"))},
	{"neighbour solicitation", ip6("2001:db8:50::88", "ff02::1:ff00:67", 58, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(135, 0)}, gopacket.Payload(make([]byte, 24)))},
}

// odd are frames of which a careless filter thinks wrongly.
var odd = []frame{
	{"a second fragment", with4(&layers.IPv4{Version: 4, Protocol: 6, FragOffset: 10}, client, vip, gopacket.Payload(make([]byte, 32)))},
	{"a first fragment", with4(&layers.IPv4{Version: 4, Protocol: 6, Flags: layers.IPv4MoreFragments}, client, vip, segment(54373, 8165, ack), gopacket.Payload("POST"))},
	{"IP options", with4(&layers.IPv4{Version: 4, Protocol: 6, Options: []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}},
		client, vip, segment(54373, 8165, syn))},
	{"TCP options", ip4(server1, snat, 6, segment(8000, 43166, func(t *layers.TCP) {
		t.SYN, t.ACK = true, true
		t.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
	}))},
	{"SCTP", ip4(client, vip, 132, &layers.SCTP{SrcPort: 8165, DstPort: 80})},
	{"UDP of the listener's port", ip4(client, vip, 17, &layers.UDP{SrcPort: 81, DstPort: 8165}, gopacket.Payload("x"))},
	{"UDP in IPv6", ip6("2001:db8:50::88", "2001:db8:60::67", 17, &layers.UDP{SrcPort: 81, DstPort: 8165}, gopacket.Payload("x"))},
	{"an IPv6 fragment of TCP", ip6("2001:db8:50::88", "2001:db8:60::67", 44, gopacket.Payload("\x06\x00\x00\x01\x00\x00\x00\x01rest of the segment, which is long"))},
	{"an ICMPv6 fragment", ip6("2001:db8:50::88", "2001:db8:60::67", 44, gopacket.Payload("\x3a\x00\x00\x01\x00\x00\x00\x01rest"))},
	{"an answer to a ping", ip4(server1, snat, 1, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(0, 0)}, gopacket.Payload("abcd"))},
	{"RARP", arp(0x8035, client, vip)},
	{"ARP of somebody else", arp(layers.EthernetTypeARP, "198.18.50.1", vip)},
	{"all flags", ip4(vip, client, 6, segment(80, 443, func(t *layers.TCP) {
		t.FIN, t.SYN, t.RST, t.PSH, t.ACK, t.URG, t.ECE, t.CWR = true, true, true, true, true, true, true, true
	}))},
	{"another network", ip4("10.1.2.3", "172.16.0.1", 6, segment(22, 40000, ack), gopacket.Payload("GET "))},
	{"loopback in IPv6", ip6("::1", "::1", 6, segment(1, 2, syn))},
	{"spanning tree", build(layers.EthernetType(38), gopacket.Payload("\x42\x42\x03 and what follows it"))},
	{"a frame without payload", build(layers.EthernetTypeIPv4)},
	{"a cut header", ip4(client, vip, 6, segment(54373, 8165, syn))[:50]},
	{"a frame cut before its type", lab[0].data[:13]},
}
