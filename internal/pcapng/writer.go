package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Writer writes one pcapng section, little endian, with nanosecond
// timestamps. It buffers; call Flush at the end. It is not safe for
// concurrent use. After an error every call returns that error.
type Writer struct {
	w          io.Writer
	buf        []byte
	interfaces int
	err        error
}

const writeBuffer = 256 << 10

var zeros [4]byte

// NewWriter writes the section header. The header reaches w at the latest
// with Flush.
func NewWriter(w io.Writer, s Section) (*Writer, error) {
	wr := &Writer{w: w, buf: make([]byte, 0, writeBuffer)}
	b := newBlock(blockSection)
	b.u32(byteOrderMagic)
	b.u16(1) // major
	b.u16(0) // minor
	b.u64(1<<64 - 1)
	b.text(shbHardware, s.Hardware)
	b.text(shbOS, s.OS)
	b.text(shbUserAppl, s.Application)
	return wr, wr.block(b)
}

// AddInterface describes an interface and returns its id, counted from 0.
// Interfaces may be added at any time before their first packet.
func (w *Writer) AddInterface(i Interface) (id int, err error) {
	if n := len(i.MAC); n != 0 && n != 6 {
		return 0, fmt.Errorf("interface %q: MAC of %d bytes, want 6", i.Name, n)
	}
	b := newBlock(blockInterface)
	link := i.LinkType
	if link == 0 {
		link = LinkTypeEthernet
	}
	b.u16(link)
	b.u16(0)
	b.u32(i.SnapLen)
	b.text(ifName, i.Name)
	b.text(ifDescription, i.Description)
	for _, p := range i.Addresses {
		switch a := p.Addr(); {
		case a.Is4():
			ip := a.As4()
			var mask [4]byte
			binary.BigEndian.PutUint32(mask[:], uint32(^uint64(0)<<(32-p.Bits())))
			b.option(ifIPv4, ip[:], mask[:])
		case a.IsValid():
			ip := a.As16()
			b.option(ifIPv6, ip[:], []byte{byte(p.Bits())})
		}
	}
	if len(i.MAC) == 6 {
		b.option(ifMAC, i.MAC)
	}
	b.option(ifTSResol, []byte{9})
	if i.Filter != "" {
		b.option(ifFilter, []byte{0}, []byte(i.Filter))
	}
	b.text(ifHardware, i.Hardware)
	if err := w.block(b); err != nil {
		return 0, err
	}
	w.interfaces++
	return w.interfaces - 1, nil
}

