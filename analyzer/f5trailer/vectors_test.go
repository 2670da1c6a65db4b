package f5trailer

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// Frames A to D were decoded by tshark 4.0.17 with the values in goldenTrailer; E to G
// are trailers of a public capture of TMOS 13.1.0.3; H is the trailer area of a frame
// in Wireshark issue 17171.
const (
	// DPT, IPv4: 58 bytes of packet, then the trailer.
	hexA = `
		0200000000010200000000f581000ffe08004500002800014000ff06155dcb00
		710ac633643301bb9c4100001389000004075014000093d20000f5deb0f500aa
		000100010001002c000400000120000e2f436f6d6d6f6e2f76735f6170700103
		312e3102097472756e6b5f657874000100020047000400005600df76bf000000
		5600df76d3000000000000008024400100000000031f0100000287fa3404d254
		43502072657472616e736d69742074696d656f757400010003002f0001060ffd
		00000000000000000000ffffc000021400000000000000000000ffffc00002f0
		1f909c41
	`
	// legacy, IPv4: trailer at 58.
	hexB = `
		0200000000010200000000f581000ffe08004500002800014000ff06155dcb00
		710ac633643301bb9c4100001389000004075014000093d20000011301000001
		0e2f436f6d6d6f6e2f76735f61707002400300005600df76bf0000005600df76
		d3000000000000008024400100000000031f0100000287fa3404d25443502072
		657472616e736d69742074696d656f7574032800060ffd000000000000000000
		00ffffc000021400000000000000000000ffffc00002f01f909c41
	`
	// legacy, IPv6: trailer at 78.
	hexC = `
		0200000000010200000000f581000ffe86dd60000000001406ff20010db80010
		0000000000000000020120010db800100000000000000000005101bb9c410000
		138900000407501400009c6000000113010000010e2f436f6d6d6f6e2f76735f
		61707002400300005600df76bf0000005600df76d30000000000000080244001
		00000000031f0100000287fa3404d25443502072657472616e736d6974207469
		6d656f7574032800060ffd20010db800200000000000000000002020010db800
		20000000000000000002401f909c41
	`
	// DPT, IPv6: trailer at 78.
	hexD = `
		0200000000010200000000f581000ffe86dd60000000001406ff20010db80010
		0000000000000000020120010db800100000000000000000005101bb9c410000
		138900000407501400009c600000f5deb0f500aa000100010001002c00040000
		0120000e2f436f6d6d6f6e2f76735f6170700103312e3102097472756e6b5f65
		7874000100020047000400005600df76bf0000005600df76d300000000000000
		8024400100000000031f0100000287fa3404d25443502072657472616e736d69
		742074696d656f757400010003002f0001060ffd20010db80020000000000000
		0000002020010db80020000000000000000002401f909c41
	`
	// Ingress SYN, no flow yet.
	hexE = `
		01050101000100
		022103 0000000000000000 0000000000000000 00000000 00000000 00 00 00000000 00 00
		032800 00 0000 00000000000000000000000000000000 00000000000000000000000000000000 0000 0000
	`
	// Egress data packet with a peer; medium and high only.
	hexF = `
		022103 00005600df76d300 00005600df76b600 00000000 00008024 40 01 00000000 03 00
		032800 06 0ffd 00000000000000000000ffff0a011414 00000000000000000000ffff0a0114f0 0050 c305
	`
	// Egress RST of a closed port.
	hexG = `
		01050100000200
		023b03 00005601b585cf40 0000000000000000 00000000 00000020 46 01 00000000 00
		1a 00 00000287fa33 08db 4e6f206c6f63616c206c697374656e6572
		032800 00 0000 00000000000000000000000000000000 00000000000000000000000000000000 0000 0000
	`
	// FCS, then a DPT trailer of the undocumented provider 5.
	hexH = `00d43e2f f5deb0f5 001c 0001 0005 0001 0014 0001 04880f78ff1fff3fc9382f00`
)

