package client

import (
	"net"
	"net/http"
	"testing"

	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// expects returns the sequence number that a connection's receiver waits for next, which
// the kernel tells who repairs it (tcp(7), TCP_REPAIR).
func expects(t *testing.T, c *net.TCPConn) uint32 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return 0
	}
	var next int
	err = raw.Control(func(fd uintptr) {
		const receiveQueue, offWithoutProbe = 1, -1 // TCP_RECV_QUEUE, TCP_REPAIR_OFF_NO_WP
		for _, o := range [][2]int{{unix.TCP_REPAIR, 1}, {unix.TCP_REPAIR_QUEUE, receiveQueue}} {
			if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, o[0], o[1]); err != nil {
				t.Error(err)
			}
		}
		if next, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ); err != nil {
			t.Error(err)
		}
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, offWithoutProbe); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	return uint32(next)
}

// answered sends a batch of which every request is to be answered.
func answered(t *testing.T, host *topology.Host, b Batch) {
	t.Helper()
	records, err := Run(t.Context(), host, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Outcome != OK {
			t.Errorf("%+v", r)
		}
	}
}

func TestSequenceNumbersThatWrapDoSoAmongTheFirstBytesOfEachConnection(t *testing.T) {
	const most = 1 << wrapWithin
	check := func(t *testing.T, next uint32) {
		if begins := next - wrapping(0) - 1; begins > 2*most {
			t.Errorf("the receiver waits for %d; the first number was to be %d", next, wrapping(0))
		}
	}
	t.Run("in the clear", func(t *testing.T) {
		host, b := build(t, func(_ int, c *net.TCPConn) { check(t, expects(t, c)); ask(c); okay(c) })
		b.SequenceNumbers = WrapSequence
		answered(t, host, b)
	})
	t.Run("over TLS", func(t *testing.T) {
		host, b := buildTLS(t, nil, func(_ int, c *net.TCPConn) bool { check(t, expects(t, c)); return false },
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
		b.SequenceNumbers, b.Protocol = WrapSequence, HTTPS
		answered(t, host, b)
	})
	seen := map[bool]int{}
	for ordinal := range 1000 {
		n := -wrapping(ordinal)
		if n < 1 || n > most {
			t.Fatalf("request %d begins %d before 2³²", ordinal, n)
		}
		seen[n > most/2]++
	}
	if seen[true] < 400 || seen[false] < 400 {
		t.Errorf("they are not spread evenly: %v", seen)
	}
}
