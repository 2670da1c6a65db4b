package f5trailer

import (
	"bytes"
	"testing"
)

// findRow is a frame and where its trailer is to be found.
type findRow struct {
	name   string
	frame  []byte
	cut    int // bytes that the capture left out at the end
	offset int // -1: no trailer
	format Format
	fcs    uint32
}

// untagged is the frame without its VLAN tag.
func untagged(frame []byte) []byte { return cat(frame[:12], frame[16:]) }

// withTag puts one more tag in front.
func withTag(frame []byte, etherType ...byte) []byte {
	return cat(frame[:12], etherType, []byte{0x00, 0x2a}, frame[12:])
}

func arp() []byte {
	return cat(packet4[:12], unhex("0806 0001 0800 06 04 0001 020000000002 c6120001 000000000000 c6120002"))
}

// matrixRows are the frames that Wireshark 4.0.17, with default preferences, was
// seen to treat so; TestFindAgreesWithTshark asks the installed one again.
func matrixRows() []findRow {
	bare := untagged(packet4)
	zeros := make([]byte, 6)
	fcs := unhex("11223344")
	v := vectors()
	var rows []findRow
	for format, trailer := range map[Format][]byte{DPT: v[0].trailer, Legacy: v[1].trailer} {
		row := func(name string, offset int, parts ...[]byte) {
			rows = append(rows, findRow{format.String() + ": " + name, cat(parts...), 0, offset, format, 0})
		}
		row("behind a 54-byte IPv4 RST without padding", 54, bare, trailer)
		row("behind zero padding to 60 bytes", 60, bare, zeros, trailer)
		row("behind a 58-byte tagged RST, as the box writes it", 58, packet4, trailer)
		row("behind IPv6", 78, packet6, trailer)
		row("behind two tags", 62, withTag(packet4, 0x88, 0xa8), trailer)
		row("behind padding that is not zero: none", -1, bare, unhex("0102030405aa"), trailer)
		row("with an FCS behind", 58, packet4, trailer, fcs)
		row("behind an ARP of 42 bytes", 42, arp(), trailer)
		row("behind an ARP padded to 60 bytes", 60, arp(), make([]byte, 18), trailer)
		row("a frame without a trailer: none", -1, packet4)
		rows = append(rows, findRow{format.String() + ": cut by the snap length: none", cat(packet4, trailer), 1, -1, format, 0})
	}
	return append(rows,
		findRow{"legacy: behind an FCS: none", cat(packet4, fcs, v[1].trailer), 0, -1, Legacy, 0},
		findRow{"dpt: behind an FCS", cat(packet4, fcs, v[0].trailer), 0, 62, DPT, 0x11223344},
		findRow{"dpt: behind padding and an FCS", cat(bare, zeros, fcs, v[0].trailer), 0, 64, DPT, 0x11223344},
		findRow{"dpt: behind padding and an FCS that starts with zeros", cat(bare, zeros, unhex("00003344"), v[0].trailer), 0, 64, DPT, 0x00003344},
		findRow{"dpt: a real one of provider 5 behind an FCS that starts with zero", cat(packet4, unhex(hexH)), 0, 62, DPT, 0x00d43e2f},
	)
}

func ipv4Length(n uint16) []byte {
	p := bytes.Clone(packet4)
	p[20], p[21] = byte(n>>8), byte(n)
	return p
}

func ipv6Length(n uint16, next byte) []byte {
	p := bytes.Clone(packet6)
	p[22], p[23], p[24] = byte(n>>8), byte(n), next
	return p
}

