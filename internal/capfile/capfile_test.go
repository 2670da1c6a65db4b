package capfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hopblame/hopblame/internal/pcapng"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a capture of n frames that do not compress to nothing.
func sample(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	check(t, err)
	id, err := w.AddInterface(pcapng.Interface{Name: "eth0"})
	check(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	frame := make([]byte, 60)
	for i := range n {
		for j := range 20 {
			frame[20+j] = byte(r.Uint32())
		}
		check(t, w.WritePacket(id, int64(i+1)*1e6, 0, frame))
	}
	check(t, w.Flush())
	return out.Bytes()
}

func gz(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&out)
		_, err := w.Write(p)
		check(t, err)
		check(t, w.Close())
	}
	return out.Bytes()
}

func zst(t testing.TB, window int, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range parts {
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		check(t, err)
		_, err = io.Copy(w, io.LimitReader(bytes.NewReader(p), int64(len(p)))) // streamed: no size in the header
		check(t, err)
		check(t, w.Close())
	}
	return out.Bytes()
}

// read counts the frames of a file, and closes it.
func read(in io.Reader) (frames uint64, consumed int64, err error) {
	r, err := NewReader(in)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	for {
		if _, err := r.Next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return r.Frames(), r.Consumed(), err
		}
	}
}

func TestCompressionIsTransparent(t *testing.T) {
	whole := sample(t, 500)
	half := len(whole) / 2
	for _, row := range []struct {
		name string
		file []byte
	}{
		{"a plain file", whole},
		{"gzip", gz(t, whole)},
		{"gzip of two members, cut in the middle of a frame", gz(t, whole[:half], whole[half:])},
		{"zstd", zst(t, 1<<20, whole)},
		{"zstd of two frames", zst(t, 1<<20, whole[:half], whole[half:])},
		{"zstd with a skippable frame in front, as pzstd writes it", append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zst(t, 1<<20, whole)...)},
		{"zstd with the largest window", zst(t, MaxWindow, whole)},
	} {
		t.Run(row.name, func(t *testing.T) {
			frames, consumed, err := read(bytes.NewReader(row.file))
			if frames != 500 || err != nil || consumed != int64(len(row.file)) {
				t.Errorf("got %d frames of %d bytes, %v; want 500 of %d", frames, consumed, err, len(row.file))
			}
		})
	}
}

func TestWhatIsBeforeTheDamageIsDelivered(t *testing.T) {
	whole := sample(t, 20000) // several blocks of either compression
	flipped := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)*2/3] ^= 0x55
		return b
	}
	for _, row := range []struct {
		name string
		file []byte
		why  string
	}{
		{"gzip cut off", gz(t, whole)[:len(gz(t, whole))/2], "gzip: it is cut off"},
		{"gzip with a flipped byte", flipped(gz(t, whole)), "gzip: "},
		{"gzip followed by something else", append(gz(t, whole), "garbage, ten bytes"...), "gzip: "},
		{"gzip with the check sum cut off", gz(t, whole)[:len(gz(t, whole))-3], "gzip: it is cut off"},
		{"zstd cut off", zst(t, 1<<20, whole)[:len(zst(t, 1<<20, whole))/2], "zstd: it is cut off"},
		{"zstd with a flipped byte", flipped(zst(t, 1<<20, whole)), "zstd: "},
		{"zstd followed by something else", append(zst(t, 1<<20, whole), "garbage, ten bytes"...), "zstd: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			frames, _, err := read(bytes.NewReader(row.file))
			var cut *pcapng.TruncatedError
			if !errors.As(err, &cut) || !strings.HasPrefix(cut.Why, row.why) || cut.Frame != frames {
				t.Errorf("got %v after %d frames, want damage: %s", err, frames, row.why)
			}
			if frames < 5000 {
				t.Errorf("only %d of 20000 frames were delivered", frames)
			}
		})
	}
}

