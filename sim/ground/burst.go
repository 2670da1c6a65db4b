package ground

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// discardPort is where nothing listens (RFC 863).
const discardPort = 9

// burst sends numbered datagrams as fast as one processor can and sees whether the taps
// before and behind the firewall have each of them.
func burst(ctx context.Context, family topology.Family) (found string, err error) {
	lab, err := build(ctx, family, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	points := taps(lab)[:2]
	seen := make([][]bool, len(points))
	for i := range points {
		seen[i] = make([]bool, manyFrames)
		points[i].Take = func(f capture.Frame) bool {
			if n, ok := number(f.Data); ok {
				seen[i][n] = true
			}
			return false
		}
	}
	session, err := capture.Start(points, nowhere, func(error) {})
	if err != nil {
		return "", err
	}
	a := topology.StandardAddresses(family)
	begin := time.Now()
	err = lab.Host(topology.F5).Run(func() error { return send(netip.AddrPortFrom(a.Server1.Addr(), discardPort)) })
	took := time.Since(begin)
	if err == nil {
		err = lab.AwaitQuiet(ctx)
	}
	results, stopped := session.Stop()
	if err = errors.Join(err, stopped); err != nil {
		return "", err
	}
	var books account
	for i, r := range results {
		n := uint64(0)
		for _, there := range seen[i] {
			if there {
				n++
			}
		}
		books.same(manyFrames, n, "tap %s saw datagrams", r.Point.Name())
		books.same(0, r.Dropped, "tap %s lost frames", r.Point.Name())
	}
	return fmt.Sprintf("%s frames in %.2f s, %s a second: each is in both taps", digits.Group(manyFrames), took.Seconds(),
		digits.Group(int(manyFrames/took.Seconds()))), books.err()
}

// send sends the datagrams, numbered from 0.
func send(to netip.AddrPort) error {
	domain := unix.AF_INET
	if to.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	var b [payload]byte
	for n := range manyFrames {
		binary.BigEndian.PutUint32(b[:], uint32(n))
		// Not connected: answers that the port is closed are none of ours.
		if err := unix.Sendto(fd, b[:], 0, eventloop.Sockaddr(to)); err != nil {
			return fmt.Errorf("send datagram %d to %s: %w", n, to, err)
		}
	}
	return nil
}

// payload is the size of a datagram: a number, and bytes to make a frame of it.
const payload = 64

// number reads the number of a datagram, which is at the end of the frame.
func number(frame []byte) (n uint32, ok bool) {
	const udp = 8 // RFC 768
	at := len(frame) - payload
	if at < udp || binary.BigEndian.Uint16(frame[at-udp+2:]) != discardPort || binary.BigEndian.Uint16(frame[at-udp+4:]) != udp+payload {
		return 0, false
	}
	n = binary.BigEndian.Uint32(frame[at:])
	return n, n < manyFrames
}
