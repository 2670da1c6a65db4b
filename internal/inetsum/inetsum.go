// Package inetsum computes the Internet checksum of RFC 1071, which IP, TCP, UDP and
// ICMP share.
package inetsum

import "encoding/binary"

// Add adds the 16-bit words of b to a sum; an odd byte at the end counts as the high one
// of its word. Of less than 128 KiB no carry is lost.
func Add(sum uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// Fold brings the carries of a sum back in. Over what has a right checksum among it, it
// is 0xffff; the checksum to be written is its complement.
func Fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
