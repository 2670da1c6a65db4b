package f5trailer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func diff(want, got Trailer) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty())
}

func mustEncode(t testing.TB, trailer Trailer) []byte {
	t.Helper()
	b, err := trailer.AppendTo(nil)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b
}

func TestVectorsDecodeFieldByField(t *testing.T) {
	for _, v := range append(vectors(), vectorH) {
		t.Run(v.name, func(t *testing.T) {
			got := Trailer{Low: Low{VirtualServer: "left over"}, HasOrigFCS: true, TLS: []TLV{{}}}
			if err := Decode(v.trailer, &got); err != nil {
				t.Fatal(err)
			}
			if d := diff(v.want, got); d != "" {
				t.Errorf("decoded (-want +got):\n%s", d)
			}
		})
	}
}

func TestVectorsEncodeByteIdentically(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			got, err := v.want.AppendTo(bytes.Clone(v.packet))
			if err != nil {
				t.Fatal(err)
			}
			if want := cat(v.packet, v.trailer); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
			newest := v.want
			newest.Low.Version, newest.Medium.Version, newest.High.Version = 0, 0, 0
			if got := mustEncode(t, newest); !bytes.Equal(got, v.trailer) {
				t.Errorf("version 0 is not the newest:\ngot  %x\nwant %x", got, v.trailer)
			}
		})
	}
}

func TestSizesOfBlocksWithoutNamesAndCause(t *testing.T) {
	tests := []struct {
		name              string
		low, medium, high bool
		legacy, dpt       int
	}{
		{"low alone", true, false, false, 7, 8 + 12},
		{"medium alone", false, true, false, 35, 8 + 40},
		{"high alone", false, false, true, 42, 8 + 47},
		{"all three", true, true, true, 84, 107},
	}
	for _, tt := range tests {
		for format, want := range map[Format]int{Legacy: tt.legacy, DPT: tt.dpt} {
			tr := Trailer{Format: format, HasLow: tt.low, HasMedium: tt.medium, HasHigh: tt.high}
			if got := len(mustEncode(t, tr)); got != want {
				t.Errorf("%s, %s: got %d bytes, want %d", tt.name, format, got, want)
			}
		}
	}
	withNames := Trailer{HasLow: true, HasMedium: true, HasHigh: true}
	withNames.Low.VirtualServer = "/Common/vs"
	withNames.Medium.HasRSTCause, withNames.Medium.RSTCause.Text = true, "cause"
	if got, want := len(mustEncode(t, withNames)), 107+2+10+9+5; got != want {
		t.Errorf("a name costs 2 and its length, a cause 9 and its length: got %d, want %d", got, want)
	}
}

// encodeOne encodes one change of the golden trailer.
func encodeOne(format Format, change func(*Trailer)) ([]byte, error) {
	tr := goldenTrailer(format, "192.0.2.20:8080", "192.0.2.240:40001")
	tr.Low.Version, tr.Medium.Version, tr.High.Version = 0, 0, 0
	change(&tr)
	return tr.AppendTo([]byte("packet"))
}

