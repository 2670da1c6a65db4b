package analyzer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// wrapped is a frame of the table below.
type wrapped struct {
	name string
	link uint16
	data []byte
}

var (
	macs   = &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	inner4 = &layers.IPv4{Version: 4, TTL: 61, Id: 0x1234, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP,
		SrcIP: net.IP{198, 18, 50, 88}, DstIP: net.IP{198, 18, 50, 67}}
	inner6 = &layers.IPv6{Version: 6, HopLimit: 61, NextHeader: layers.IPProtocolTCP,
		SrcIP: net.ParseIP("2001:db8::50:88"), DstIP: net.ParseIP("2001:db8::50:67")}
)

// segment is a SYN-ACK with all options, and with a payload so that lengths show.
func innerTCP() *layers.TCP {
	return &layers.TCP{SrcPort: 54373, DstPort: 8165, Seq: 0xdeadbeef, Ack: 0x01020304, SYN: true, ACK: true, Window: 29200,
		Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}},
			{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 7, 0, 0, 0, 9}},
			{OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{8}},
		}}
}

func join(tb testing.TB, ls ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, ls...); err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

// raw is a layer of bytes.
type raw = gopacket.Payload

func cat(parts ...any) raw {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, p...)
		case []byte:
			out = append(out, p...)
		case raw:
			out = append(out, p...)
		}
	}
	return out
}

