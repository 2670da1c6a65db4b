package ladder_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

var (
	start  = time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
	client = netip.MustParseAddrPort("198.18.50.88:54373")
	server = netip.MustParseAddrPort("198.18.160.81:8000")
)

// packet is one of a test's connection, as one point or all have it.
type packet struct {
	at       time.Duration
	toServer bool
	layers.TCP
	payload string
	only    string // the point that has it; "": both
	refused bool   // it is no packet but an ICMP error of a router about one, host unreachable
}

// capture writes what a client's and a server's capture have of a connection.
func capture(tb testing.TB, packets []packet) []analyzer.Point {
	tb.Helper()
	var points []analyzer.Point
	for _, hop := range []string{"client", "server"} {
		file := filepath.Join(tb.TempDir(), hop+".pcapng")
		if err := os.WriteFile(file, frames(tb, hop, packets), 0o600); err != nil {
			tb.Fatal(err)
		}
		points = append(points, analyzer.Point{Name: hop + "/eth0", Hop: hop, Face: "eth0", File: file})
	}
	return points
}

func frames(tb testing.TB, hop string, packets []packet) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	if err == nil {
		_, err = w.AddInterface(pcapng.Interface{Name: "eth0"})
	}
	for i, p := range packets {
		if p.only != "" && p.only != hop {
			continue
		}
		src, dst := client, server
		if !p.toServer {
			src, dst = dst, src
		}
		ip := &layers.IPv4{Version: 4, TTL: 64, Id: uint16(i + 1), Protocol: layers.IPProtocolTCP, SrcIP: net.IP(src.Addr().AsSlice()), DstIP: net.IP(dst.Addr().AsSlice())}
		p.SrcPort, p.DstPort, p.Window = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port()), 65535
		eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
		buf := gopacket.NewSerializeBuffer()
		all := []gopacket.SerializableLayer{eth, ip, &p.TCP, gopacket.Payload(p.payload)}
		if p.refused && err == nil {
			quoted := gopacket.NewSerializeBuffer()
			err = gopacket.SerializeLayers(quoted, gopacket.SerializeOptions{FixLengths: true}, all[1:]...)
			router := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: net.IP{198, 18, 60, 1}, DstIP: ip.SrcIP}
			all = []gopacket.SerializableLayer{eth, router, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 1)}, gopacket.Payload(quoted.Bytes())}
		}
		if err == nil {
			err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, all...)
		}
		if at := start.Add(p.at); err == nil {
			err = w.WritePacket(0, at.UnixNano(), 0, buf.Bytes())
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// transfer is a download of n packets, each acknowledged, that a RST ends.
func transfer(n int) []packet {
	out := []packet{
		{toServer: true, TCP: layers.TCP{SYN: true, Seq: 99}},
		{TCP: layers.TCP{SYN: true, ACK: true, Seq: 999, Ack: 100}},
		{toServer: true, TCP: layers.TCP{ACK: true, Seq: 100, Ack: 1000}},
		{toServer: true, TCP: layers.TCP{ACK: true, PSH: true, Seq: 100, Ack: 1000}, payload: "GET / HTTP/1.1\r\n\r\n"},
	}
	const size = 10
	seq := uint32(1000)
	for range n {
		out = append(out,
			packet{TCP: layers.TCP{ACK: true, Seq: seq, Ack: 118}, payload: "0123456789"},
			packet{toServer: true, TCP: layers.TCP{ACK: true, Seq: 118, Ack: seq + size}})
		seq += size
	}
	out = append(out, packet{TCP: layers.TCP{RST: true, ACK: true, Seq: seq, Ack: 118}})
	for i := range out {
		out[i].at = time.Duration(i) * 100 * time.Microsecond
	}
	return out
}
