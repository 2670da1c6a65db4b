package pcapng

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"net"
	"net/netip"
	"strings"
	"time"
)

// clock turns an interface's timestamps into nanoseconds since the epoch
// (pcapng §4.2, if_tsresol and if_tsoffset).
type clock struct {
	mul    uint64 // ns per tick, when a tick is a whole number of them; else 0
	div    uint64 // ticks per ns, for finer decimal resolutions; else 0
	shift  uint   // binary resolution: 2^-shift s
	binary bool
	offset int64 // ns
}

// newClock interprets if_tsresol. Resolutions so fine that 64 bits hold less
// than a day (10^-20 s and below) give time 0.
func newClock(resol byte, offset int64) clock {
	c := clock{offset: saturate(offset)}
	switch n := uint(resol & 0x7f); {
	case resol&0x80 != 0:
		c.binary, c.shift = true, n
	case n <= 9:
		c.mul = pow10(9 - n)
	case n <= 28:
		c.div = pow10(n - 9)
	default:
		c.div = math.MaxUint64
	}
	return c
}

func pow10(n uint) uint64 {
	v := uint64(1)
	for ; n > 0; n-- {
		v *= 10
	}
	return v
}

func saturate(seconds int64) int64 {
	const limit = math.MaxInt64 / int64(time.Second)
	return max(-limit, min(limit, seconds)) * int64(time.Second)
}

func (c *clock) ns(ticks uint64) int64 {
	if c.mul == 1 && c.offset == 0 { // the common case: our own files
		return int64(min(ticks, math.MaxInt64))
	}
	var v uint64
	switch {
	case c.binary && c.shift < 64:
		sec, frac := ticks>>c.shift, ticks&(1<<c.shift-1)
		hi, lo := bits.Mul64(sec, uint64(time.Second))
		if hi != 0 {
			lo = math.MaxInt64
		}
		fhi, flo := bits.Mul64(frac, uint64(time.Second))
		v = min(lo, math.MaxInt64)
		if c.shift > 0 {
			v += fhi<<(64-c.shift) | flo>>c.shift
		}
	case c.binary:
		f := new(big.Int).Mul(new(big.Int).SetUint64(ticks), big.NewInt(int64(time.Second)))
		v = f.Rsh(f, c.shift).Uint64()
	case c.mul != 0:
		hi, lo := bits.Mul64(ticks, c.mul)
		if v = lo; hi != 0 {
			v = math.MaxInt64
		}
	default:
		v = ticks / c.div
	}
	sum := int64(min(v, math.MaxInt64)) + c.offset
	if c.offset > 0 && sum < 0 {
		return math.MaxInt64
	}
	return sum
}

// addInterface reads an interface description block (pcapng §4.2).
func (r *Reader) addInterface(b []byte) (why string) {
	if len(b) < 8 {
		return "an interface description too short"
	}
	if len(r.interfaces) >= maxInterfaces {
		return fmt.Sprintf("more than %d interfaces", maxInterfaces)
	}
	if r.described += len(b); r.described > maxDescriptions {
		return fmt.Sprintf("interface descriptions of more than %d MiB", maxDescriptions>>20)
	}
	info := InterfaceInfo{Section: r.section}
	info.LinkType = r.u16(b)
	info.SnapLen = r.u32(b[4:])
	resol, offset := byte(6), int64(0)
	r.options(b[8:], func(code uint16, v []byte) {
		switch code {
		case ifName:
			info.Name = text(v)
		case ifDescription:
			info.Description = text(v)
		case ifHardware:
			info.Hardware = text(v)
		case ifFilter:
			if len(v) > 1 && v[0] == 0 {
				info.Filter = text(v[1:])
			}
		case ifIPv4:
			if len(v) == 8 {
				ones := bits.LeadingZeros32(^beU32(v[4:]))
				info.Addresses = append(info.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte(v[:4])), ones))
			}
		case ifIPv6:
			if len(v) == 17 && v[16] <= 128 {
				info.Addresses = append(info.Addresses, netip.PrefixFrom(netip.AddrFrom16([16]byte(v[:16])), int(v[16])))
			}
		case ifMAC:
			if len(v) == 6 {
				info.MAC = append(net.HardwareAddr(nil), v...)
			}
		case ifTSResol:
			if len(v) >= 1 {
				resol = v[0]
			}
		case ifTSOffset:
			if len(v) == 8 {
				offset = int64(r.u64(v))
			}
		}
	})
	info.clock = newClock(resol, offset)
	r.interfaces = append(r.interfaces, info)
	return ""
}

// statistics reads an interface statistics block (pcapng §4.6). One that
// names an unknown interface is ignored: no frame depends on it.
func (r *Reader) statistics(b []byte) {
	if len(b) < 12 {
		return
	}
	id := r.first + int(r.u32(b))
	if id >= len(r.interfaces) {
		return
	}
	info := &r.interfaces[id]
	var s Statistics
	var drop, osDrop uint64
	stamp := func(v []byte) time.Time {
		return time.Unix(0, info.clock.ns(uint64(r.u32(v))<<32|uint64(r.u32(v[4:])))).UTC()
	}
	r.options(b[12:], func(code uint16, v []byte) {
		if len(v) != 8 {
			return
		}
		switch code {
		case isbStart:
			s.Start = stamp(v)
		case isbEnd:
			s.End = stamp(v)
		case isbRecv:
			s.Received = r.u64(v)
		case isbDrop:
			drop = r.u64(v)
		case isbOSDrop:
			osDrop = r.u64(v)
		}
	})
	s.Dropped = drop + osDrop
	info.HasStatistics, info.Statistics = true, s
}

// options walks an option list (pcapng §3.5) and stops at its end or at the
// first option that does not fit.
func (r *Reader) options(b []byte, f func(code uint16, v []byte)) {
	for len(b) >= 4 {
		code, n := r.u16(b), int(r.u16(b[2:]))
		padded := n + -n&3
		if code == optEnd || 4+n > len(b) {
			return
		}
		f(code, b[4:4+n])
		b = b[min(len(b), 4+padded):]
	}
}

func (r *Reader) u64(b []byte) uint64 {
	if r.big {
		return uint64(r.u32(b))<<32 | uint64(r.u32(b[4:]))
	}
	return uint64(r.u32(b)) | uint64(r.u32(b[4:]))<<32
}

func beU32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// text copies a string option; some writers end it with a NUL.
func text(v []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(v), "\x00"), "\uFFFD")
}
