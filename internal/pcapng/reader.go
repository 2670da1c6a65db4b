package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Packet is one frame. Data aliases the reader's buffer and is valid until
// the next call of [Reader.Next].
type Packet struct {
	Number     uint64 // Wireshark's frame.number: all interfaces and sections, from 1
	Interface  int    // index into Reader.Interfaces
	Time       int64  // nanoseconds since the epoch; 0 in a simple packet block, which has none
	Data       []byte // captured bytes
	WireLength int    // bytes on the wire, at least len(Data) in a sane file
}

// InterfaceInfo is an interface as a capture file describes it.
type InterfaceInfo struct {
	Interface
	Section       int // counted from 0
	HasStatistics bool
	Statistics    Statistics // the last one in the file so far
	// DropCount is the sum of what the packets themselves say was lost before
	// each of them (epb_dropcount, and the drop count of the obsolete packet block).
	DropCount uint64
	clock     clock
}

// Lost returns how many packets the capture says it lost on the interface. The
// statistics and the packets' own counts tell of the same losses, and either
// may be incomplete: the larger one counts.
func (i *InterfaceInfo) Lost() uint64 { return max(i.Statistics.Dropped, i.DropCount) }

// ErrFormat says that a file is no capture at all. The error that wraps it
// tells what the file starts with.
var ErrFormat = errors.New("not a capture file")

// SourceDamage is an error by which a source says that it cannot deliver the
// rest of the file because the file is damaged, as a decompressor does. A Reader
// makes a *[TruncatedError] of it, once it has handed out all frames before.
type SourceDamage struct{ Why string }

// Error implements error.
func (e *SourceDamage) Error() string { return e.Why }

// TruncatedError says that a capture is damaged from some byte on, as when it
// was cut off while still being written. All frames before were delivered.
type TruncatedError struct {
	Frame  uint64 // last whole frame
	Offset int64  // where the damage begins
	Why    string
}

// Error implements error.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("damaged after frame %d at byte %d: %s", e.Frame, e.Offset, e.Why)
}

// Reader reads a capture from a stream. It is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	buf    []byte
	r, w   int   // unread bytes are buf[r:w]
	base   int64 // offset of buf[0] in the file
	srcErr error

	big        bool // byte order of the current section
	classic    *classic
	section    int
	first      int // interfaces[first:] belong to the current section
	interfaces []InterfaceInfo
	described  int // bytes of interface descriptions
	number     uint64
	err        error // sticky
}

const (
	readBuffer    = 1 << 20
	maxInterfaces = 1 << 15

	// maxDescriptions bounds what is kept of interface descriptions in one file,
	// so that a hostile one cannot have more memory than its own size.
	maxDescriptions = 8 << 20
)

// NewReader recognises the format of src. An error that is [ErrFormat] means
// that src is no capture; others come from src.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{src: src, buf: make([]byte, readBuffer), section: -1}
	if !r.need(4) {
		if err := r.sourceFailed(); err != nil {
			return nil, err
		}
		return nil, describe(r.buf[r.r:r.w])
	}
	magic := binary.LittleEndian.Uint32(r.buf[r.r:])
	if magic == blockSection {
		if !r.need(28) && r.srcErr != io.EOF {
			if err := r.sourceFailed(); err != nil {
				return nil, err
			}
		}
		if r.w-r.r < 12 || !r.sectionOrder(r.buf[r.r+8:]) {
			return nil, fmt.Errorf("%w: a pcapng section header without its byte-order magic", ErrFormat)
		}
		return r, nil
	}
	if err := r.openClassic(magic); err != nil {
		return nil, err
	}
	return r, nil
}

// Interfaces returns what is known so far of all interfaces of all sections.
// It grows, and statistics change, as the file is read.
func (r *Reader) Interfaces() []InterfaceInfo { return r.interfaces }

// Offset returns how many bytes of the file have been consumed.
func (r *Reader) Offset() int64 { return r.base + int64(r.r) }

// Frames returns the number of the last frame read.
func (r *Reader) Frames() uint64 { return r.number }

