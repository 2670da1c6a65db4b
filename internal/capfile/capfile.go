// Package capfile reads capture files as they are mailed: pcap and pcapng, plain
// or compressed with gzip or zstd. The magic number decides, never the name.
//
// It exists because a compressed file is one more thing that can be cut off,
// damaged, or a bomb, and none of that may cost an analysis more than the frames
// behind the damage: they are missing, what was before is delivered, and the
// Reader ends with a *[pcapng.TruncatedError].
//
// Compression comes from compress/gzip (RFC 1952, several members in a row
// included) and github.com/klauspost/compress/zstd (RFC 8878, several frames).
package capfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// Limits of decompression. A file that goes beyond one of the first two counts as
// damaged from there on.
const (
	// MaxExpansion is how many bytes one compressed byte may stand for on
	// average. Captures shrink by 3 to 10; one of frames that differ in nothing
	// but their time stamps by about 30, as a test measures, so 256 is more than
	// any real one does. gzip's own limit is 1032 (RFC 1951: 258 bytes in two
	// bits), zstd has hardly any, and only a bomb comes near either.
	MaxExpansion = 256

	// FreeExpansion is always allowed: small files of little content may shrink
	// further than the average, and this much is read in a second.
	FreeExpansion = 256 << 20

	// MaxWindow is the largest zstd window in bytes, which is memory that a file
	// of 20 bytes can ask for. RFC 8878 §3.1.1.1.2 asks decoders for 8 MiB, which
	// is what zstd -19 uses; only --ultra and --long need more.
	MaxWindow = 32 << 20
)

// peekBuffer is how much of a compressed file is read at a time.
const peekBuffer = 128 << 10

// Reader reads one capture file. Close it; it does not close its source.
type Reader struct {
	*pcapng.Reader
	source *counted
	close  func()
}

// NewReader recognises the format of src. As with [pcapng.NewReader], an error
// that is [pcapng.ErrFormat] means that src is no capture; others come from src.
func NewReader(src io.Reader) (*Reader, error) {
	in := &counted{src: src}
	r := &Reader{source: in, close: func() {}}
	b := bufio.NewReaderSize(in, peekBuffer)
	magic, _ := b.Peek(4) // what went wrong comes again with the first Read
	stream, err := r.decompressor(b, magic)
	if err == nil {
		r.Reader, err = pcapng.NewReader(stream)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// Close frees what the decompressor holds.
func (r *Reader) Close() { r.close() }

// Consumed returns how many bytes of the file, as it lies on the disk, were read.
func (r *Reader) Consumed() int64 { return r.source.n }

// decompressor returns src itself if it is not compressed.
func (r *Reader) decompressor(src *bufio.Reader, magic []byte) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, r.source.orElse(fmt.Errorf("%w: gzip, but its header is damaged: %w", pcapng.ErrFormat, err))
		}
		return &expanded{from: z, kind: "gzip", source: r.source}, nil
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")) || len(magic) == 4 && magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18":
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderMaxMemory(MaxWindow), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", pcapng.ErrFormat, err)
		}
		r.close = z.Close
		return &expanded{from: z, kind: "zstd", source: r.source}, nil
	}
	return src, nil
}

// counted counts what is read of the file and keeps its error apart from those of
// a decompressor: one is a disk that fails, the other a file that is damaged.
type counted struct {
	src io.Reader
	n   int64
	err error // but io.EOF
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.src.Read(b)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *counted) orElse(err error) error {
	if c.err != nil {
		return c.err
	}
	return err
}

// expanded bounds a decompressor and tells damage from failure.
type expanded struct {
	from   io.Reader
	kind   string
	source *counted
	n      int64
}

func (e *expanded) Read(b []byte) (int, error) {
	limit := max(FreeExpansion, MaxExpansion*e.source.n)
	if e.n >= limit {
		return 0, &pcapng.SourceDamage{Why: fmt.Sprintf("%s that expands to more than %d times its size; if that is meant, decompress it first", e.kind, MaxExpansion)}
	}
	n, err := e.from.Read(b[:min(int64(len(b)), limit-e.n)])
	e.n += int64(n)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case e.source.err != nil:
		return n, e.source.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		err = fmt.Errorf("it needs a window of more than %d MiB; decompress it first, with zstd -d --long=31", MaxWindow>>20)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("it is cut off")
	}
	return n, &pcapng.SourceDamage{Why: e.kind + ": " + err.Error()}
}