func TestEncoderLimits(t *testing.T) {
	name := func(n int) func(*Trailer) {
		return func(t *Trailer) {
			t.Low = Low{VirtualServer: strings.Repeat("v", n)}
		}
	}
	cause := func(n int) func(*Trailer) {
		return func(t *Trailer) { t.Medium.RSTCause.Text = strings.Repeat("c", n) }
	}
	lowVersion := func(v uint8, n int) func(*Trailer) {
		return func(t *Trailer) { t.Low = Low{VirtualServer: strings.Repeat("v", n), Version: v} }
	}
	tests := []struct {
		name   string
		format Format
		change func(*Trailer)
		max    int // of the TooLongError; 0: accepted
	}{
		{"a legacy virtual server may have 133 bytes", Legacy, name(133), 0},
		{"a legacy virtual server may not have 134 bytes", Legacy, name(134), 133},
		{"a legacy cause may have 96 bytes", Legacy, cause(96), 0},
		{"a legacy cause may not have 97 bytes", Legacy, cause(97), 96},
		{"a DPT cause may have 246 bytes", DPT, cause(246), 0},
		{"a DPT cause may not have 247 bytes", DPT, cause(247), 246},
		{"a DPT virtual server may have 255 bytes, in version 3", DPT, name(255), 0},
		{"a DPT virtual server may not have 256 bytes", DPT, name(256), 255},
		{"DPT low version 4 holds an object list of 127 bytes", DPT, lowVersion(4, 125), 0},
		{"DPT low version 4, asked for, refuses an object list of 128 bytes", DPT, lowVersion(4, 126), 127},
		{"DPT low version 2 holds a name of 255 bytes", DPT, lowVersion(2, 255), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := encodeOne(tt.format, tt.change)
			var long *TooLongError
			switch {
			case tt.max == 0 && err != nil:
				t.Fatal(err)
			case tt.max != 0 && (!errors.As(err, &long) || long.Max != tt.max):
				t.Fatalf("got %v, want a TooLongError with limit %d", err, tt.max)
			case err != nil && string(out) != "packet":
				t.Errorf("after an error: got %q, want dst unchanged", out)
			}
		})
	}
}

func TestEncoderRefusesWhatTheWireCannotCarry(t *testing.T) {
	v6 := netip.MustParseAddrPort("[2001:db8::1]:80")
	tests := []struct {
		name   string
		format Format
		field  string
		change func(*Trailer)
	}{
		{"a format that does not exist", 7, "format", func(*Trailer) {}},
		{"a DPT low version that does not exist", DPT, "low version", func(t *Trailer) { t.Low.Version = 5 }},
		{"a legacy low version that does not exist", Legacy, "low version", func(t *Trailer) { t.Low.Version = 2 }},
		{"an old legacy medium version", Legacy, "medium version", func(t *Trailer) { t.Medium.Version = 2 }},
		{"a DPT medium version that does not exist", DPT, "medium version", func(t *Trailer) { t.Medium.Version = 3 }},
		{"a legacy high version that does not exist", Legacy, "high version", func(t *Trailer) { t.High.Version = 1 }},
		{"a hardware action beyond two bits", DPT, "hardware action", func(t *Trailer) { t.Low.HardwareAction = 4 }},
		{"a cause value beyond 48 bits", DPT, "rst cause value", func(t *Trailer) { t.Medium.RSTCause.Value = 1 << 48 }},
		{"a cause record of unknown version", Legacy, "rst cause version", func(t *Trailer) { t.Medium.RSTCause.Version = 1 }},
		{"a route domain on an IPv6 remote", DPT, "remote route domain", func(t *Trailer) { t.High.Remote, t.High.RemoteRouteDomain = v6, 1 }},
		{"a route domain on an IPv6 local", Legacy, "local route domain", func(t *Trailer) { t.High.Local, t.High.HasLocalRouteDomain = v6, true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := encodeOne(tt.format, tt.change)
			var value *ValueError
			if !errors.As(err, &value) || value.Field != tt.field {
				t.Fatalf("got %v, want a ValueError on %q", err, tt.field)
			}
			if string(out) != "packet" {
				t.Errorf("got %q, want dst unchanged", out)
			}
		})
	}
	if _, err := new(Trailer).AppendTo(nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("no block at all: got %v, want ErrEmpty", err)
	}
}