// WritePacket writes one frame, the concatenation of parts, as it was seen on
// iface at ts nanoseconds since the epoch. wireLength is its length on the
// wire; a smaller value than what is given is raised to it.
func (w *Writer) WritePacket(iface int, ts int64, wireLength int, parts ...[]byte) error {
	if w.err != nil {
		return w.err
	}
	if iface < 0 || iface >= w.interfaces {
		return fmt.Errorf("packet on interface %d: only %d described", iface, w.interfaces)
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	pad := -n & 3
	total := 32 + n + pad
	if total > maxBlock {
		return fmt.Errorf("packet of %d bytes: larger than a block may be", n)
	}
	if len(w.buf)+28 > cap(w.buf) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	le := binary.LittleEndian
	b := w.buf[len(w.buf) : len(w.buf)+28]
	le.PutUint32(b, blockEnhanced)
	le.PutUint32(b[4:], uint32(total))
	le.PutUint32(b[8:], uint32(iface))
	le.PutUint32(b[12:], uint32(uint64(ts)>>32))
	le.PutUint32(b[16:], uint32(ts))
	le.PutUint32(b[20:], uint32(n))
	le.PutUint32(b[24:], uint32(max(n, wireLength)))
	w.buf = w.buf[:len(w.buf)+28]
	for _, p := range parts {
		w.append(p)
	}
	var tail [8]byte // up to 3 bytes of padding, then the length again
	le.PutUint32(tail[pad:], uint32(total))
	w.append(tail[:pad+4])
	return w.err
}

// WriteComment writes one frame as WritePacket does, with comments (pcapng §3.5,
// opt_comment), which Wireshark shows and finds as frame.comment. It is for the few
// frames of a file that have some: it allocates.
func (w *Writer) WriteComment(iface int, ts int64, wireLength int, frame []byte, comments ...string) error {
	if w.err != nil {
		return w.err
	}
	if iface < 0 || iface >= w.interfaces {
		return fmt.Errorf("packet on interface %d: only %d described", iface, w.interfaces)
	}
	b := newBlock(blockEnhanced)
	b.u32(uint32(iface))
	b.u32(uint32(uint64(ts) >> 32))
	b.u32(uint32(ts))
	b.u32(uint32(len(frame)))
	b.u32(uint32(max(len(frame), wireLength)))
	b.buf = append(b.buf, frame...)
	b.buf = append(b.buf, zeros[:-len(frame)&3]...)
	for _, c := range comments {
		b.text(optComment, c)
	}
	if len(b.buf)+8 > maxBlock {
		return fmt.Errorf("packet of %d bytes with %d comments: larger than a block may be", len(frame), len(comments))
	}
	return w.block(b)
}

// WriteStatistics writes an interface statistics block. Several may follow
// each other; readers take the last.
func (w *Writer) WriteStatistics(iface int, s Statistics) error {
	if iface < 0 || iface >= w.interfaces {
		return fmt.Errorf("statistics of interface %d: only %d described", iface, w.interfaces)
	}
	b := newBlock(blockStatistics)
	b.u32(uint32(iface))
	at := s.End
	if at.IsZero() {
		at = s.Start
	}
	stamp := func(t time.Time) []byte {
		var o [8]byte
		if !t.IsZero() {
			ns := uint64(t.UnixNano())
			binary.LittleEndian.PutUint32(o[:], uint32(ns>>32))
			binary.LittleEndian.PutUint32(o[4:], uint32(ns))
		}
		return o[:]
	}
	b.buf = append(b.buf, stamp(at)...)
	if !s.Start.IsZero() {
		b.option(isbStart, stamp(s.Start))
	}
	if !s.End.IsZero() {
		b.option(isbEnd, stamp(s.End))
	}
	b.option(isbRecv, binary.LittleEndian.AppendUint64(nil, s.Received))
	b.option(isbDrop, binary.LittleEndian.AppendUint64(nil, s.Dropped))
	return w.block(b)
}

// Flush hands everything written so far to the underlying writer.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	_, w.err = w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return w.err
}

// append copies p into the buffer and flushes as it fills. It never hands p
// itself on, so that a caller's parts stay on its stack.
func (w *Writer) append(p []byte) {
	for len(p) > 0 && w.err == nil {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p)
		w.buf = w.buf[:len(w.buf)+n]
		p = p[n:]
		if len(p) > 0 {
			_ = w.Flush() // sticky in w.err
		}
	}
}

func (w *Writer) block(b *block) error {
	if w.err != nil {
		return w.err
	}
	if b.err != nil {
		return b.err
	}
	w.append(b.finish())
	return w.err
}

// block assembles a rare block; packets do not go this way.
type block struct {
	buf     []byte
	options bool
	err     error
}

func newBlock(kind uint32) *block {
	b := &block{}
	b.u32(kind)
	b.u32(0)
	return b
}

func (b *block) u16(v uint16) { b.buf = binary.LittleEndian.AppendUint16(b.buf, v) }
func (b *block) u32(v uint32) { b.buf = binary.LittleEndian.AppendUint32(b.buf, v) }
func (b *block) u64(v uint64) { b.buf = binary.LittleEndian.AppendUint64(b.buf, v) }

func (b *block) text(code uint16, s string) {
	if s != "" {
		b.option(code, []byte(s))
	}
}

func (b *block) option(code uint16, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > 1<<16-1 {
		b.err = errors.New("option longer than 65535 bytes")
		return
	}
	b.options = true
	b.u16(code)
	b.u16(uint16(n))
	for _, p := range parts {
		b.buf = append(b.buf, p...)
	}
	b.buf = append(b.buf, zeros[:-n&3]...)
}

func (b *block) finish() []byte {
	if b.options {
		b.u32(optEnd)
	}
	total := uint32(len(b.buf) + 4)
	b.u32(total)
	binary.LittleEndian.PutUint32(b.buf[4:], total)
	return b.buf
}