// Where the packet of frames A and B, and of C and D, ends.
const (
	packetLen4 = 58
	packetLen6 = 78
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// cat concatenates into a new slice.
func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var (
	packet4 = unhex(hexA)[:packetLen4] // RST+ACK under a VLAN tag
	packet6 = unhex(hexC)[:packetLen6]
)

// goldenTrailer is the content of frames A to D, as the given format carries it.
func goldenTrailer(format Format, remote, local string) Trailer {
	t := Trailer{
		Format: format,
		HasLow: true, HasMedium: true, HasHigh: true,
		Low: Low{Slot: 0, TMM: 1, VirtualServer: "/Common/vs_app", Version: 1},
		Medium: Medium{
			FlowID: 0x5600df76bf00, PeerID: 0x5600df76d300, CFFlags: 0x8024,
			FlowType: 0x40, HAUnit: 1, Priority: 3, Version: 3, HasRSTCause: true,
			RSTCause: RSTCause{Peer: true, Value: 0x287fa34, Line: 1234, Text: "TCP retransmit timeout"},
		},
		High: High{
			Protocol: 6, VLAN: 4093,
			Remote: netip.MustParseAddrPort(remote), Local: netip.MustParseAddrPort(local),
		},
	}
	if format == DPT {
		t.Low.PhysicalPort, t.Low.Trunk = "1.1", "trunk_ext"
		t.Low.Version, t.Medium.Version, t.High.Version = 4, 4, 1
	}
	return t
}

// vector is a trailer whose content is known from elsewhere.
type vector struct {
	name    string
	packet  []byte // what precedes the trailer
	trailer []byte
	want    Trailer
}

func vectors() []vector {
	const (
		remote4, local4 = "192.0.2.20:8080", "192.0.2.240:40001"
		remote6, local6 = "[2001:db8:20::20]:8080", "[2001:db8:20::240]:40001"
	)
	a, b, c, d := unhex(hexA), unhex(hexB), unhex(hexC), unhex(hexD)
	return []vector{
		{"A: DPT over IPv4", packet4, a[packetLen4:], goldenTrailer(DPT, remote4, local4)},
		{"B: legacy over IPv4", packet4, b[packetLen4:], goldenTrailer(Legacy, remote4, local4)},
		{"C: legacy over IPv6", packet6, c[packetLen6:], goldenTrailer(Legacy, remote6, local6)},
		{"D: DPT over IPv6", packet6, d[packetLen6:], goldenTrailer(DPT, remote6, local6)},
		{"E: a real ingress SYN has no flow", packet4, unhex(hexE), Trailer{
			Format: Legacy, HasLow: true, HasMedium: true, HasHigh: true,
			Low:    Low{Ingress: true, TMM: 1, Version: 1},
			Medium: Medium{Version: 3},
		}},
		{"F: a real egress data packet has a peer", packet4, unhex(hexF), Trailer{
			Format: Legacy, HasMedium: true, HasHigh: true,
			Medium: Medium{
				FlowID: 0x5600df76d300, PeerID: 0x5600df76b600, CFFlags: 0x8024,
				FlowType: 0x40, HAUnit: 1, Priority: 3, Version: 3,
			},
			High: High{
				Protocol: 6, VLAN: 4093,
				Remote: netip.MustParseAddrPort("10.1.20.20:80"),
				Local:  netip.MustParseAddrPort("10.1.20.240:49925"),
			},
		}},
		{"G: a real RST of a closed port", packet4, unhex(hexG), Trailer{
			Format: Legacy, HasLow: true, HasMedium: true, HasHigh: true,
			Low: Low{TMM: 2, Version: 1},
			Medium: Medium{
				FlowID: 0x5601b585cf40, CFFlags: 0x20, FlowType: 0x46, HAUnit: 1, Version: 3,
				HasRSTCause: true,
				RSTCause:    RSTCause{Value: 0x287fa33, Line: 2267, Text: "No local listener"},
			},
		}},
	}
}

// vectorH is outside the encoder's domain: it has no noise block.
var vectorH = vector{"H: provider 5 behind an FCS", packet4, unhex(hexH)[4:], Trailer{
	Unknown: []TLV{{Provider: 5, Type: 1, Version: 1, Data: unhex("04880f78ff1fff3fc9382f00")}},
}}

func TestVectorsHaveTheDocumentedLengths(t *testing.T) {
	for name, want := range map[string]struct {
		hex string
		n   int
	}{"A": {hexA, 228}, "B": {hexB, 187}, "C": {hexC, 207}, "D": {hexD, 248}, "E": {hexE, 84}, "F": {hexF, 77}, "G": {hexG, 110}, "H": {hexH, 32}} {
		if got := len(unhex(want.hex)); got != want.n {
			t.Errorf("%s: got %d bytes, want %d", name, got, want.n)
		}
	}
}
