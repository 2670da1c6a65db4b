package pcapng

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// classicFile is a pcap file of two frames, the first at the given second.
func classicFile(order binary.AppendByteOrder, magic, linkType, second uint32) []byte {
	f := &ordered{AppendByteOrder: order}
	f.u32(magic)
	f.u16(2, 4)
	f.u32(0, 0, 65535, linkType)
	for i := range uint32(2) {
		f.u32(second+i, 7, 42, 46+i)
		if magic == magicModified {
			f.u32(1) // interface
			f.u16(0x0806)
			f.b = append(f.b, 0, 0)
		}
		f.b = append(f.b, arp()...)
	}
	return f.b
}

// TestTsharkSeesTheSameFrames compares frame numbers, times, lengths and
// interfaces of files that other programs write.
func TestTsharkSeesTheSameFrames(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	rows := []struct {
		name string
		file []byte
	}{
		{"sections in both byte orders, all resolutions and packet blocks", append(mixed(le), mixed(be)...)},
		{"the same the other way round", append(mixed(be), mixed(le)...)},
		{"seconds behind 2038 are not negative", classicFile(le, magicMicro, 1, 1<<31+5)},
		{"an FCS length in the link type's upper bits", classicFile(be, magicMicro, 1|1<<26|2<<28, 5)},
	}
	for _, order := range []binary.AppendByteOrder{le, be} {
		for name, magic := range map[string]uint32{"microseconds": magicMicro, "nanoseconds": magicNano, "the modified format": magicModified} {
			rows = append(rows, struct {
				name string
				file []byte
			}{fmt.Sprintf("%s, %v", name, order), classicFile(order, magic, 1, 1795381032)})
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			want := tshark(t, row.file, "-Y", "eth.type==0x0806", "-T", "fields", "-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len")
			r, err := NewReader(bytes.NewReader(row.file))
			check(t, err)
			all, err := readAll(r)
			check(t, err)
			var got []string
			for _, p := range all {
				time := fmt.Sprintf("%d.%09d", p.Time/1e9, p.Time%1e9)
				if p.Time == 0 {
					time = "" // a simple packet block has none
				}
				got = append(got, fmt.Sprintf("%d\t%s\t%d\t%d", p.Number, time, len(p.Data), p.WireLength))
				if l := r.Interfaces()[p.Interface].LinkType; l != LinkTypeEthernet {
					t.Errorf("frame %d has link type %d", p.Number, l)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\ntshark has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestDropCounts reads what packets tell of losses. Statistics tell of the same
// ones, so that the larger of the two counts and not their sum.
func TestDropCounts(t *testing.T) {
	le := binary.LittleEndian
	build := func(order binary.AppendByteOrder, perPacket, statistics uint64) []byte {
		f := &ordered{AppendByteOrder: order}
		f.b = append(f.b, mixed(order)[:28]...)
		for range 2 {
			f.block(blockInterface, []byte{order.AppendUint16(nil, 1)[0], order.AppendUint16(nil, 1)[1], 0, 0, 0, 0, 0, 0})
		}
		for range 2 {
			f.block(blockEnhanced, f.body(func(o *ordered) {
				o.u32(1, 0, 1, 42, 42)
				o.b = append(append(o.b, arp()...), 0, 0) // padded
				o.u16(2, 4, 0, 0)                         // flags come first
				o.u16(epbDropCount, 8)
				o.b = order.AppendUint64(o.b, perPacket)
				o.u16(0, 0)
			}))
		}
		f.block(blockPacket, f.body(func(o *ordered) {
			o.u16(1, 3)
			o.u32(0, 4, 42, 42)
			o.b = append(o.b, arp()...)
		}))
		f.block(blockPacket, f.body(func(o *ordered) { // all ones: not known
			o.u16(1, 1<<16-1)
			o.u32(0, 4, 42, 42)
			o.b = append(o.b, arp()...)
		}))
		if statistics > 0 {
			f.block(blockStatistics, f.body(func(o *ordered) {
				o.u32(1, 0, 9)
				o.u16(isbDrop, 8)
				o.b = order.AppendUint64(o.b, statistics)
			}))
		}
		return f.b
	}
	for _, row := range []struct {
		name string
		file []byte
		want uint64
	}{
		{"packets alone tell, and their counts add up", build(le, 5, 0), 13},
		{"in the other byte order as well", build(binary.BigEndian, 5, 0), 13},
		{"statistics that tell of more count instead", build(le, 5, 20), 20},
		{"statistics that tell of less do not count", build(le, 5, 12), 13},
		{"a count that overflows stays at its end", build(le, 1<<63, 1), 1<<64 - 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := NewReader(bytes.NewReader(row.file))
			check(t, err)
			_, err = readAll(r)
			check(t, err)
			i := r.Interfaces()
			if i[1].Lost() != row.want || i[0].Lost() != 0 {
				t.Errorf("got %d and %d lost, want %d on the second interface", i[0].Lost(), i[1].Lost(), row.want)
			}
			tshark(t, row.file, "-c", "1") // it must be able to read the file
		})
	}
}
