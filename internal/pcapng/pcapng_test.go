package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
)

var t0 = time.Date(2026, 11, 22, 20, 57, 12, 123456789, time.UTC)

func arp() []byte {
	f := bytes.Repeat([]byte{0xff}, 6)
	f = append(f, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	return append(f, make([]byte, 20)...)
}

// sample is a capture with two interfaces, odd frame lengths and statistics.
func sample(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Section{Hardware: "lab", OS: "linux", Application: "hopblame"})
	check(t, err)
	a, err := w.AddInterface(Interface{Name: "feth11", Description: "firewall, client side", Filter: "tcp",
		Hardware: "veth", SnapLen: 256, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.60.1/24"), netip.MustParsePrefix("2001:db8::1/64")}})
	check(t, err)
	b, err := w.AddInterface(Interface{Name: "feth10"})
	check(t, err)
	f := arp()
	check(t, w.WritePacket(a, t0.UnixNano(), 0, f[:12], []byte{0x81, 0, 0x0f, 0xfe}, f[12:], []byte{1, 2, 3}))
	check(t, w.WritePacket(b, t0.UnixNano()+1, 1500, f))
	check(t, w.WriteStatistics(a, Statistics{Start: t0.Add(-time.Second), End: t0.Add(time.Second), Received: 7, Dropped: 2}))
	check(t, w.Flush())
	return out.Bytes()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type seen struct {
	Packet
	data string
}

func readAll(r *Reader) (all []seen, err error) {
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, seen{p, string(p.Data)})
	}
}

func TestRoundTrip(t *testing.T) {
	r, err := NewReader(bytes.NewReader(sample(t)))
	check(t, err)
	got, err := readAll(r)
	check(t, err)
	f := string(arp())
	want := []struct {
		number uint64
		iface  int
		ts     int64
		wire   int
		data   string
	}{
		{1, 0, t0.UnixNano(), 49, f[:12] + "\x81\x00\x0f\xfe" + f[12:] + "\x01\x02\x03"},
		{2, 1, t0.UnixNano() + 1, 1500, f},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Number != w.number || g.Interface != w.iface || g.Time != w.ts || g.WireLength != w.wire || g.data != w.data {
			t.Errorf("frame %d: got %+v, want %+v", i+1, g, w)
		}
	}
	i := r.Interfaces()
	if i[0].Name != "feth11" || i[0].Filter != "tcp" || i[0].Addresses[1].String() != "2001:db8::1/64" ||
		i[0].Addresses[0].String() != "198.18.60.1/24" || i[0].MAC.String() != "02:00:00:00:00:01" || i[0].SnapLen != 256 || i[1].Name != "feth10" {
		t.Errorf("interfaces: got %+v", i)
	}
	s := i[0].Statistics
	if !i[0].HasStatistics || !s.Start.Equal(t0.Add(-time.Second)) || !s.End.Equal(t0.Add(time.Second)) || s.Received != 7 || s.Dropped != 2 {
		t.Errorf("statistics: got %+v", s)
	}
	if i[1].HasStatistics {
		t.Error("feth10 has statistics that were never written")
	}
}

// TestTruncation cuts the sample at every byte: all whole frames are
// delivered, and the damage is reported except at block boundaries.
func TestTruncation(t *testing.T) {
	whole := sample(t)
	boundary := map[int]uint64{}
	for off, frames := 0, uint64(0); off < len(whole); {
		if whole[off] == blockEnhanced {
			frames++
		}
		off += int(binary.LittleEndian.Uint32(whole[off+4:]))
		boundary[off] = frames
	}
	for n := range whole {
		r, err := NewReader(bytes.NewReader(whole[:n]))
		if n < 12 {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d: got %v, want ErrFormat", n, err)
			}
			continue
		}
		check(t, err)
		got, err := readAll(r)
		var cut *TruncatedError
		if frames, clean := boundary[n]; clean {
			if err != nil || uint64(len(got)) != frames {
				t.Errorf("cut at block boundary %d: got %d frames, %v; want %d", n, len(got), err, frames)
			}
		} else if !errors.As(err, &cut) || cut.Frame != uint64(len(got)) {
			t.Errorf("cut at %d: got %v after %d frames, want a TruncatedError", n, err, len(got))
		}
	}
}