func oddRows() []findRow {
	trailer := vectors()[0].trailer
	badVersion := bytes.Clone(packet4)
	badVersion[18] = 0x65
	return []findRow{
		{"behind an old QinQ tag", cat(withTag(packet4, 0x91, 0x00), trailer), 0, 62, DPT, 0},
		{"behind an 802.3 frame, by its length", cat(packet4[:12], unhex("0003 424203"), make([]byte, 43), trailer), 0, 60, DPT, 0},
		{"behind an IPv6 packet with nothing in it", cat(ipv6Length(0, 59)[:58], trailer), 0, 58, DPT, 0},
		{"IPv4 total length 0 hides the end", cat(ipv4Length(0), trailer), 0, -1, 0, 0},
		{"IPv4 total length less than its header", cat(ipv4Length(19), trailer), 0, -1, 0, 0},
		{"IPv4 total length beyond the frame", cat(ipv4Length(1500), trailer), 0, -1, 0, 0},
		{"IPv6 payload length 0 hides the end", cat(ipv6Length(0, 6), trailer), 0, -1, 0, 0},
		{"IPv4 in name only", cat(badVersion, trailer), 0, -1, 0, 0},
		{"an EtherType without a known length", cat(packet4[:12], unhex("88cc 0000"), trailer), 0, -1, 0, 0},
		{"less than an Ethernet header", packet4[:13], 0, -1, 0, 0},
		{"a tag and nothing behind", packet4[:16], 0, -1, 0, 0},
		{"an ARP cut in its header", arp()[:20], 0, -1, 0, 0},
		{"six bytes behind the packet", cat(packet4, []byte("\x01\x05\x01\x01\x00\x01")), 0, -1, 0, 0},
		{"a DPT trailer longer than the frame", cat(packet4, trailer[:40]), 0, -1, 0, 0},
		{"a legacy block whose size contradicts its version", cat(packet4, unhex("010601 01 00 01 00 00")), 0, -1, 0, 0},
		{"a legacy block of unknown version", cat(packet4, unhex("010603 01 00 01 00 00")), 0, -1, 0, 0},
		{"a legacy block of exactly 140 bytes", cat(packet4, unhex("018a01 01 00 01 85"), make([]byte, 133)), 0, 58, Legacy, 0},
		{"a legacy block larger than 140 bytes", cat(packet4, unhex("018b01 01 00 01 86"), make([]byte, 134)), 0, -1, 0, 0},
	}
}

func TestFindFollowsWireshark(t *testing.T) {
	for _, tt := range append(matrixRows(), oddRows()...) {
		t.Run(tt.name, func(t *testing.T) {
			wire := len(tt.frame)
			frame := tt.frame[:wire-tt.cut]
			offset, format, ok := Find(frame, wire)
			if ok != (tt.offset >= 0) {
				t.Fatalf("got found=%t at %d", ok, offset)
			}
			var tr Trailer
			at, found, err := DecodeFrame(frame, wire, &tr)
			if found != ok || at != offset || err != nil {
				t.Fatalf("DecodeFrame: got %d, %t, %v", at, found, err)
			}
			if !ok {
				if d := diff(Trailer{}, tr); d != "" {
					t.Errorf("no trailer, yet not the zero Trailer:\n%s", d)
				}
				return
			}
			if offset != tt.offset || format != tt.format || tr.Format != tt.format {
				t.Errorf("got %s at %d, want %s at %d", format, offset, tt.format, tt.offset)
			}
			if tr.OrigFCS != tt.fcs || tr.HasOrigFCS != (tt.fcs != 0) {
				t.Errorf("FCS: got %08x, %t, want %08x", tr.OrigFCS, tr.HasOrigFCS, tt.fcs)
			}
		})
	}
}

func TestPeekFrameWithoutBlocksOrTrailerIsNotOK(t *testing.T) {
	for name, frame := range map[string][]byte{
		"no trailer":                  packet4,
		"a trailer of another's data": cat(packet4, unhex(hexH)),
	} {
		if b, ok := PeekFrame(frame, len(frame)); ok || b != (Brief{}) {
			t.Errorf("%s: got %+v, %t", name, b, ok)
		}
	}
	if _, ok := Peek(vectors()[0].trailer, 9); ok {
		t.Error("a format that does not exist: got ok")
	}
	if _, ok := Peek(vectors()[1].trailer, DPT); ok {
		t.Error("a legacy trailer as DPT: got ok")
	}
}
