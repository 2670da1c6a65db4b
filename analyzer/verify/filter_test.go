package verify

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/internal/tshark"
)

// segment is a TCP segment that a test puts on the wire.
type segment struct {
	src, dst string // address:port
	flags    byte
	seq, ack uint32
	payload  string
	vlan     uint16
	trailer  *f5trailer.Trailer
	shut     bool // its window is zero
	pad      int  // bytes of padding behind it, as on short Ethernet frames
	ttl      byte // 0 means 63
}

// ipPacket is the segment from its IP header on.
func (s segment) ipPacket(t testing.TB) (layers.EthernetType, []byte) {
	t.Helper()
	src, dst := netip.MustParseAddrPort(s.src), netip.MustParseAddrPort(s.dst)
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: s.seq, Ack: s.ack, Window: 65535,
		SYN: s.flags&flagSYN != 0, ACK: s.flags&flagACK != 0, FIN: s.flags&flagFIN != 0, RST: s.flags&flagRST != 0}
	if s.shut {
		tcp.Window = 0
	}
	if s.flags&flagSYN != 0 {
		tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
	}
	ether, ip := ipLayer(src.Addr(), dst.Addr(), layers.IPProtocolTCP)
	if v4, ok := ip.(*layers.IPv4); ok && s.ttl != 0 {
		v4.TTL = s.ttl
	}
	check(t, tcp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)))
	return ether, serialize(t, ip, tcp, gopacket.Payload(s.payload))
}

func ipLayer(src, dst netip.Addr, proto layers.IPProtocol) (layers.EthernetType, gopacket.SerializableLayer) {
	if src.Is6() {
		return layers.EthernetTypeIPv6, &layers.IPv6{Version: 6, HopLimit: 63, NextHeader: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	return layers.EthernetTypeIPv4, &layers.IPv4{Version: 4, TTL: 63, Id: 0x1234, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}

func serialize(t testing.TB, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	check(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
	return slices.Clone(b.Bytes())
}

// frame is the segment on Ethernet.
func (s segment) frame(t testing.TB) []byte {
	t.Helper()
	ether, ip := s.ipPacket(t)
	f := ethernet(ether, ip, s.vlan)
	f = append(f, make([]byte, s.pad)...)
	if s.trailer != nil {
		var err error
		f, err = s.trailer.AppendTo(f)
		check(t, err)
	}
	return f
}

func ethernet(ether layers.EthernetType, ip []byte, vlan uint16) []byte {
	f := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	if vlan != 0 {
		f = append(f, 0x81, 0, byte(vlan>>8), byte(vlan))
	}
	f = append(f, byte(ether>>8), byte(ether))
	return append(f, ip...)
}

// quoting is an ICMP error about a segment, from a router; keep cuts the quote.
func (s segment) quoting(t testing.TB, from string, typ, code uint8, keep int) []byte {
	t.Helper()
	_, quote := s.ipPacket(t)
	quote = quote[:min(len(quote), keep)]
	src, dst := netip.MustParseAddr(from), netip.MustParseAddrPort(s.src).Addr()
	if src.Is6() {
		ether, ip := ipLayer(src, dst, layers.IPProtocolICMPv6)
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
		check(t, icmp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)))
		return ethernet(ether, serialize(t, ip, icmp, gopacket.Payload(append(make([]byte, 4), quote...))), 0)
	}
	ether, ip := ipLayer(src, dst, layers.IPProtocolICMPv4)
	return ethernet(ether, serialize(t, ip, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code)}, gopacket.Payload(quote)), 0)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// capture writes frames, a second apart, snapped to a length if one is given.
func capture(t testing.TB, path string, frames [][]byte, snap int) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	w, err := pcapng.NewWriter(f, pcapng.Section{})
	check(t, err)
	id, err := w.AddInterface(pcapng.Interface{Name: "eth0"})
	check(t, err)
	for i, data := range frames {
		wire := len(data)
		if snap > 0 {
			data = data[:min(len(data), snap)]
		}
		check(t, w.WritePacket(id, storyStart.Add(time.Duration(i)*time.Second).UnixNano(), wire, data))
	}
	check(t, w.Flush())
}

var storyStart = time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)