// Next returns the next frame; io.EOF at a clean end, a *[TruncatedError] at
// a damaged one.
func (r *Reader) Next() (Packet, error) {
	if r.err != nil {
		return Packet{}, r.err
	}
	if r.classic != nil {
		return r.nextClassic()
	}
	for {
		if p, ok := r.quick(); ok {
			return p, nil
		}
		if !r.need(12) {
			return Packet{}, r.ending()
		}
		head := r.buf[r.r:]
		kind, length := r.u32(head), int64(r.u32(head[4:]))
		if kind == blockSection {
			// The length of a section header is in the byte order it announces.
			if !r.sectionOrder(head[8:]) {
				return Packet{}, r.damaged("a section header without its byte-order magic")
			}
			length = int64(r.u32(head[4:]))
		}
		if length < 12 || length&3 != 0 {
			return Packet{}, r.damaged(fmt.Sprintf("a block of impossible length %d", length))
		}
		if !kept(kind) {
			if err := r.skip(length); err != nil {
				return Packet{}, err
			}
			if counted(kind) {
				r.number++
			}
			continue
		}
		if length > maxBlock {
			return Packet{}, r.damaged(fmt.Sprintf("a block of %d bytes", length))
		}
		if !r.need(int(length)) {
			return Packet{}, r.ending()
		}
		b := r.buf[r.r : r.r+int(length)]
		if int64(r.u32(b[length-4:])) != length {
			return Packet{}, r.damaged("the two lengths of a block differ")
		}
		p, isPacket, why := r.parse(kind, b[8:length-4])
		if why != "" {
			return Packet{}, r.damaged(why)
		}
		r.r += int(length)
		if isPacket {
			r.number++
			p.Number = r.number
			return p, nil
		}
	}
}

// quick reads what nearly every block is: an enhanced packet block in little-endian
// order, all of it in the buffer, sound, and without options. Anything else is left
// to the general way. It halves the time a frame costs (BenchmarkReader).
func (r *Reader) quick() (p Packet, ok bool) {
	const head, tail = 28, 4
	b := r.buf[r.r:r.w]
	if r.big || len(b) < head+tail || binary.LittleEndian.Uint32(b) != blockEnhanced {
		return p, false
	}
	length := uint(binary.LittleEndian.Uint32(b[4:]))
	captured := uint(binary.LittleEndian.Uint32(b[20:]))
	if captured > maxBlock || length != head+(captured+3)&^3+tail || length > uint(len(b)) ||
		uint(binary.LittleEndian.Uint32(b[length-tail:])) != length {
		return p, false
	}
	i := uint(r.first) + uint(binary.LittleEndian.Uint32(b[8:]))
	if i >= uint(len(r.interfaces)) {
		return p, false
	}
	r.r += int(length)
	r.number++
	ticks := uint64(binary.LittleEndian.Uint32(b[12:]))<<32 | uint64(binary.LittleEndian.Uint32(b[16:]))
	return Packet{Number: r.number, Interface: int(i), Time: r.interfaces[i].clock.ns(ticks),
		Data: b[head : head+captured : head+captured], WireLength: int(binary.LittleEndian.Uint32(b[24:]))}, true
}

// kept tells which blocks are parsed; others are skipped without buffering.
func kept(kind uint32) bool {
	switch kind {
	case blockEnhanced, blockSection, blockInterface, blockPacket, blockSimple, blockStatistics:
		return true
	}
	return false
}

// counted tells which skipped blocks nevertheless get a frame number in
// Wireshark, so that ours agree with it. Sysdig's event blocks do too, but
// only in files without packets.
func counted(kind uint32) bool {
	return kind == blockJournal || kind == blockCustom || kind == blockCustomNo
}

func (r *Reader) parse(kind uint32, b []byte) (p Packet, isPacket bool, why string) {
	switch kind {
	case blockEnhanced:
		p, why = r.enhanced(b)
		return p, true, why
	case blockPacket:
		p, why = r.obsolete(b)
		return p, true, why
	case blockSimple:
		p, why = r.simple(b)
		return p, true, why
	case blockSection:
		if len(b) < 16 {
			return p, false, "a section header too short"
		}
		r.section++
		r.first = len(r.interfaces)
	case blockInterface:
		why = r.addInterface(b)
	case blockStatistics:
		r.statistics(b)
	}
	return p, false, why
}

// enhanced reads an enhanced packet block (pcapng §4.3).
func (r *Reader) enhanced(b []byte) (Packet, string) {
	if len(b) < 20 {
		return Packet{}, "a packet block too short"
	}
	p, why := r.timed(b, r.u32(b))
	if end := 20 + (len(p.Data)+3)&^3; why == "" && len(b) > end {
		r.options(b[end:], func(code uint16, v []byte) {
			if code == epbDropCount && len(v) == 8 {
				r.interfaces[p.Interface].drop(r.u64(v))
			}
		})
	}
	return p, why
}

// obsolete reads the packet block of pcapng appendix A: a 16-bit interface
// and a drop count, else like the enhanced one.
func (r *Reader) obsolete(b []byte) (Packet, string) {
	if len(b) < 20 {
		return Packet{}, "a packet block too short"
	}
	p, why := r.timed(b, uint32(r.u16(b)))
	if n := r.u16(b[2:]); why == "" && n != 1<<16-1 { // all ones: not known
		r.interfaces[p.Interface].drop(uint64(n))
	}
	return p, why
}

