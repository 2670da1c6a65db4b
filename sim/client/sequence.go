package client

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SequenceNumbers says where those of the client's connections begin.
type SequenceNumbers string

// The ways. The zero value means random.
const (
	RandomSequence SequenceNumbers = "random" // as the kernel chooses (RFC 6528)
	// WrapSequence has them pass 2³² among the first bytes of every connection: by chance
	// it is one connection in a million.
	WrapSequence SequenceNumbers = "wrap"
)

// wrapWithin is the number of bytes among which they pass 2³², as a power of two: those of
// a TLS handshake and a small request.
const wrapWithin = 11

// wrapping is the sequence number of a connection's SYN, by its first request; evenly
// spread, by multiplicative hashing.
func wrapping(ordinal int) uint32 {
	const golden = 2654435769 // 2³² over the golden ratio
	return -(1 + (uint32(ordinal)*golden)>>(32-wrapWithin))
}

// number sets the sequence number of a socket's SYN, if the kernel is not to choose it; the
// socket is bound, and not connected. That is TCP_REPAIR of tcp(7), and wants CAP_NET_ADMIN
// in the lab's own user namespace: a number that a closed socket has been given is the
// one that it begins with (net/ipv4/tcp_ipv4.c, tcp_v4_connect).
func (b *Batch) number(fd, ordinal int) error {
	if b.SequenceNumbers != WrapSequence {
		return nil
	}
	const sendQueue = 2 // TCP_SEND_QUEUE of linux/tcp.h
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_REPAIR, 1},
		{unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, sendQueue},
		{unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ, int(wrapping(ordinal))},
		{unix.IPPROTO_TCP, unix.TCP_REPAIR, 0},
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, // which repairing takes away
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set the first sequence number: %w", err)
		}
	}
	return nil
}
