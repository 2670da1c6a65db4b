package f5trailer

import (
	"errors"
	"strings"
	"testing"
)

// Blocks that the encoder does not write.
const (
	low10    = "011400 01 00 02 2f436f6d6d6f6e2f7673000000000000"
	low94    = "012100 01 02 03 000000a1 000000b1 00000024 40 76735f617070000000000000000000 00"
	medium94 = "020600 01 00000000"
	medium10 = "021300 000000a1 000000b1 00000024 40 01 00000005"
	medium11 = "021b00 00005600df76bf00 00005600df76d300 00008024 40 01 00000005"
	cause    = "01 00000287fa34 04d2 54435020"
	medium1  = "022901 00005600df76bf00 00005600df76d300 00008024 40 01 00000005 0d" + cause
	medium2  = "022a02 00005600df76bf00 00005600df76d300 00008024 40 01 00000005 03 0d" + cause
	high0    = "032800 06 0ffd 00000000000000000000ffffc0000214 00000000000000000000ffffc00002f0 1f90 9c41"

	dptLow2 = "0001 0001 0016 0002 05 00 01 0a 2f436f6d6d6f6e2f7673"
	dptLow3 = "0001 0001 0016 0003 05 00 01 0a 2f436f6d6d6f6e2f7673"
	dptMed  = "0001 0002 0028 0004 00005600df76bf00 00005600df76d300 00000000 00008024 40 01 00000000 03 00"
	dptHigh = "0001 0003 002f 0001 06 0ffd 00000000000000000000ffffc0000214 00000000000000000000ffffc00002f0 1f90 9c41"
	dptTLS  = "0004 0000 000a 0000 beef"
	dptNew  = "0001 0009 000a 0001 cafe"
)

// dpt puts the outer header in front of TLVs.
func dpt(tlvs ...string) []byte {
	body := unhex(strings.Join(tlvs, ""))
	n := len(body) + 8
	return cat(unhex("f5deb0f5"), []byte{byte(n >> 8), byte(n), 0, 1}, body)
}

func oldIDs(version uint8) Medium {
	return Medium{FlowID: 0xa1, PeerID: 0xb1, CFFlags: 0x24, FlowType: 0x40, Version: version}
}

func newIDs(version uint8) Medium {
	return Medium{FlowID: 0x5600df76bf00, PeerID: 0x5600df76d300, CFFlags: 0x8024, FlowType: 0x40, HAUnit: 1, Reserved: 5, Version: version}
}

type decodeRow struct {
	name string
	in   []byte
	want Trailer
}

func legacyRows() []decodeRow {
	vs10 := Low{Ingress: true, TMM: 2, VirtualServer: "/Common/vs"}
	vs94 := Low{Ingress: true, Slot: 2, TMM: 3, VirtualServer: "vs_app"}
	withUnit := oldIDs(0)
	withUnit.HAUnit, withUnit.Reserved = 1, 5
	unit94 := oldIDs(0)
	unit94.HAUnit = 1
	m1, m2 := newIDs(1), newIDs(2)
	m1.HasRSTCause, m1.RSTCause = true, RSTCause{Peer: true, Value: 0x287fa34, Line: 1234, Text: "TCP "}
	m2.HasRSTCause, m2.RSTCause, m2.Priority = true, m1.RSTCause, 3
	return []decodeRow{
		{"low of TMOS 10 has a fixed name that ends at NUL", unhex(low10), Trailer{HasLow: true, Low: vs10}},
		{"low of TMOS 9.4 carries the flow ids", unhex(low94), Trailer{HasLow: true, Low: vs94, HasMedium: true, Medium: oldIDs(0)}},
		{"low and medium of TMOS 9.4 complete each other", unhex(low94 + medium94), Trailer{HasLow: true, Low: vs94, HasMedium: true, Medium: unit94}},
		{"and in either order", unhex(medium94 + low94), Trailer{HasLow: true, Low: vs94, HasMedium: true, Medium: unit94}},
		{"medium of TMOS 10 has ids of 32 bits", unhex(medium10), Trailer{HasMedium: true, Medium: withUnit}},
		{"a medium block with ids outranks a low block with ids", unhex(medium11 + low94), Trailer{HasLow: true, Low: vs94, HasMedium: true, Medium: newIDs(0)}},
		{"medium of TMOS 11 has ids of 64 bits", unhex(medium11), Trailer{HasMedium: true, Medium: newIDs(0)}},
		{"medium version 1 has a cause", unhex(medium1), Trailer{HasMedium: true, Medium: m1}},
		{"medium version 2 has a priority as well", unhex(low10 + medium2), Trailer{HasLow: true, Low: vs10, HasMedium: true, Medium: m2}},
		{"an FCS behind the last block is ignored", unhex(medium1 + "11223344"), Trailer{HasMedium: true, Medium: m1}},
		{"a block of unknown version is kept and skipped", unhex("010501 01 00 02 00" + "010603 aabbccddee" + medium11), Trailer{
			HasLow: true, Low: Low{Ingress: true, TMM: 2, Version: 1}, HasMedium: true, Medium: newIDs(0),
			Unknown: []TLV{{Type: 1, Version: 3, Data: unhex("aabbccddee")}},
		}},
		{"a block of unknown type is kept and skipped", unhex(low10 + "090600 aabbccddee" + medium11), Trailer{
			HasLow: true, Low: vs10, HasMedium: true, Medium: newIDs(0), Unknown: []TLV{{Type: 9, Data: unhex("aabbccddee")}},
		}},
	}
}

