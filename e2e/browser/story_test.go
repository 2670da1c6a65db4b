package browser

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/hopblame/hopblame/analyzer"
)

// story is the page of 40 connections that were refused, captured at the client and at the
// server, with a ladder.
func story(t *testing.T) string {
	t.Helper()
	var points []analyzer.Point
	for i, name := range []string{"client", "server"} {
		file := filepath.Join(t.TempDir(), name+".pcap")
		refusals(t, file, time.Duration(i)*100*time.Microsecond)
		points = append(points, analyzer.Point{Name: name + "/eth0", Hop: name, Face: "eth0", File: name + ".pcap", Path: file})
	}
	r, err := analyzer.Analyze(t.Context(), points, analyzer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, r, points)
}

func refusals(t *testing.T, file string, later time.Duration) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	a, b := net.IP{198, 18, 50, 88}, net.IP{198, 18, 50, 67}
	start := time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
	for i := range 40 {
		isn := uint32(1000 * i)
		syn := layers.TCP{SrcPort: layers.TCPPort(40000 + i), DstPort: 8165, Seq: isn, SYN: true, Window: 65535}
		rst := layers.TCP{SrcPort: 8165, DstPort: layers.TCPPort(40000 + i), Ack: isn + 1, RST: true, ACK: true}
		at := start.Add(time.Duration(i) * time.Second)
		segment(t, w, at.Add(later), a, b, &syn)
		segment(t, w, at.Add(time.Millisecond-later), b, a, &rst)
	}
}

func segment(t *testing.T, w *pcapgo.Writer, at time.Time, from, to net.IP, tcp *layers.TCP) {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: from, DstIP: to}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp); err != nil {
		t.Fatal(err)
	}
	n := len(buf.Bytes())
	if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: n, Length: n}, buf.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// many is a report of n failed requests, a third of which are server2's.
func many(n int) *analyzer.Report {
	start := time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
	r := &analyzer.Report{SchemaVersion: 1, Requests: analyzer.RequestCounts{Seen: n, Failed: n}}
	for i := range n {
		v := analyzer.Verdict{Outcome: analyzer.Reset, Hop: "firewall", Cause: analyzer.SYNDropped, Confidence: 0.9999,
			Request: analyzer.RequestRef{Client: fmt.Sprintf("198.18.50.88:%d", 1024+i%60000), Server: "198.18.50.67:8165", Start: start.Add(time.Duration(i) * 7 * time.Millisecond),
				Method: "POST", Target: "/batch", ID: fmt.Sprint("r", i)}}
		if i%3 == 2 {
			v.Hop, v.Cause = "server2", analyzer.NoAnswer
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}