// drop adds to the drop count, and stays at its end rather than wrap.
func (i *InterfaceInfo) drop(n uint64) {
	if i.DropCount += n; i.DropCount < n {
		i.DropCount = 1<<64 - 1
	}
}

// timed reads what the two have in common behind the interface.
func (r *Reader) timed(b []byte, iface uint32) (Packet, string) {
	i := r.first + int(iface)
	if i >= len(r.interfaces) {
		return Packet{}, "a packet of an interface that was never described"
	}
	n := uint(r.u32(b[12:]))
	if n > uint(len(b)-20) {
		return Packet{}, "a packet larger than its block"
	}
	ts := uint64(r.u32(b[4:]))<<32 | uint64(r.u32(b[8:]))
	return Packet{Interface: i, Time: r.interfaces[i].clock.ns(ts),
		Data: b[20 : 20+n : 20+n], WireLength: int(r.u32(b[16:]))}, ""
}

// simple reads a simple packet block (pcapng §4.4): first interface of the
// section, no time, and a captured length that follows from the snap length.
func (r *Reader) simple(b []byte) (Packet, string) {
	if len(b) < 4 {
		return Packet{}, "a packet block too short"
	}
	if r.first >= len(r.interfaces) {
		return Packet{}, "a packet of an interface that was never described"
	}
	wire := r.u32(b)
	n := uint(wire)
	if s := r.interfaces[r.first].SnapLen; s != 0 {
		n = min(n, uint(s))
	}
	n = min(n, uint(len(b)-4))
	return Packet{Interface: r.first, Data: b[4 : 4+n : 4+n], WireLength: int(wire)}, ""
}

// sectionOrder takes the byte order from a section header's magic.
func (r *Reader) sectionOrder(magic []byte) bool {
	switch binary.LittleEndian.Uint32(magic) {
	case byteOrderMagic:
		r.big = false
	case bits.ReverseBytes32(byteOrderMagic):
		r.big = true
	default:
		return false
	}
	return true
}

func (r *Reader) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if r.big {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (r *Reader) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if r.big {
		return bits.ReverseBytes16(v)
	}
	return v
}

// need makes at least n unread bytes available and tells whether it could.
// The buffer grows only as bytes really arrive, whatever n claims.
func (r *Reader) need(n int) bool {
	if r.w-r.r >= n {
		return true
	}
	return r.fill(n)
}

func (r *Reader) fill(n int) bool {
	for r.w-r.r < n && r.srcErr == nil {
		if r.r > 0 {
			copy(r.buf, r.buf[r.r:r.w])
			r.base += int64(r.r)
			r.w -= r.r
			r.r = 0
		}
		if r.w == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		for empty := 0; ; empty++ {
			k, err := r.src.Read(r.buf[r.w:])
			r.w += k
			if err != nil {
				r.srcErr = err
			} else if k == 0 && empty >= 100 {
				r.srcErr = io.ErrNoProgress
			}
			if k > 0 || r.srcErr != nil {
				break
			}
		}
	}
	return r.w-r.r >= n
}

// skip consumes n bytes of no interest, without keeping them.
func (r *Reader) skip(n int64) error {
	start := r.Offset()
	for n > 0 {
		if r.r == r.w && !r.need(1) {
			if r.srcErr != io.EOF {
				return r.ending()
			}
			r.err = &TruncatedError{Frame: r.number, Offset: start, Why: "the file ends inside a block"}
			return r.err
		}
		k := min(n, int64(r.w-r.r))
		r.r += int(k)
		n -= k
	}
	return nil
}

// sourceFailed tells why a source ended before its file could be recognised;
// nil if it simply ended. A file that is damaged so early is none.
func (r *Reader) sourceFailed() error {
	var damage *SourceDamage
	switch {
	case r.srcErr == io.EOF:
		return nil
	case errors.As(r.srcErr, &damage):
		return fmt.Errorf("%w: only %d bytes of it can be read: %s", ErrFormat, r.w-r.r, damage.Why)
	}
	return r.srcErr
}

// ending decides what it means that no more bytes came.
func (r *Reader) ending() error {
	var damage *SourceDamage
	switch {
	case errors.As(r.srcErr, &damage):
		r.err = &TruncatedError{Frame: r.number, Offset: r.base + int64(r.w), Why: damage.Why}
	case r.srcErr != io.EOF:
		r.err = fmt.Errorf("read at byte %d: %w", r.base+int64(r.w), r.srcErr)
	case r.r == r.w:
		r.err = io.EOF
	default:
		r.err = &TruncatedError{Frame: r.number, Offset: r.Offset(), Why: "the file ends inside a block"}
	}
	return r.err
}

func (r *Reader) damaged(why string) error {
	r.err = &TruncatedError{Frame: r.number, Offset: r.Offset(), Why: why}
	return r.err
}