// zoo is one frame of every kind that filters tell apart.
func zoo(t testing.TB) [][]byte {
	t.Helper()
	dpt := func(peer bool, format f5trailer.Format, remote, local string) *f5trailer.Trailer {
		tr := &f5trailer.Trailer{Format: format, HasLow: true, HasMedium: true, HasHigh: true}
		tr.Medium.FlowID, tr.Medium.PeerID = 0x5600, 0x5700
		tr.Medium.HasRSTCause, tr.Medium.RSTCause = true, f5trailer.RSTCause{Peer: peer, Text: `TCP "retransmit" timeout\`, Line: 1234}
		if remote != "" {
			tr.High = f5trailer.High{Protocol: 6, VLAN: 4093, Remote: netip.MustParseAddrPort(remote), Local: netip.MustParseAddrPort(local)}
		}
		return tr
	}
	var out [][]byte
	for _, a := range []struct{ c, s, router, peer, snat string }{
		{"198.18.50.88:40000", "198.18.160.81:8000", "198.18.60.1", "198.18.160.82:8000", "198.18.60.247:33000"},
		{"[2001:db8::88]:40000", "[2001:db8:160::81]:8000", "2001:db8:60::1", "[2001:db8:160::82]:8000", "[2001:db8:60::247]:33000"},
	} {
		up := func(flags byte, seq, ack uint32, payload string) segment {
			return segment{src: a.c, dst: a.s, flags: flags, seq: seq, ack: ack, payload: payload}
		}
		down := func(flags byte, seq, ack uint32, payload string) segment {
			return segment{src: a.s, dst: a.c, flags: flags, seq: seq, ack: ack, payload: payload}
		}
		syn, post := up(flagSYN, 100, 0, ""), up(flagACK, 101, 7001, "POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		padded, tagged := up(flagACK, 101, 7001, ""), down(flagSYN|flagACK, 7000, 101, "")
		padded.pad, tagged.vlan = 6, 4093
		rst := down(flagRST|flagACK, 7001, 150, "")
		legacy, alone, lone := rst, rst, rst
		rst.trailer, rst.vlan = dpt(true, f5trailer.DPT, a.peer, a.snat), 4094
		legacy.trailer = dpt(false, f5trailer.Legacy, a.peer, a.snat)
		alone.trailer = dpt(false, f5trailer.DPT, "", "")
		lone.trailer = dpt(false, f5trailer.Legacy, "", "")
		other := up(flagSYN, 100, 0, "")
		other.src = strings.Replace(a.c, "40000", "40001", 1)
		quote := 28 // IPv4 header and 8 bytes, RFC 792
		if strings.HasPrefix(a.c, "[") {
			quote = 48
		}
		out = append(out, syn.frame(t), other.frame(t), tagged.frame(t), padded.frame(t), post.frame(t),
			down(flagACK, 7001, 150, "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno").frame(t),
			down(flagFIN|flagACK, 7101, 150, "").frame(t), rst.frame(t), legacy.frame(t), alone.frame(t), lone.frame(t),
			down(flagRST, 7001, 0, "").frame(t),
			syn.quoting(t, a.router, 3, 1, 1000), syn.quoting(t, a.router, 3, 1, quote), post.quoting(t, a.router, 1, 3, 1000),
			post.quoting(t, a.router, 3, 4, quote))
	}
	return append(out, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 198, 18, 0, 2})
}

var zooFilters = []string{
	"ip.src==198.18.50.88", "ip.dst==198.18.50.88", "ip.addr==198.18.50.88", "ip.addr!=198.18.50.88", "ip.src==198.18.60.1",
	"ipv6.src==2001:db8::88", "ipv6.dst==2001:db8::88", "ipv6.addr==2001:0db8::0088", "ipv6.src!=2001:db8::88",
	"tcp.srcport==40000", "tcp.dstport==40000", "tcp.srcport!=40000", "tcp.srcport>40000", "tcp.srcport>=40000", "tcp.srcport<=8000", "tcp.srcport<8000",
	"tcp.flags.syn==1", "tcp.flags.syn==0", "tcp.flags.ack==1", "tcp.flags.ack==0", "tcp.flags.fin==1", "tcp.flags.reset==1", "tcp.flags.reset==True",
	"tcp.seq_raw==100", "tcp.seq_raw==0x65", "tcp.ack_raw==101", "tcp.ack_raw==0", "tcp.ack_raw>0", "tcp.len==0", "tcp.len>0", "tcp.len!=0", "tcp.len==51",
	"icmp.type==3", "icmp.code==1", "icmp.code==4", "icmp.type", "icmpv6.type==1", "icmpv6.code==3", "icmpv6.type!=1",
	"http.response.code==503", "http.response.code>=500", "http.response.code",
	"frame.number==3", "frame.number>=5 && frame.number<=9", "frame.len>100", "frame.cap_len<=60",
	"ip.ttl==63", "ip.ttl", "ip.id==0x1234", "ip.id==1", "ipv6.hlim>62",
	`f5ethtrailer.rstcausetxt=="TCP \"retransmit\" timeout\\"`, `f5ethtrailer.rstcausetxt!="x"`, `f5ethtrailer.rstcausetxt`, `f5ethtrailer.rstcausetxt=="TCP"`,
	"f5ethtrailer.rstcausepeer==1", "f5ethtrailer.rstcausepeer==0",
	"f5ethtrailer.peerremoteaddr==198.18.160.82", "f5ethtrailer.peerlocaladdr==198.18.60.247", "f5ethtrailer.peeraddr!=198.18.60.247",
	"f5ethtrailer.peerremoteaddr6==2001:db8:160::82", "f5ethtrailer.peerlocaladdr6==2001:db8:60::247", "f5ethtrailer.peeraddr6==2001:db8:60::247", "f5ethtrailer.peeraddr6==::",
	"f5ethtrailer.peerremoteport==8000", "f5ethtrailer.peerlocalport==33000", "f5ethtrailer.peerport!=33000", "f5ethtrailer.peerport",
	"!tcp.flags.syn==1", "!(tcp.flags.syn==1 || tcp.flags.fin==1) && tcp.len==0", "tcp.flags.syn==1 || tcp.flags.fin==1 && tcp.ack_raw==150",
	"tcp.len==0 or ip.ttl==63", "tcp.flags.syn eq 1 and not tcp.flags.ack eq 1",
	"ip.src==198.18.50.88 && tcp.srcport==40000 && icmp.type==3 && tcp.seq==100",
	"icmp.type==3 && tcp.seq_raw==100", "icmpv6.type==3 && tcp.seq==100", "icmpv6.type==3 && tcp.seq_raw==100", "icmp.code==4 && tcp.flags.ack==1",
}

// TestFiltersMatchWhatWiresharkFinds has tshark as its judge.
func TestFiltersMatchWhatWiresharkFinds(t *testing.T) {
	frames := zoo(t)
	file := filepath.Join(t.TempDir(), "zoo.pcapng")
	capture(t, file, append(frames, frames[len(frames)-1]), 0) // the table leaves out the last
	want, err := tshark.Table(t.Context(), file, zooFilters)
	if errors.Is(err, tshark.ErrMissing) {
		t.Skip(err)
	}
	check(t, err)
	for i, text := range zooFilters {
		compare(t, text, file, want[i], len(frames))
	}
}

func TestFiltersOfFramesThatTheCaptureCut(t *testing.T) {
	for _, snap := range []int{60, 80} {
		file := filepath.Join(t.TempDir(), "zoo.pcapng")
		frames := zoo(t)
		capture(t, file, frames, snap)
		for _, text := range []string{"ip.addr==198.18.50.88 || ipv6.addr==2001:db8::88", "tcp.srcport==40000", "tcp.ack_raw>0", "tcp.len>0", "icmp.type==3 || icmpv6.type==3", "f5ethtrailer.rstcausetxt"} {
			want, err := tshark.Frames(t.Context(), file, text)
			if errors.Is(err, tshark.ErrMissing) {
				t.Skip(err)
			}
			check(t, err)
			compare(t, text, file, want, len(frames))
		}
	}
}

// compare sees that a filter finds the frames it should among the first n.
func compare(t *testing.T, text, file string, want []uint64, n int) {
	t.Helper()
	f, err := Parse(text)
	if err != nil {
		t.Error(err)
		return
	}
	got := slices.DeleteFunc(found(t, f, file), func(number uint64) bool { return number > uint64(n) })
	if !slices.Equal(got, want) {
		t.Errorf("%s: got frames %v, Wireshark finds %v", text, got, want)
	}
}

// found reads a file and returns the frames that match.
func found(t testing.TB, f *Filter, file string) (numbers []uint64) {
	t.Helper()
	in, err := os.Open(file)
	check(t, err)
	defer in.Close()
	r, err := pcapng.NewReader(in)
	check(t, err)
	var d decoder
	var x Frame
	for {
		p, err := r.Next()
		if err != nil {
			return numbers
		}
		d.decode(linkEthernet, p, &x)
		ok, err := f.Match(&x)
		check(t, err)
		if ok {
			numbers = append(numbers, p.Number)
		}
	}
}

func TestFiltersThatCannotBeChecked(t *testing.T) {
	for _, row := range []struct{ name, filter, why string }{
		{"nothing", "", "at byte 0: it ends where a field is expected"},
		{"a field that is not known", "tcp.window_size==1", `at byte 0: no field "tcp.window_size" is known`},
		{"a protocol", "tcp", `no field "tcp"`},
		{"half a comparison", "tcp.len>", "at byte 8: a value is missing"},
		{"an operator for a value", "tcp.len>==1", `"=" is no token`},
		{"an operator that is not known", "tcp.len ~= 1", `"~" is not expected here`},
		{"strict equality", "tcp.len===1", `"==="`},
		{"contains", `f5ethtrailer.rstcausetxt contains "x"`, `"contains" is not expected here`},
		{"a set", "tcp.len in {1,2}", `"in" is not expected here`},
		{"a chain", "1<tcp.len<3", `no field "1"`},
		{"a chain to the right", "tcp.len==1==1", "a chain of comparisons"},
		{"a number too large", "tcp.srcport==65536", `"65536" is no number of 16 bits`},
		{"a negative number", "tcp.srcport==-1", "is no number"},
		{"what Wireshark takes for octal", "tcp.srcport==010", "octal"},
		{"an IPv6 address for IPv4", "ip.src==2001:db8::1", "is no address of this field's family"},
		{"a prefix", "ip.src==198.18.0.0/15", "is no address"},
		{"a flag of 2", "tcp.flags.syn==2", "is neither 0 nor 1"},
		{"text without quotes", "f5ethtrailer.rstcausetxt==x", "is no string in double quotes"},
		{"a string for a number", `tcp.len=="1"`, "is a string, and the field is none"},
		{"a string without its end", `f5ethtrailer.rstcausetxt=="x`, "a string without its end"},
		{"an escape", `f5ethtrailer.rstcausetxt=="\x41"`, "an escape other than"},
		{"an open parenthesis", "(tcp.len==1", "at byte 0: a parenthesis that is not closed"},
		{"a closed one", "tcp.len==1)", `at byte 10: ")" is not expected here`},
		{"nothing behind &&", "tcp.len==1 &&", "it ends where a field is expected"},
		{"a single &", "tcp.len==1 & tcp.len==1", `"&" is no token`},
		{"too deep", strings.Repeat("!", 200) + "tcp.len==1", "nested more than 32 deep"},
		{"too long", "tcp.len==1" + strings.Repeat(" ", 5000), "longer than 4096 bytes"},
	} {
		_, err := Parse(row.filter)
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), row.why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", row.name, err, row.why)
		}
	}
}