// framesInEveryWrapping is the same segment in all that the analyzer looks into.
func framesInEveryWrapping(tb testing.TB) []wrapped {
	ip4 := join(tb, inner4, innerTCP(), raw("hello"))
	ip6 := join(tb, inner6, innerTCP(), raw("hello"))
	eth := func(ether int, rest ...any) []byte {
		return cat("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01", []byte{byte(ether >> 8), byte(ether)}, cat(rest...))
	}
	framed := eth(0x0800, ip4)
	// outer4 and outer6 carry a protocol number's content.
	outer4 := func(proto int, rest ...any) []byte {
		return join(tb, &layers.IPv4{Version: 4, TTL: 9, Id: 7, Protocol: layers.IPProtocol(proto), SrcIP: net.IP{198, 18, 0, 1}, DstIP: net.IP{198, 18, 0, 2}}, cat(rest...))
	}
	outer6 := func(next int, rest ...any) []byte {
		return join(tb, &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: layers.IPProtocol(next), SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")}, cat(rest...))
	}
	udp := func(port int, rest ...any) []byte {
		body := cat(rest...)
		n := 8 + len(body)
		return cat([]byte{0xc0, 0, byte(port >> 8), byte(port), byte(n >> 8), byte(n), 0, 0}, body)
	}
	// in6 is the segment behind extension headers: the last of them says TCP.
	in6 := func(first int, rest ...any) []byte {
		tcp := ip6[40:]
		h := *inner6
		h.NextHeader = layers.IPProtocol(first)
		return join(tb, &h, cat(cat(rest...), tcp))
	}
	sll := func(rest []byte, proto string) []byte {
		return cat("\x00\x04\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00", proto, rest)
	}
	sll2 := func(rest []byte, proto string) []byte {
		return cat(proto, "\x00\x00\x00\x00\x00\x07\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00", rest)
	}
	ah := "\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01abcdefghijkl" // behind its next header
	const four, six = "\x08\x00", "\x86\xdd"
	return []wrapped{
		{"Ethernet, IPv4", linkEthernet, framed},
		{"Ethernet, IPv6", linkEthernet, eth(0x86dd, ip6)},
		{"Ethernet with padding behind", linkEthernet, cat(framed, make([]byte, 9))},
		{"an 802.1Q tag", linkEthernet, eth(0x8100, "\x0f\xfe", four, ip4)},
		{"802.1ad with two tags", linkEthernet, eth(0x88a8, "\x00\x64\x81\x00\x0f\xfe", four, ip4)},
		{"three tags, an old QinQ one in front", linkEthernet, eth(0x9100, "\x00\x64\x81\x00\x00\xc8\x81\x00\x0f\xfe", six, ip6)},
		{"802.3 with SNAP", linkEthernet, cat(framed[:12], []byte{0, byte(8 + len(ip4))}, "\xaa\xaa\x03\x00\x00\x00", four, ip4)},
		{"an MPLS label", linkEthernet, eth(0x8847, "\x00\x01\x01\x40", ip4)},
		{"two MPLS labels, IPv6", linkEthernet, eth(0x8847, "\x00\x01\x00\x40\x00\x02\x01\x40", ip6)},
		{"an MPLS pseudowire with a control word", linkEthernet, eth(0x8847, "\x00\x06\x41\x40", "\x00\x00\x00\x00", framed)},
		{"PPPoE, IPv4", linkEthernet, eth(0x8864, "\x11\x00\x00\x01", []byte{0, byte(2 + len(ip4))}, "\x00\x21", ip4)},
		{"PPPoE in a VLAN, IPv6", linkEthernet, eth(0x8100, "\x0f\xfe\x88\x64\x11\x00\x00\x01", []byte{0, byte(2 + len(ip6))}, "\x00\x57", ip6)},
		{"Linux cooked v1", linkSLL, sll(ip4, four)},
		{"Linux cooked v1 with a tag", linkSLL, sll(cat("\x0f\xfe", six, ip6), "\x81\x00")},
		{"Linux cooked v2", linkSLL2, sll2(ip6, six)},
		{"raw IPv4", linkRaw, ip4},
		{"raw IPv6", linkRaw, ip6},
		{"IPv4 by its own link type", linkIPv4, ip4},
		{"IPv6 by its own link type", linkIPv6, ip6},
		{"BSD loopback, little endian", linkNull, cat("\x02\x00\x00\x00", ip4)},
		{"BSD loopback, IPv6 as macOS numbers it", linkNull, cat("\x1e\x00\x00\x00", ip6)},
		{"OpenBSD loopback", linkLoop, cat("\x00\x00\x00\x02", ip4)},
		{"OpenBSD loopback, IPv6", linkLoop, cat("\x00\x00\x00\x18", ip6)},
		{"IPv6 hop-by-hop options", linkEthernet, eth(0x86dd, in6(0, "\x06\x00\x01\x04\x00\x00\x00\x00"))},
		{"IPv6 routing header", linkEthernet, eth(0x86dd, in6(43, "\x06\x02\x02\x00\x00\x00\x00\x00", []byte(inner6.DstIP)))},
		{"IPv6 destination options", linkEthernet, eth(0x86dd, in6(60, "\x06\x00\x01\x04\x00\x00\x00\x00"))},
		{"IPv6 hop-by-hop, then destination options of 16 bytes", linkEthernet, eth(0x86dd, in6(0, "\x3c\x00\x01\x04\x00\x00\x00\x00", "\x06\x01\x01\x0c", make([]byte, 12)))},
		{"IPv6 fragment header of a packet in one piece", linkEthernet, eth(0x86dd, in6(44, "\x06\x00\x00\x00\x00\x00\x00\x07"))},
		{"IPv6 authentication header", linkEthernet, eth(0x86dd, in6(51, "\x06", ah))},
		{"IPv4 authentication header", linkEthernet, eth(0x0800, outerLike(tb, inner4, 51, cat("\x06", ah, ip4[20:])))},
		{"IP in IP", linkEthernet, eth(0x0800, outer4(4, ip4))},
		{"6in4", linkEthernet, eth(0x0800, outer4(41, ip6))},
		{"IPv4 in IPv6", linkEthernet, eth(0x86dd, outer6(4, ip4))},
		{"IPv6 in IPv6", linkEthernet, eth(0x86dd, outer6(41, ip6))},
		{"GRE", linkEthernet, eth(0x0800, outer4(47, "\x00\x00", four, ip4))},
		{"GRE with checksum, key and sequence number over IPv6", linkEthernet, eth(0x86dd, outer6(47, "\xb0\x00", six, "\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x01", ip6))},
		{"Ethernet in GRE", linkEthernet, eth(0x0800, outer4(47, "\x20\x00\x65\x58\x00\x00\x00\x09", framed))},
		{"PPTP", linkEthernet, eth(0x0800, outer4(47, "\x30\x81\x88\x0b", []byte{0, byte(4 + len(ip4))}, "\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01", "\xff\x03\x00\x21", ip4))},
		{"ERSPAN type I", linkEthernet, eth(0x0800, outer4(47, "\x00\x00\x88\xbe", framed))},
		{"ERSPAN type II", linkEthernet, eth(0x0800, outer4(47, "\x10\x00\x88\xbe\x00\x00\x00\x01", "\x10\x01\x00\x01\x00\x00\x00\x00", framed))},
		{"ERSPAN type III", linkEthernet, eth(0x0800, outer4(47, "\x10\x00\x22\xeb\x00\x00\x00\x01", "\x20\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", framed))},
		{"ERSPAN type III with a platform header", linkEthernet, eth(0x0800, outer4(47, "\x10\x00\x22\xeb\x00\x00\x00\x01", "\x20\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01", "\x0c\x00\x00\x00\x00\x00\x00\x00", framed))},
		{"VXLAN", linkEthernet, eth(0x0800, outer4(17, udp(4789, "\x08\x00\x00\x00\x00\x00\x2a\x00", framed)))},
		{"VXLAN in a VLAN over IPv6, with a tag inside", linkEthernet, eth(0x8100, "\x00\x07", six, outer6(17, udp(4789, "\x08\x00\x00\x00\x00\x00\x2a\x00", eth(0x8100, "\x0f\xfe", four, ip4))))},
		{"GENEVE with an option", linkEthernet, eth(0x0800, outer4(17, udp(6081, "\x01\x00\x65\x58\x00\x00\x2a\x00", "\x01\x02\x03\x00", framed)))},
		{"GENEVE with bare IPv6", linkEthernet, eth(0x0800, outer4(17, udp(6081, "\x00\x00", six, "\x00\x00\x2a\x00", ip6)))},
		{"VXLAN in GRE in 6in4", linkEthernet, eth(0x0800, outer4(41, outer6(47, "\x00\x00", four, outer4(17, udp(4789, "\x08\x00\x00\x00\x00\x00\x2a\x00", framed)))))},
	}
}

// outerLike is an IPv4 header like another, for another protocol.
func outerLike(tb testing.TB, h *layers.IPv4, proto int, body raw) []byte {
	c := *h
	c.Protocol = layers.IPProtocol(proto)
	return join(tb, &c, body)
}

func TestTCPIsFoundInEveryWrapping(t *testing.T) {
	for _, row := range framesInEveryWrapping(t) {
		t.Run(row.name, func(t *testing.T) {
			var p packet
			if !decode(row.link, row.data, &p) {
				t.Fatal("not decoded")
			}
			v6 := len(p.src) == 16
			src, dst, id := inner4.SrcIP, inner4.DstIP, uint16(0x1234)
			if v6 {
				src, dst, id = inner6.SrcIP, inner6.DstIP, 0
			}
			if !src.Equal(p.src) || !dst.Equal(p.dst) || p.sport != 54373 || p.dport != 8165 || p.seq != 0xdeadbeef || p.ack != 0x01020304 ||
				p.flags != flagSYN|flagACK || p.ttl != 61 || p.ipid != id || p.hasIPID == v6 || !p.df || p.window != 29200 || p.cut {
				t.Errorf("got %+v", p)
			}
			if want := (tcpOptions{mss: 1460, wscale: 8, hasTS: true, tsval: 7, tsecr: 9}); p.tcpOptions != want {
				t.Errorf("options: got %+v, want %+v", p.tcpOptions, want)
			}
			if p.length != 5 || string(p.payload) != "hello" || p.icmp || p.fragment {
				t.Errorf("payload: got %d, %q", p.length, p.payload)
			}
			vlan := uint16(0)
			if bytes.Contains(row.data, []byte("\x0f\xfe")) {
				vlan = 0xffe
			}
			if p.vlan != vlan {
				t.Errorf("VLAN %d, want %d", p.vlan, vlan)
			}
			switch row.link {
			case linkSLL:
				if p.way != wayOut || p.ifindex != 0 {
					t.Errorf("got way %v, interface %d; want sent", p.way, p.ifindex)
				}
			case linkSLL2:
				if p.way != wayIn || p.ifindex != 7 {
					t.Errorf("got way %v, interface %d; want received on 7", p.way, p.ifindex)
				}
			}
			// Nothing of what is cut short may be taken for more than it is.
			for n := range row.data {
				var q packet
				if decode(row.link, row.data[:n], &q) && (q.sport != 54373 || q.length != 5 || len(q.payload) > 5 || !q.cut && len(q.payload) < 5) {
					t.Fatalf("cut to %d bytes: got %+v", n, q)
				}
			}
		})
	}
}

// TestTsharkFindsTheSameTCP shows the table's frames to tshark.
func TestTsharkFindsTheSameTCP(t *testing.T) {
	rows := framesInEveryWrapping(t)
	lines := tsharkFields(t, rows, "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len",
		"tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.timestamp.tsval", "tcp.options.timestamp.tsecr", "vlan.id")
	for i, row := range rows {
		var p packet
		decode(row.link, row.data, &p)
		vlan := ""
		if p.vlan != 0 {
			vlan = fmt.Sprint(p.vlan)
		}
		got := fmt.Sprintf("%d|%d|%d|%d|0x%04x|%d|%d|%d|%d|%d|%d|%s", p.sport, p.dport, p.seq, p.ack, p.flags, p.window, p.length, p.mss, p.wscale, p.tsval, p.tsecr, vlan)
		if lines[i] != got {
			t.Errorf("%s:\ngot       %s\ntshark has %s", row.name, got, lines[i])
		}
	}
}

// tsharkFields returns, for each frame, the innermost value of each field.
func tsharkFields(t *testing.T, rows []wrapped, fields ...string) []string {
	t.Helper()
	bin, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: no oracle for packets")
	}
	file := filepath.Join(t.TempDir(), "all.pcapng")
	writeFrames(t, file, rows)
	args := []string{"-r", file, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
		"-d", "mpls.label==100,pwethcw", // labels do not tell
		"-T", "fields", "-E", "separator=|", "-E", "occurrence=l"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command(bin, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(lines) != len(rows) {
		t.Fatalf("tshark has %d frames, want %d", len(lines), len(rows))
	}
	return lines
}

// writeFrames writes a file with an interface for each link type.
func writeFrames(t *testing.T, file string, rows []wrapped) {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[uint16]int{}
	for i, row := range rows {
		id, ok := ids[row.link]
		if !ok {
			if id, err = w.AddInterface(pcapng.Interface{LinkType: row.link, Name: fmt.Sprintf("link%d", row.link)}); err != nil {
				t.Fatal(err)
			}
			ids[row.link] = id
		}
		if err := w.WritePacket(id, storyStart.UnixNano()+int64(i)*1e6, 0, row.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	raw := out.Bytes()
	// The Writer takes link type 0 for Ethernet; BSD loopback is what has it here.
	if id, ok := ids[linkNull]; ok {
		at := 0
		for n := -1; n < id; at += int(binary.LittleEndian.Uint32(raw[at+4:])) {
			if binary.LittleEndian.Uint32(raw[at:]) == 1 {
				if n++; n == id {
					binary.LittleEndian.PutUint16(raw[at+8:], linkNull)
				}
			}
		}
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoTCPIsNotDecoded(t *testing.T) {
	ip4 := join(t, inner4, innerTCP())
	esp := outerLike(t, inner4, 50, raw("\x00\x00\x00\x01\x00\x00\x00\x01 nobody can read this"))
	nested := ip4
	for range 2 * maxLayers {
		nested = outerLike(t, inner4, 4, nested)
	}
	for _, row := range []wrapped{
		{"an encrypted tunnel", linkRaw, esp},
		{"a UDP port that is no tunnel's", linkRaw, outerLike(t, inner4, 17, cat("\xc0\x00\x00\x35\x00\x2c\x00\x00\x08\x00\x00\x00\x00\x00\x2a\x00", ip4))},
		{"VXLAN without a network identifier", linkRaw, outerLike(t, inner4, 17, cat("\xc0\x00\x12\xb5\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x2a\x00", "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", ip4))},
		{"a header in a header in a header …", linkRaw, nested},
		{"a link type nobody knows", 147, ip4},
		{"BSD loopback of another family", linkNull, cat("\x00\x01\x00\x00", ip4)},
		{"PPPoE that is not in its session stage", linkEthernet, cat(make([]byte, 12), "\x88\x63\x11\x09\x00\x00\x00\x04\x01\x01\x00\x00")},
		{"MPLS without an end", linkEthernet, cat(make([]byte, 12), "\x88\x47\x00\x01\x00\x40\x00\x01\x00\x40")},
	} {
		var p packet
		if decode(row.link, row.data, &p) {
			t.Errorf("%s: got %+v", row.name, p)
		}
	}
}

func TestAnICMPErrorInATunnelQuotesThePacket(t *testing.T) {
	quoted := join(t, inner4, innerTCP())[:28]
	icmp := outerLike(t, &layers.IPv4{Version: 4, TTL: 3, SrcIP: net.IP{198, 18, 9, 9}, DstIP: net.IP{198, 18, 50, 88}}, 1, cat("\x03\x04\x00\x00\x00\x00\x05\x78", quoted))
	var p packet
	if !decode(linkRaw, outerLike(t, inner4, 47, cat("\x00\x00\x08\x00", icmp)), &p) || !p.icmp || p.icmpWhat != 0x0304 ||
		!net.IP(p.icmpFrom).Equal(net.IP{198, 18, 9, 9}) || p.sport != 54373 || p.seq != 0xdeadbeef || p.ipid != 0x1234 || p.length != 0 || p.cut {
		t.Errorf("got %+v", p)
	}
}

// TestFragments cuts a segment into IP fragments: the first has the ports, and
// those that follow it in order belong to it.
func TestFragments(t *testing.T) {
	tcp := innerTCP()
	tcp.SYN, tcp.FIN, tcp.Options = false, true, nil
	const size = 100
	payload := strings.Repeat("0123456789", size/10)
	v4 := func(id uint16, at, n int, more bool) []byte {
		h := *inner4
		h.Id, h.Flags, h.FragOffset = id, 0, uint16(at/8)
		if more {
			h.Flags = layers.IPv4MoreFragments
		}
		return join(t, &h, raw(join(t, tcp, raw(payload))[at:at+n]))
	}
	v6 := func(id uint16, at, n int, more bool) []byte {
		h := *inner6
		h.NextHeader = 44
		m := byte(0)
		if more {
			m = 1
		}
		return join(t, &h, cat([]byte{6, 0, byte(at >> 8), byte(at) | m, 0, 0, byte(id >> 8), byte(id)}, join(t, tcp, raw(payload))[at:at+n]))
	}
	all := 20 + size
	for family, piece := range map[string]func(id uint16, at, n int, more bool) []byte{"IPv4": v4, "IPv6": v6} {
		a, b, c := piece(9, 0, 48, true), piece(9, 48, 48, true), piece(9, 96, all-96, false)
		other := piece(10, 48, 48, true)
		for _, row := range []struct {
			name      string
			frames    [][]byte
			bytes     []int // payload each one gives; -1: unmatched
			afterward int64 // time between the frames
		}{
			{"in order", [][]byte{a, b, c}, []int{28, 48, all - 96}, 1000},
			{"the first is missing", [][]byte{b, c}, []int{-1, -1}, 1000},
			{"one in the middle is missing", [][]byte{a, c}, []int{28, -1}, 1000},
			{"out of order", [][]byte{a, c, b}, []int{28, -1, 48}, 1000},
			{"the last one twice", [][]byte{a, b, c, c}, []int{28, 48, all - 96, -1}, 1000},
			{"of another packet", [][]byte{a, other, b}, []int{28, -1, 48}, 1000},
			{"a minute later the number means another packet", [][]byte{a, b}, []int{28, -1}, 60e9},
			{"two packets at a time", [][]byte{a, piece(10, 0, 48, true), b, other}, []int{28, 28, 48, 48}, 1000},
		} {
			t.Run(family+", "+row.name, func(t *testing.T) {
				var p packet
				for i, f := range row.frames {
					p.time = storyStart.UnixNano() + int64(i)*row.afterward
					ok := decode(linkRaw, f, &p)
					if want := row.bytes[i] >= 0; ok != want || p.unmatched == want {
						t.Fatalf("frame %d: decoded %v, unmatched %v", i, ok, p.unmatched)
					}
					if !ok {
						continue
					}
					at := int(p.seq - 0xdeadbeef)
					if p.length != row.bytes[i] || p.sport != 54373 || string(p.payload) != payload[at:at+p.length] {
						t.Errorf("frame %d: got %d bytes at %d: %q", i, p.length, at, p.payload)
					}
					if first := at == 0; p.fragment == first || p.flags&flagFIN != 0 != first {
						t.Errorf("frame %d: fragment %v with flags %#x", i, p.fragment, p.flags)
					}
				}
			})
		}
	}
}

// TestTheTableOfFragmentsIsBounded has more packets in pieces than are followed.
func TestTheTableOfFragmentsIsBounded(t *testing.T) {
	tcp := join(t, innerTCP(), raw(strings.Repeat("x", 100)))
	piece := func(id, at int) []byte {
		h := *inner4
		h.Id, h.Flags, h.FragOffset = uint16(id), layers.IPv4MoreFragments, uint16(at/8)
		return join(t, &h, raw(tcp[at:at+64]))
	}
	var p packet
	for id := range 3 * maxFragments {
		decode(linkRaw, piece(id, 0), &p)
	}
	known := 0
	for id := range 3 * maxFragments {
		if decode(linkRaw, piece(id, 64), &p) {
			known++
		}
	}
	if known != maxFragments {
		t.Errorf("%d packets are followed, want %d", known, maxFragments)
	}
}

func TestDecodingDoesNotAllocate(t *testing.T) {
	rows := framesInEveryWrapping(t)
	var p packet
	if n := testing.AllocsPerRun(100, func() {
		for i := range rows {
			decode(rows[i].link, rows[i].data, &p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"Ethernet, IPv4", "an 802.1Q tag"} {
		rows := framesInEveryWrapping(b)
		row := rows[slices.IndexFunc(rows, func(r wrapped) bool { return r.name == name })]
		row.data[len(row.data)-len("hello")-40+13] = flagACK // a data packet
		b.Run(name, func(b *testing.B) {
			var p packet
			var c copies
			for b.Loop() {
				p.time += 1e9
				if !decode(row.link, row.data, &p) || c.are(&p) {
					b.Fatal("not decoded")
				}
			}
		})
	}
}