func TestErrFormatNamesTheFirstBytes(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "empty",
		"ab":                   "61 62",
		"\x1f\x8b\x08\x00zzzz": "gzip",
		"{\"a\":1}":            "JSON",
		"hello world":          `"hello wo"`,
		"\xd4\xc3\xb2\xa1":     "cut off after 4 of 24",
	} {
		_, err := NewReader(strings.NewReader(in))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ErrFormat with %q", in, err, want)
		}
	}
}

func TestReadError(t *testing.T) {
	boom := errors.New("boom")
	r, err := NewReader(io.MultiReader(bytes.NewReader(sample(t)[:200]), errReader{boom}))
	if err == nil {
		_, err = readAll(r)
	}
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want the source's error", err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// ordered builds files by hand in either byte order.
type ordered struct {
	binary.AppendByteOrder
	b []byte
}

func (o *ordered) u16(v ...uint16) {
	for _, v := range v {
		o.b = o.AppendUint16(o.b, v)
	}
}

func (o *ordered) u32(v ...uint32) {
	for _, v := range v {
		o.b = o.AppendUint32(o.b, v)
	}
}

func (o *ordered) block(kind uint32, body []byte) {
	body = append(body, zeros[:-len(body)&3]...)
	n := uint32(len(body) + 12)
	o.u32(kind, n)
	o.b = append(o.b, body...)
	o.u32(n)
}

func (o *ordered) body(f func(*ordered)) []byte {
	in := &ordered{AppendByteOrder: o.AppendByteOrder}
	f(in)
	return in.b
}

func TestClassicPcap(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range []struct {
			name  string
			magic uint32
			extra int
			want  int64
		}{{"micro", magicMicro, 0, 5_000_007_000}, {"nano", magicNano, 0, 5_000_000_007}, {"modified", magicModified, 8, 5_000_007_000}} {
			f := &ordered{AppendByteOrder: order}
			f.u32(c.magic)
			f.u16(2, 4)
			f.u32(0, 0, 65535, 1)
			for range 2 {
				f.u32(5, 7, 3, 60)
				f.b = append(f.b, make([]byte, c.extra)...)
				f.b = append(f.b, "abc"...)
			}
			r, err := NewReader(bytes.NewReader(f.b))
			check(t, err)
			got, err := readAll(r)
			check(t, err)
			if len(got) != 2 || got[1].Number != 2 || got[1].Time != c.want || got[1].WireLength != 60 || got[1].data != "abc" {
				t.Errorf("%v %s: got %+v, want time %d", order, c.name, got, c.want)
			}
			r, err = NewReader(bytes.NewReader(f.b[:len(f.b)-1]))
			check(t, err)
			var cut *TruncatedError
			if got, err = readAll(r); len(got) != 1 || !errors.As(err, &cut) {
				t.Errorf("%v %s cut: got %d frames, %v", order, c.name, len(got), err)
			}
		}
	}
}

// mixed is a file with two sections of the given order, resolutions of all
// kinds, an unknown block, a custom block, and every packet block there is.
func mixed(order binary.AppendByteOrder) []byte {
	f := &ordered{AppendByteOrder: order}
	for range 2 {
		f.block(blockSection, f.body(func(o *ordered) {
			o.u32(byteOrderMagic)
			o.u16(1, 0)
			o.u32(1<<32-1, 1<<32-1)
		}))
		iface := func(options func(o *ordered)) {
			f.block(blockInterface, f.body(func(o *ordered) {
				o.u16(1, 0)
				o.u32(64)
				options(o)
			}))
		}
		iface(func(*ordered) {}) // default: microseconds
		iface(func(o *ordered) { // 2^-10 s, 100 s later
			o.u16(ifTSResol, 1)
			o.b = append(o.b, 0x8a, 0, 0, 0)
			o.u16(ifTSOffset, 8)
			o.b = order.AppendUint64(o.b, 100)
		})
		iface(func(o *ordered) { // picoseconds
			o.u16(ifTSResol, 1)
			o.b = append(o.b, 12, 0, 0, 0)
		})
		f.block(0x99, []byte("who knows"))
		f.block(blockCustom, f.body(func(o *ordered) { o.u32(32473) }))
		for i, ticks := range []uint32{3, 1536, 5000} {
			f.block(blockEnhanced, f.body(func(o *ordered) {
				o.u32(uint32(i), 0, ticks, 42, 42)
				o.b = append(o.b, arp()...)
			}))
		}
		f.block(blockPacket, f.body(func(o *ordered) {
			o.u16(0, 9)
			o.u32(0, 4, 42, 42)
			o.b = append(o.b, arp()...)
		}))
		f.block(blockSimple, f.body(func(o *ordered) {
			o.u32(42)
			o.b = append(o.b, arp()...)
		}))
	}
	return f.b
}

