package bigip

import (
	"encoding/binary"
	"net/netip"

	"github.com/hopblame/hopblame/internal/inetsum"
)

// hardware is a MAC address.
type hardware [6]byte

// datagram is a TCP segment in an Ethernet frame, to be read and translated in place.
type datagram struct {
	segment
	ack   uint32
	frame []byte // to the end of the IP packet, without padding
	tcp   []byte // the part of it that is the TCP segment
}

// parseDatagram reads a frame; false for what is no whole TCP segment.
func parseDatagram(frame []byte) (d datagram, ok bool) {
	if d.segment, ok = parseSegment(frame); !ok || d.payload < 0 {
		return d, false
	}
	ip := frame[etherSize:]
	head, total := 40, 0
	if d.src.Addr().Is4() {
		head, total = int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		const fragment = 0x3fff // more fragments, offset
		if binary.BigEndian.Uint16(ip[6:])&fragment != 0 {
			return d, false
		}
	} else {
		total = 40 + int(binary.BigEndian.Uint16(ip[4:]))
	}
	d.frame, d.tcp = frame[:etherSize+total], ip[head:total]
	d.ack = binary.BigEndian.Uint32(d.tcp[8:])
	return d, true
}

// opens says whether a segment is the first of a connection, or that one again.
func (d *datagram) opens() bool {
	return d.flags&(flagSYN|flagACK|flagRST|flagFIN) == flagSYN
}

// end is the sequence number behind a segment: SYN and FIN count as well.
func (d *datagram) end() uint32 {
	n := d.seq + uint32(d.payload)
	if d.flags&flagSYN != 0 {
		n++
	}
	if d.flags&flagFIN != 0 {
		n++
	}
	return n
}

// sender is the MAC address that the frame came from.
func (d *datagram) sender() hardware { return hardware(d.frame[6:12]) }

// translate gives a segment other addresses and ports. Its checksums are as right, or as
// wrong, as before.
func (d *datagram) translate(src, dst netip.AddrPort) {
	ip := d.frame[etherSize:]
	var addresses, ports change
	if src.Addr().Is4() {
		s, t := src.Addr().As4(), dst.Addr().As4()
		addresses.put(ip[12:16], s[:])
		addresses.put(ip[16:20], t[:])
		addresses.fix(ip[10:12])
	} else {
		s, t := src.Addr().As16(), dst.Addr().As16()
		addresses.put(ip[8:24], s[:])
		addresses.put(ip[24:40], t[:])
	}
	ports.putWord(d.tcp[0:2], src.Port())
	ports.putWord(d.tcp[2:4], dst.Port())
	(addresses + ports).fix(d.tcp[16:18]) // the pseudo header has the addresses
}

// hop takes one from the TTL, or hop limit; false if there is nothing left of it.
func (d *datagram) hop() bool {
	ip := d.frame[etherSize:]
	if d.src.Addr().Is6() {
		if ip[7] > 1 {
			ip[7]--
			return true
		}
		return false
	}
	if ip[8] <= 1 {
		return false
	}
	var c change
	c.putWord(ip[8:10], binary.BigEndian.Uint16(ip[8:10])-1<<8)
	c.fix(ip[10:12])
	return true
}

// change is what becomes of a checksum when what it covers changes: the sum of
// ~m + m' over all words (RFC 1624 §3, equation 3).
type change uint32

// put overwrites a field, whose length is even.
func (c *change) put(field, with []byte) {
	for i := 0; i < len(field); i += 2 {
		c.putWord(field[i:], binary.BigEndian.Uint16(with[i:]))
	}
}

func (c *change) putWord(field []byte, with uint16) {
	*c += change(^binary.BigEndian.Uint16(field)) + change(with)
	binary.BigEndian.PutUint16(field, with)
}

// fix applies the change to a checksum.
func (c change) fix(checksum []byte) {
	sum := inetsum.Fold(uint32(^binary.BigEndian.Uint16(checksum)) + uint32(c))
	binary.BigEndian.PutUint16(checksum, ^sum)
}