func dptRows() []decodeRow {
	low2 := Low{Ingress: true, TMM: 1, VirtualServer: "/Common/vs", Version: 2}
	low3 := Low{Ingress: true, TMM: 1, VirtualServer: "/Common/vs", Version: 3, HardwareAction: 2}
	med := newIDs(4)
	med.Reserved, med.Priority = 0, 3
	high := goldenTrailer(DPT, "192.0.2.20:8080", "192.0.2.240:40001").High
	opaque := med
	opaque.HasRSTCause, opaque.RSTCause = true, RSTCause{Version: 1}
	long := strings.Repeat("61", 200)
	return []decodeRow{
		{"low version 2: any non-zero byte is ingress", dpt(dptLow2), Trailer{HasLow: true, Low: low2}},
		{"low version 3: bit 0 is ingress, bits 1 and 2 the hardware action", dpt(dptLow3), Trailer{HasLow: true, Low: low3}},
		{"high may precede medium and low", dpt(dptHigh, dptMed, dptLow3), Trailer{HasLow: true, Low: low3, HasMedium: true, Medium: med, HasHigh: true, High: high}},
		{"an unknown provider is kept and skipped", dpt("0005 0001 000a 0001 cafe", dptMed), Trailer{HasMedium: true, Medium: med, Unknown: []TLV{{5, 1, 1, unhex("cafe")}}}},
		{"an unknown noise type is kept and skipped", dpt(dptNew, dptMed), Trailer{HasMedium: true, Medium: med, Unknown: []TLV{{1, 9, 1, unhex("cafe")}}}},
		{"an unknown noise version is kept and skipped", dpt("0001 0001 000a 0009 cafe", dptMed), Trailer{HasMedium: true, Medium: med, Unknown: []TLV{{1, 1, 9, unhex("cafe")}}}},
		{"the TLS provider is kept apart", dpt(dptMed, dptTLS), Trailer{HasMedium: true, Medium: med, TLS: []TLV{{4, 0, 0, unhex("beef")}}}},
		{"a second block of a kind is kept as unknown", dpt(dptLow3, dptLow2), Trailer{HasLow: true, Low: low3, Unknown: []TLV{{1, 1, 2, unhex(dptLow2)[8:]}}}},
		{"the header's length ends the trailer", cat(dpt(dptMed), unhex("11223344")), Trailer{HasMedium: true, Medium: med}},
		{"a cause record of another version is opaque", dpt("0001 0002 002a 0004", dptMed[20:len(dptMed)-2], "02 03ff"), Trailer{HasMedium: true, Medium: opaque}},
		{"an object of unknown type is skipped", dpt("0001 0001 0015 0004 01 00 01 09 07 02 6161 00 03 2f7673"), Trailer{HasLow: true, Low: Low{Ingress: true, TMM: 1, VirtualServer: "/vs", Version: 4}}},
		{"the object list's length is unsigned", dpt("0001 0001 00d6 0004 01 00 01 ca 00 c8" + long), Trailer{HasLow: true, Low: Low{Ingress: true, TMM: 1, VirtualServer: strings.Repeat("a", 200), Version: 4}}},
		{"an empty trailer is a trailer", dpt(), Trailer{}},
	}
}