func TestSectionsAndResolutions(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		r, err := NewReader(bytes.NewReader(mixed(order)))
		check(t, err)
		got, err := readAll(r)
		check(t, err)
		want := []int64{3000, 101_500_000_000, 5, 4000, 0}
		if len(got) != 2*len(want) {
			t.Fatalf("%v: got %d frames, want %d", order, len(got), 2*len(want))
		}
		for i, g := range got {
			if g.Time != want[i%5] || len(g.data) != 42 || g.WireLength != 42 {
				t.Errorf("%v frame %d: got %+v, want time %d", order, g.Number, g, want[i%5])
			}
		}
		if n := got[9].Interface; n != 3 {
			t.Errorf("%v: last frame's interface: got %d, want 3, the first of the second section", order, n)
		}
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		resol  byte
		offset int64
		ticks  uint64
		want   int64
	}{
		{9, 0, 1 << 63, 1<<63 - 1}, {0, 0, 1 << 62, 1<<63 - 1}, {0, 2, 3, 5_000_000_000}, {0, -2, 3, 1_000_000_000},
		{0x80, 0, 7, 7_000_000_000}, {0x80 | 63, 0, 1 << 62, 500_000_000}, {0x80 | 64, 0, 1 << 63, 500_000_000},
		{0xff, 0, 1 << 63, 0}, {127, 0, 1 << 63, 0}, {9, 1<<63 - 1, 1 << 62, 1<<63 - 1},
	} {
		k := newClock(c.resol, c.offset)
		if got := k.ns(c.ticks); got != c.want {
			t.Errorf("tsresol %#x offset %d ticks %d: got %d, want %d", c.resol, c.offset, c.ticks, got, c.want)
		}
	}
}