func TestLongNamesFallBackToLowVersion3WithoutPortAndTrunk(t *testing.T) {
	vs := "/Common/" + strings.Repeat("x", 110)
	in := Trailer{HasLow: true, Low: Low{Ingress: true, HardwareAction: 3, VirtualServer: vs, PhysicalPort: "1.1", Trunk: "trunk_ext"}}
	var got Trailer
	if err := Decode(mustEncode(t, in), &got); err != nil {
		t.Fatal(err)
	}
	want := Trailer{HasLow: true, Low: Low{Ingress: true, HardwareAction: 3, VirtualServer: vs, Version: 3}}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAddressForms(t *testing.T) {
	tests := []struct {
		name string
		high High
		wire string // of remote
	}{
		{"IPv4 travels v4-mapped", High{Remote: netip.MustParseAddrPort("192.0.2.1:80")}, "00000000000000000000ffffc0000201"},
		{"IPv6 travels as it is", High{Remote: netip.MustParseAddrPort("[2001:db8::1]:80")}, "20010db8000000000000000000000001"},
		{"no address travels as zeros", High{}, "00000000000000000000000000000000"},
		{"a port without an address is kept", High{Remote: netip.MustParseAddrPort("[::]:80")}, "00000000000000000000000000000000"},
		{"0.0.0.0 is an address", High{Remote: netip.MustParseAddrPort("0.0.0.0:0")}, "00000000000000000000ffff00000000"},
		{"a route domain has a form of its own", High{Remote: netip.MustParseAddrPort("127.1.1.2:443"), RemoteRouteDomain: 7, HasRemoteRouteDomain: true}, "262000000c10f501000000077f010102"},
		{"route domain 0 in that form survives", High{Remote: netip.MustParseAddrPort("127.1.1.2:443"), HasRemoteRouteDomain: true}, "262000000c10f501000000007f010102"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []Format{DPT, Legacy} {
				want := Trailer{Format: format, HasHigh: true, High: tt.high}
				b := mustEncode(t, want)
				at := len(b) - 36
				if wire := b[at : at+16]; !bytes.Equal(wire, unhex(tt.wire)) {
					t.Errorf("%s: wire: got %x, want %s", format, wire, tt.wire)
				}
				if format == DPT {
					want.High.Version = 1
				}
				var got Trailer
				if err := Decode(b, &got); err != nil {
					t.Fatal(err)
				}
				if d := diff(want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", format, d)
				}
			}
		})
	}
}

func TestV4MappedAndImpliedRouteDomainAreWrittenAsIPv4(t *testing.T) {
	in := Trailer{HasHigh: true, High: High{
		Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:80"), Local: netip.MustParseAddrPort("192.0.2.2:81"), LocalRouteDomain: 3,
	}}
	want := Trailer{HasHigh: true, High: High{
		Remote: netip.MustParseAddrPort("192.0.2.1:80"), Local: netip.MustParseAddrPort("192.0.2.2:81"),
		LocalRouteDomain: 3, HasLocalRouteDomain: true, Version: 1,
	}}
	var got Trailer
	if err := Decode(mustEncode(t, in), &got); err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func randomTrailer(r *rand.Rand) Trailer {
	text := func(max int) string {
		b := make([]byte, r.IntN(max+1))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz0123456789/_.-"[r.IntN(40)]
		}
		return string(b)
	}
	addr := func() netip.AddrPort {
		if r.IntN(2) == 0 {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(r.Uint32()), byte(r.Uint32())}), uint16(r.Uint32()|1))
		}
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		a[14], a[15] = byte(r.Uint32()), byte(r.Uint32())
		return netip.AddrPortFrom(netip.AddrFrom16(a), uint16(r.Uint32()|1))
	}
	t := Trailer{
		Format: Format(r.IntN(2)), HasLow: r.IntN(8) > 0, HasMedium: r.IntN(8) > 0, HasHigh: true,
		Low:  Low{Ingress: r.IntN(2) == 0, Slot: uint8(r.IntN(8)), TMM: uint8(r.IntN(64)), VirtualServer: text(100), Version: 1},
		High: High{Protocol: uint8(r.IntN(256)), VLAN: uint16(r.IntN(4096)), Remote: addr(), Local: addr()},
		Medium: Medium{
			FlowID: r.Uint64(), PeerID: r.Uint64() | 1, CFFlags2: r.Uint32(), CFFlags: r.Uint32(), FlowType: uint8(r.Uint32()),
			HAUnit: uint8(r.Uint32()), Reserved: r.Uint32(), Priority: uint8(r.Uint32()), Version: 3,
		},
	}
	if r.IntN(2) == 0 {
		t.Medium.HasRSTCause = true
		t.Medium.RSTCause = RSTCause{Peer: r.IntN(2) == 0, Value: r.Uint64() >> 16, Line: uint16(r.Uint32()), Text: "Cause " + text(90)}
	}
	for _, end := range []struct {
		addr netip.AddrPort
		rd   *uint16
		has  *bool
	}{{t.High.Remote, &t.High.RemoteRouteDomain, &t.High.HasRemoteRouteDomain}, {t.High.Local, &t.High.LocalRouteDomain, &t.High.HasLocalRouteDomain}} {
		if end.addr.Addr().Is4() && r.IntN(4) == 0 {
			*end.rd, *end.has = uint16(r.IntN(3)), true
		}
	}
	if t.Format == DPT {
		t.Low.Version, t.Medium.Version, t.High.Version = uint8(2+r.IntN(3)), 4, 1
		if t.Low.Version > 2 {
			t.Low.HardwareAction = uint8(r.IntN(4))
		}
		if t.Low.Version == 4 {
			t.Low.PhysicalPort, t.Low.Trunk = text(6), text(15)
		}
	}
	if !t.HasLow {
		t.Low = Low{}
	}
	if !t.HasMedium {
		t.Medium = Medium{}
	}
	return t
}

func TestDecodingWhatWasEncodedGivesItBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var got Trailer // reused, as an analyzer does
	for i := range 20_000 {
		want := randomTrailer(r)
		frame, err := want.AppendTo(bytes.Clone(packet4))
		if err != nil {
			t.Fatalf("%d: %v\n%+v", i, err, want)
		}
		offset, ok, err := DecodeFrame(frame, len(frame), &got)
		if !ok || err != nil || offset != len(packet4) {
			t.Fatalf("%d: got offset %d, %t, %v", i, offset, ok, err)
		}
		if d := diff(want, got); d != "" {
			t.Fatalf("%d (-want +got):\n%s", i, d)
		}
		checkPeek(t, frame[offset:], &got)
	}
}

// checkPeek compares Peek with what Decode said.
func checkPeek(t testing.TB, trailer []byte, tr *Trailer) {
	t.Helper()
	b, ok := Peek(trailer, tr.Format)
	want := Brief{
		Ingress: tr.Low.Ingress, Slot: tr.Low.Slot, TMM: tr.Low.TMM, HasLow: tr.HasLow,
		FlowID: tr.Medium.FlowID, PeerID: tr.Medium.PeerID, HasRSTCause: tr.Medium.HasRSTCause, HasMedium: tr.HasMedium,
	}
	if b != want || ok != (tr.HasLow || tr.HasMedium) {
		t.Fatalf("peek: got %+v, %t, want %+v", b, ok, want)
	}
	flow, peer, ok := PeekIDs(trailer, tr.Format)
	if flow != want.FlowID || peer != want.PeerID || ok != want.HasMedium {
		t.Fatalf("peek ids: got %x %x %t, want %x %x %t", flow, peer, ok, want.FlowID, want.PeerID, want.HasMedium)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	for _, v := range vectors() {
		buf := make([]byte, 0, 512)
		tr, frame := v.want, cat(v.packet, v.trailer)
		var got Trailer
		for what, f := range map[string]func(){
			"AppendTo":    func() { buf, _ = tr.AppendTo(buf[:0]) },
			"PeekFrame":   func() { _, _ = PeekFrame(frame, len(frame)) },
			"PeekIDs":     func() { _, _, _ = PeekIDs(v.trailer, tr.Format) },
			"Find":        func() { _, _, _ = Find(frame, len(frame)) },
			"DecodeFrame": func() { _, _, _ = DecodeFrame(frame, len(frame), &got) }, // same names as before
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s: %s: got %v allocations, want 0", v.name, what, n)
			}
		}
	}
}

func TestRSTCauseReadsLikeTheBoxLog(t *testing.T) {
	for want, c := range map[string]RSTCause{
		"[0x287fa34:1234] {peer} TCP retransmit timeout": {Peer: true, Value: 0x287fa34, Line: 1234, Text: "TCP retransmit timeout"},
		"[0x287fa33:2267] No local listener":             {Value: 0x287fa33, Line: 2267, Text: "No local listener"},
		"rst cause record of unknown version 3":          {Version: 3},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