func TestDecoderReadsEveryKnownLayout(t *testing.T) {
	for format, rows := range map[Format][]decodeRow{Legacy: legacyRows(), DPT: dptRows()} {
		for _, tt := range rows {
			t.Run(format.String()+": "+tt.name, func(t *testing.T) {
				var got Trailer
				if err := Decode(tt.in, &got); err != nil {
					t.Fatal(err)
				}
				tt.want.Format = format
				if d := diff(tt.want, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				checkPeek(t, tt.in, &got)
			})
		}
	}
}

func TestDecoderReportsWhereTheBytesContradictThemselves(t *testing.T) {
	tests := []struct {
		name   string
		in     []byte
		offset int
		block  string
	}{
		{"nothing at all", nil, 0, "header"},
		{"less than the smallest block", unhex("010501010001"), 0, "header"},
		{"neither format", unhex("0905010100010000"), 0, "block"},
		{"legacy: a name longer than its block", unhex("010501 01 00 01 05"), 0, "low"},
		{"legacy: a second block beyond the end", unhex("010501 01 00 01 00" + "022103 00000000"), 7, "medium"},
		{"legacy: a cause longer than its block", unhex("022103" + strings.Repeat("00", 31) + "05"), 0, "medium"},
		{"legacy: a cause shorter than its fixed part", unhex("022403" + strings.Repeat("00", 31) + "03 000000"), 0, "medium"},
		{"legacy: a high block of the wrong size", unhex("032700" + strings.Repeat("00", 38)), 0, "high"},
		{"dpt: less than the header", unhex("f5deb0f5 0008 00"), 0, "header"},
		{"dpt: a total length less than the header", unhex("f5deb0f5 0007 0001"), 0, "header"},
		{"dpt: a total length beyond the frame", unhex("f5deb0f5 0009 0001"), 0, "header"},
		{"dpt: an unknown header version", unhex("f5deb0f5 0008 0002"), 0, "header"},
		{"dpt: less than a TLV header", dpt("00010001"), 8, "block"},
		{"dpt: a TLV length less than its header", dpt("0001 0001 0007 0004"), 8, "block"},
		{"dpt: a TLV length beyond the trailer", dpt(dptMed, "0001 0001 0009 0004"), 48, "block"},
		{"dpt: a low block without its fixed part", dpt("0001 0001 000b 0004 000000"), 8, "low"},
		{"dpt: an object list beyond the block", dpt("0001 0001 000c 0004 000000 01"), 8, "low"},
		{"dpt: an object beyond the list", dpt("0001 0001 000e 0004 000000 02 00 01"), 8, "low"},
		{"dpt: an object without a length", dpt("0001 0001 000d 0004 000000 01 00"), 8, "low"},
		{"dpt: a medium block without its fixed part", dpt("0001 0002 0008 0004"), 8, "medium"},
		{"dpt: a cause beyond the block", dpt("0001 0002 0028 0004", strings.Repeat("00", 31), "01"), 8, "medium"},
		{"dpt: a high block without its fixed part", dpt("0001 0003 0008 0001"), 8, "high"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := goldenTrailer(DPT, "192.0.2.20:8080", "192.0.2.240:40001")
			err := Decode(tt.in, &tr)
			var bad *MalformedError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a MalformedError", err)
			}
			if bad.Offset != tt.offset || bad.Block != tt.block {
				t.Errorf("got %s at %d, want %s at %d (%v)", bad.Block, bad.Offset, tt.block, tt.offset, err)
			}
			if tr.Low.Version == 4 || tr.HasHigh || tr.Medium.RSTCause.Text != "" {
				t.Errorf("the trailer was not reset: %+v", tr)
			}
		})
	}
}

func TestBlocksBeforeTheDamageStay(t *testing.T) {
	var tr Trailer
	if err := Decode(dpt(dptMed, "0001 0001 0009 0004"), &tr); err == nil {
		t.Fatal("got no error")
	}
	if !tr.HasMedium || tr.Medium.FlowID != 0x5600df76bf00 || tr.HasLow {
		t.Errorf("got %+v, want the medium block", tr)
	}
}

func TestCutTrailersNeverPanic(t *testing.T) {
	var tr Trailer
	for _, v := range append(vectors(), vectorH) {
		for n := range v.trailer {
			_ = Decode(v.trailer[:n], &tr)
			_, _ = Peek(v.trailer[:n], tr.Format)
		}
	}
}