// TestEveryCut cuts compressed captures at every byte.
func TestEveryCut(t *testing.T) {
	whole := sample(t, 30)
	for kind, file := range map[string][]byte{"gzip": gz(t, whole), "zstd": zst(t, 1<<20, whole)} {
		for n := range file {
			frames, _, err := read(bytes.NewReader(file[:n]))
			var cut *pcapng.TruncatedError
			if !errors.As(err, &cut) && !errors.Is(err, pcapng.ErrFormat) || frames > 30 {
				t.Fatalf("%s cut at %d of %d: got %d frames, %v", kind, n, len(file), frames, err)
			}
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	boom := errors.New("boom")
	big := bytes.Repeat(sample(t, 1000), 600) // more than the window, so that it is asked for
	for _, row := range []struct {
		name string
		file io.Reader
		is   error
		want string
	}{
		{"a damaged gzip header", strings.NewReader("\x1f\x8bnot"), pcapng.ErrFormat, "gzip, but its header is damaged"},
		{"gzip of text", bytes.NewReader(gz(t, []byte("hello world"))), pcapng.ErrFormat, `"hello wo"`},
		{"gzip of nothing", bytes.NewReader(gz(t, nil)), pcapng.ErrFormat, "it is empty"},
		{"gzip of zstd", bytes.NewReader(gz(t, zst(t, 1<<20, sample(t, 9)))), pcapng.ErrFormat, "zstd; decompress it first"},
		{"xz", strings.NewReader("\xfd7zXZ\x00"), pcapng.ErrFormat, "xz; decompress it first"},
		{"bzip2", strings.NewReader("BZh91AY"), pcapng.ErrFormat, "bzip2; decompress it first"},
		{"zstd with a window that is too large", bytes.NewReader(zst(t, 2*MaxWindow, big)), pcapng.ErrFormat, "needs a window of more than 32 MiB"},
		{"a disk that fails", io.MultiReader(bytes.NewReader(gz(t, sample(t, 5000))[:9000]), failing{boom}), boom, "boom"},
		{"a disk that fails at once", failing{boom}, boom, "boom"},
		{"a disk that fails in the gzip header", io.MultiReader(strings.NewReader("\x1f\x8b\x08\x00"), failing{boom}), boom, "boom"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := read(row.file)
			if !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v with %q", err, row.is, row.want)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// floods of identical frames do not come near the limit; see MaxExpansion.
func TestAFloodOfSYNsIsNoBomb(t *testing.T) {
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	check(t, err)
	id, err := w.AddInterface(pcapng.Interface{})
	check(t, err)
	frame := make([]byte, 60)
	for i := range 200_000 {
		check(t, w.WritePacket(id, int64(i)*1000, 0, frame)) // not even the addresses differ
	}
	check(t, w.Flush())
	for kind, file := range map[string][]byte{"gzip": gz(t, out.Bytes()), "zstd": zst(t, 1<<20, out.Bytes())} {
		ratio := out.Len() / len(file)
		t.Logf("%s: %d times", kind, ratio)
		if ratio > MaxExpansion/2 {
			t.Errorf("%s shrinks it %d times: the limit of %d is too low", kind, ratio, MaxExpansion)
		}
	}
}

func TestABombIsDamageNotMemory(t *testing.T) {
	// A frame, then a block that is skipped and has no end.
	head := sample(t, 1)
	block := binary.LittleEndian.AppendUint32(nil, 0x99)
	block = binary.LittleEndian.AppendUint32(block, 1<<32-4)
	zero := make([]byte, 1<<20)
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	check(t, err)
	for _, b := range [][]byte{head, block} {
		_, err = z.Write(b)
		check(t, err)
	}
	for range FreeExpansion>>20 + 2 {
		_, err = z.Write(zero)
		check(t, err)
	}
	check(t, z.Close())
	used := allocated(func() {
		frames, _, err := read(bytes.NewReader(bomb.Bytes()))
		var cut *pcapng.TruncatedError
		if !errors.As(err, &cut) || frames != 1 || !strings.Contains(cut.Why, "zstd that expands to more than 256 times its size") {
			t.Errorf("got %d frames, %v from %d bytes", frames, err, bomb.Len())
		}
	})
	if used > 16<<20 {
		t.Errorf("%d bytes of memory for a bomb of %d", used, bomb.Len())
	}
}

// allocated returns how many bytes f allocated in all, which is at least what it
// ever held at once.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// memory is the promise: 64 MiB and twice the decompressed size. What is
// allocated in all is more than what is held at once, so this is stricter.
func memory(t testing.TB, name string, file []byte, decompressed int) {
	t.Helper()
	if used := allocated(func() { _, _, _ = read(bytes.NewReader(file)) }); used > 64<<20+2*uint64(decompressed) {
		t.Errorf("%s: %d MiB of memory for a file of %d bytes, %d decompressed", name, used>>20, len(file), decompressed)
	}
}

func TestHostileFilesGetNoMemory(t *testing.T) {
	le := binary.LittleEndian
	section := sample(t, 0)[:28]
	block := func(kind uint32, body []byte) []byte {
		b := le.AppendUint32(le.AppendUint32(nil, kind), uint32(12+len(body)))
		return le.AppendUint32(append(b, body...), uint32(12+len(body)))
	}
	file := func(blocks ...[]byte) []byte { return append(bytes.Clone(section), bytes.Join(blocks, nil)...) }
	many := func(n int, b []byte) []byte { return bytes.Repeat(b, n) }
	option := func(code, n int) []byte {
		return append(le.AppendUint16(le.AppendUint16(nil, uint16(code)), uint16(n)), make([]byte, n)...)
	}
	classic := func(length uint32) []byte {
		return append(le.AppendUint32([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), length), 0, 0, 0, 0)
	}
	idb := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	for name, in := range map[string][]byte{
		"a block of 4 GiB":                    file([]byte("\x06\x00\x00\x00\xfc\xff\xff\xff")),
		"a block of nearly 16 MiB":            file([]byte("\x06\x00\x00\x00\x00\x00\xff\x00")),
		"a packet of 4 GiB":                   classic(1<<32 - 1),
		"a packet of 16 MiB":                  classic(16 << 20),
		"70,000 interfaces":                   file(many(70_000, block(1, idb))),
		"interfaces with 4 KiB of name each":  file(many(8000, block(1, append(bytes.Clone(idb), option(2, 4096)...)))),
		"an interface with a million address": file(block(1, append(bytes.Clone(idb), many(1_000_000, option(4, 8))...))),
		"70,000 sections with an interface":   bytes.Repeat(file(block(1, idb)), 70_000),
		"zstd that claims a large window":     append([]byte("\x28\xb5\x2f\xfd\x00"), 0x78, 1, 0, 0),
		"zstd that claims a large content":    []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x02\x01\x00\x00"),
	} {
		memory(t, name, in, len(in))
		memory(t, name+", in gzip", gz(t, in), len(in))
		memory(t, name+", in zstd", zst(t, 8<<20, in), len(in))
	}
}

func FuzzReader(f *testing.F) {
	whole := sample(f, 20)
	f.Add(whole)
	f.Add(gz(f, whole))
	f.Add(gz(f, whole[:100], whole[100:]))
	f.Add(zst(f, 1<<20, whole))
	f.Add(zst(f, MaxWindow, whole[:200], whole[200:]))
	f.Fuzz(func(t *testing.T, in []byte) {
		var first uint64
		for i := range 2 {
			frames, consumed, err := read(bytes.NewReader(in))
			var cut *pcapng.TruncatedError
			if err != nil && !errors.Is(err, pcapng.ErrFormat) && !errors.As(err, &cut) {
				t.Fatalf("neither damage nor a wrong format: %v", err)
			}
			if consumed > int64(len(in)) {
				t.Fatalf("%d of %d bytes read", consumed, len(in))
			}
			if i == 1 && frames != first {
				t.Fatalf("%d frames, then %d", first, frames)
			}
			first = frames
		}
		memory(t, "fuzzed", in, len(in))
	})
}