// tshark runs the real thing on a capture and returns its output lines.
func tshark(t *testing.T, capture []byte, args ...string) []string {
	t.Helper()
	bin, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: no oracle for file contents")
	}
	file := filepath.Join(t.TempDir(), "c.pcapng")
	check(t, os.WriteFile(file, capture, 0o600))
	out, err := exec.Command(bin, append([]string{"-r", file}, args...)...).Output()
	check(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestTsharkReadsWhatIsWritten(t *testing.T) {
	got := tshark(t, sample(t), "-T", "fields", "-E", "separator=|", "-e", "frame.number", "-e", "frame.interface_name",
		"-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len", "-e", "vlan.id", "-e", "frame.interface_description")
	want := []string{"1|feth11|1795381032.123456789|49|49|4094|firewall, client side", "2|feth10|1795381032.123456790|1500|42||"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCapinfosReadsStatistics(t *testing.T) {
	bin, err := exec.LookPath("capinfos")
	if err != nil {
		t.Skip("capinfos is not installed: no oracle for statistics")
	}
	file := filepath.Join(t.TempDir(), "c.pcapng")
	check(t, os.WriteFile(file, sample(t), 0o600))
	out, err := exec.Command(bin, file).Output()
	check(t, err)
	for _, want := range []string{"Capture application: hopblame", "Name = feth11", "Capture length = 256", "Number of stat entries = 1", "Filter string = tcp"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("capinfos does not say %q:\n%s", want, out)
		}
	}
}

// TestFrameNumbersAgreeWithTshark covers files we do not write ourselves.
func TestFrameNumbersAgreeWithTshark(t *testing.T) {
	capture := mixed(binary.LittleEndian)
	want := tshark(t, capture, "-Y", "eth.type==0x0806", "-T", "fields", "-e", "frame.number")
	r, err := NewReader(bytes.NewReader(capture))
	check(t, err)
	got, err := readAll(r)
	check(t, err)
	var numbers []string
	for _, g := range got {
		numbers = append(numbers, itoa(g.Number))
	}
	if strings.Join(numbers, " ") != strings.Join(want, " ") {
		t.Errorf("got frames %v, tshark has %v", numbers, want)
	}
}

func itoa(n uint64) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestGopacketReadsTheSame(t *testing.T) {
	capture := sample(t)
	ng, err := pcapgo.NewNgReader(bytes.NewReader(capture), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	check(t, err)
	r, err := NewReader(bytes.NewReader(capture))
	check(t, err)
	for {
		p, err := r.Next()
		if err == io.EOF {
			return
		}
		check(t, err)
		data, ci, err := ng.ReadPacketData()
		check(t, err)
		if !bytes.Equal(data, p.Data) || ci.Timestamp.UnixNano() != p.Time || ci.InterfaceIndex != p.Interface || ci.Length != p.WireLength {
			t.Errorf("frame %d: got %+v, gopacket has %+v", p.Number, p, ci)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Add(mixed(binary.BigEndian))
	f.Add(mixed(binary.LittleEndian))
	f.Add([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00a"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		all, err := readAll(r)
		var cut *TruncatedError
		if err != nil && !errors.As(err, &cut) {
			t.Fatalf("unexpected error %v", err)
		}
		total := 0
		for _, p := range all {
			total += len(p.data)
		}
		if total > len(in) || len(r.buf) > 2*readBuffer {
			t.Fatalf("%d bytes of frames from %d bytes of file, buffer %d", total, len(in), len(r.buf))
		}
	})
}

// many is a capture of n frames of 350 bytes, the f5's average.
func many(t testing.TB, n int) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, Section{})
	check(t, err)
	id, err := w.AddInterface(Interface{Name: "0.0"})
	check(t, err)
	frame := make([]byte, 350)
	for i := range n {
		check(t, w.WritePacket(id, int64(i), 0, frame[:12], frame[12:16], frame[16:]))
	}
	check(t, w.Flush())
	return out.Bytes()
}

func BenchmarkRead(b *testing.B) {
	const n = 20000
	capture := many(b, n)
	b.Run("hopblame", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(capture)))
		for b.Loop() {
			r, err := NewReader(bytes.NewReader(capture))
			check(b, err)
			for {
				if _, err := r.Next(); err != nil {
					break
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/packet")
	})
	b.Run("gopacket", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(capture)))
		for b.Loop() {
			r, err := pcapgo.NewNgReader(bytes.NewReader(capture), pcapgo.DefaultNgReaderOptions)
			check(b, err)
			for {
				if _, _, err := r.ZeroCopyReadPacketData(); err != nil {
					break
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/packet")
	})
}

func BenchmarkWrite(b *testing.B) {
	w, err := NewWriter(io.Discard, Section{})
	check(b, err)
	id, err := w.AddInterface(Interface{})
	check(b, err)
	head, tag, rest, trailer := make([]byte, 12), make([]byte, 4), make([]byte, 200), make([]byte, 110)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.WritePacket(id, 1, 0, head, tag, rest, trailer); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPacketsDoNotAllocate(t *testing.T) {
	w, err := NewWriter(io.Discard, Section{})
	check(t, err)
	id, err := w.AddInterface(Interface{})
	check(t, err)
	head, rest := make([]byte, 12), make([]byte, 200)
	if n := testing.AllocsPerRun(1000, func() { _ = w.WritePacket(id, 1, 0, head, rest) }); n != 0 {
		t.Errorf("WritePacket: %v allocations", n)
	}
	r, err := NewReader(bytes.NewReader(many(t, 3000)))
	check(t, err)
	if n := testing.AllocsPerRun(1000, func() { _, _ = r.Next() }); n != 0 {
		t.Errorf("Next: %v allocations", n)
	}
}
