package pcapng

import (
	"bytes"
	"fmt"
	"math/bits"
)

// classic is the state of a pcap file: one interface, fixed-size records.
type classic struct {
	record int   // record header size
	unit   int64 // ns per unit of the sub-second field
}

// Magic numbers of draft-ietf-opsawg-pcap §4, and of the "modified" format
// of Kuznetsov's patched libpcap, whose records carry 8 bytes more.
const (
	magicMicro    = 0xA1B2C3D4
	magicNano     = 0xA1B23C4D
	magicModified = 0xA1B2CD34
)

func (r *Reader) openClassic(magic uint32) error {
	c := &classic{record: 16, unit: 1000}
	switch bits.ReverseBytes32(magic) {
	case magicMicro, magicNano, magicModified:
		r.big = true
		magic = bits.ReverseBytes32(magic)
	}
	switch magic {
	case magicMicro:
	case magicNano:
		c.unit = 1
	case magicModified:
		c.record = 24
	default:
		return describe(r.buf[r.r:r.w])
	}
	if !r.need(24) {
		if err := r.sourceFailed(); err != nil {
			return err
		}
		return fmt.Errorf("%w: a pcap file header cut off after %d of 24 bytes", ErrFormat, r.w-r.r)
	}
	h := r.buf[r.r:]
	var info InterfaceInfo
	info.SnapLen = r.u32(h[16:])
	// The upper bits tell whether frames end with an FCS, and how long it is.
	// It is behind the IP packet, where nothing looks for payload.
	info.LinkType = uint16(r.u32(h[20:]))
	r.interfaces = append(r.interfaces, info)
	r.r += 24
	r.classic = c
	return nil
}

func (r *Reader) nextClassic() (Packet, error) {
	head := r.classic.record
	if !r.need(head) {
		return Packet{}, r.ending()
	}
	h := r.buf[r.r:]
	n := int64(r.u32(h[8:]))
	if n > maxBlock {
		return Packet{}, r.damaged(fmt.Sprintf("a packet of %d bytes", n))
	}
	if !r.need(head + int(n)) {
		return Packet{}, r.ending()
	}
	h = r.buf[r.r : r.r+head+int(n)]
	r.r += len(h)
	r.number++
	return Packet{
		Number: r.number,
		Time: int64(r.u32(h))*1e9 + // unsigned: until 2106
			int64(r.u32(h[4:]))*r.classic.unit,
		Data:       h[head:len(h):len(h)],
		WireLength: int(r.u32(h[12:])),
	}, nil
}

// describe says what a file that is no capture seems to be.
func describe(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	b = b[:min(len(b), 16)]
	known := []struct{ magic, what string }{
		{"\x1f\x8b", "gzip; decompress it first"},
		{"\x28\xb5\x2f\xfd", "zstd; decompress it first"},
		{"\xfd7zXZ", "xz; decompress it first"},
		{"BZh", "bzip2; decompress it first"},
		{"\x04\x22\x4d\x18", "lz4; decompress it first"},
		{"PK\x03\x04", "zip; unpack it first"},
		{"snoop\x00", "a snoop capture; convert it with editcap"},
		{"\x7fELF", "a program"},
		{"{", "JSON or other text"},
	}
	for _, k := range known {
		if bytes.HasPrefix(b, []byte(k.magic)) {
			return fmt.Errorf("%w: it starts with % x (%s)", ErrFormat, b[:min(len(b), 4)], k.what)
		}
	}
	if len(b) < 4 {
		return fmt.Errorf("%w: it is only %d bytes long: % x", ErrFormat, len(b), b)
	}
	return fmt.Errorf("%w: it starts with % x %q", ErrFormat, b[:min(len(b), 8)], b[:min(len(b), 8)])
}