func TestAResponseThatGoesOnCannotBeCheckedByItsCode(t *testing.T) {
	f, err := Parse("http.response.code==503")
	check(t, err)
	for _, row := range []struct {
		payload string
		want    error
		match   bool
	}{
		{"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", nil, true},
		{"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nn", errReassembly, false},
		{"HTTP/1.1 503 Busy\r\nContent-Length", errReassembly, false},
		{"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", nil, true},
		{"HTTP/1.1 503 Busy\r\n\r\nuntil the end", errReassembly, false},
		{"HTTP/1.1 204 Gone\r\n\r\n", nil, false},
		{"HTTP/2 503", nil, false},
	} {
		var d decoder
		var x Frame
		data := segment{src: "198.18.0.1:1", dst: "198.18.0.2:2", flags: flagACK, payload: row.payload}.frame(t)
		d.decode(linkEthernet, pcapng.Packet{Number: 1, Data: data, WireLength: len(data)}, &x)
		if ok, err := f.Match(&x); ok != row.match || !errors.Is(err, row.want) {
			t.Errorf("%q: got %v, %v", row.payload, ok, err)
		}
	}
}

// FuzzParse: no filter makes the parser fail otherwise than it says, and what it
// reads it reads the same again.
func FuzzParse(f *testing.F) {
	for _, s := range zooFilters {
		f.Add(s)
	}
	frames := zoo(f)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		var unsupported *UnsupportedError
		if err != nil {
			if !errors.As(err, &unsupported) || unsupported.Offset < 0 || unsupported.Offset > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		again, err := Parse(fmt.Sprintf("!(!(%s))", p))
		if err != nil && !strings.Contains(err.Error(), "nested") && !strings.Contains(err.Error(), "longer") {
			t.Fatalf("%q: %v in parentheses", s, err)
		}
		if again == nil {
			return
		}
		var d decoder
		var x Frame
		for i, data := range frames {
			d.decode(linkEthernet, pcapng.Packet{Number: uint64(i + 1), Data: data, WireLength: len(data)}, &x)
			a, errA := p.Match(&x)
			b, errB := again.Match(&x)
			if a != b || (errA == nil) != (errB == nil) {
				t.Fatalf("%q: frame %d: %v, %v and %v, %v twice negated", s, i+1, a, errA, b, errB)
			}
		}
	})
}
