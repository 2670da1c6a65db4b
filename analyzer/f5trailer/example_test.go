package f5trailer_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// rst is a RST+ACK from a virtual server to a client, under the box's VLAN tag.
const rst = "0200000000010200000000f581000ffe" +
	"08004500002800014000ff06155dcb00710ac6336433" +
	"01bb9c4100001389000004075014000093d20000"

// The testbed writes a trailer behind a packet; the analyzer reads it back.
func Example() {
	frame, _ := hex.DecodeString(rst)
	packetLen := len(frame)

	written := f5trailer.Trailer{
		HasLow: true, Low: f5trailer.Low{TMM: 1, VirtualServer: "/Common/vs_app"},
		HasMedium: true, Medium: f5trailer.Medium{
			FlowID: 0x5600df76bf00, PeerID: 0x5600df76d300,
			HasRSTCause: true,
			RSTCause:    f5trailer.RSTCause{Peer: true, Value: 0x287fa34, Line: 1234, Text: "TCP retransmit timeout"},
		},
		HasHigh: true, High: f5trailer.High{
			Protocol: 6, VLAN: 4093,
			Remote: netip.MustParseAddrPort("192.0.2.20:8080"),
			Local:  netip.MustParseAddrPort("192.0.2.240:40001"),
		},
	}
	frame, err := written.AppendTo(frame)
	if err != nil {
		fmt.Println(err)
		return
	}

	var read f5trailer.Trailer
	offset, ok, err := f5trailer.DecodeFrame(frame, len(frame), &read)
	fmt.Println(offset == packetLen, ok, err)
	fmt.Printf("flow %#x, peer %#x\n", read.Medium.FlowID, read.Medium.PeerID)
	fmt.Println("peer flow:", read.High.Local, "to", read.High.Remote)
	fmt.Println("reset because:", read.Medium.RSTCause)
	// Output:
	// true true <nil>
	// flow 0x5600df76bf00, peer 0x5600df76d300
	// peer flow: 192.0.2.240:40001 to 192.0.2.20:8080
	// reset because: [0x287fa34:1234] {peer} TCP retransmit timeout
}

// An empty name needs no room; one too long says by how much.
func ExampleTrailer_AppendTo() {
	t := f5trailer.Trailer{
		Format: f5trailer.Legacy,
		HasLow: true, Low: f5trailer.Low{VirtualServer: "/Common/" + strings.Repeat("x", 130)},
	}
	_, err := t.AppendTo(nil)
	fmt.Println(err)
	// Output:
	// f5 trailer: encode legacy: virtual server of 138 bytes exceeds the limit of 133
}

// The analyzer's hot loop needs only what tells flows apart.
func ExamplePeekFrame() {
	frame, _ := hex.DecodeString(rst)
	t := f5trailer.Trailer{HasMedium: true, Medium: f5trailer.Medium{FlowID: 0xa00, PeerID: 0xb00}}
	frame, _ = t.AppendTo(frame)

	brief, ok := f5trailer.PeekFrame(frame, len(frame))
	fmt.Printf("%t %#x %#x\n", ok, brief.FlowID, brief.PeerID)
	// Output:
	// true 0xa00 0xb00
}

// The first frame of a capture describes it.
func ExampleParseFileInfo() {
	first := f5trailer.FileInfo{Command: "tcpdump -ni 0.0:nnn", Version: "17.1.0 0.0.16", Product: "BIG-IP"}.Frame()
	info, ok := f5trailer.ParseFileInfo(first)
	fmt.Println(ok, info.Version)
	// Output:
	// true 17.1.0 0.0.16
}
