package fault

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// A queue that really overflows drops what [AfterSYN] stands for: the listener has
// answered a SYN, its queue fills up, and then the ACK comes, with data. It may as well
// never have come, until somebody accepts.
func TestAFullListenQueueDropsTheACKAndTheDataAsTheFaultDoes(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			lab := labtest.Build(t, family)
			a := topology.StandardAddresses(family)
			listener := listenForOne(t, lab.Host(topology.Server1), a.Server1)
			late, first := netip.AddrPortFrom(a.SNAT, 30000), netip.AddrPortFrom(a.SNAT, 30001)

			f := valid()
			f.Match, f.Probability = ACK, 1
			delay := inject(t, lab, f, 5, 7)
			delay.Arm(0, 0, late, a.Server1)
			fd := connect(t, lab, late, a.Server1) // the server waits for its ACK
			connect(t, lab, first, a.Server1)      // has the one place there is
			labtest.Await(t, "the queue is full", func() bool { return queued(t, listener) == 1 })

			before := overflows(t, lab)
			if _, err := unix.Write(fd, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			labtest.Await(t, "data come again and are dropped again", func() bool { return overflows(t, lab) >= before+2 })
			if info := tcpInfo(t, fd); info.Unacked == 0 || info.Bytes_acked > 1 {
				t.Errorf("of the data %d segments are not acknowledged, and %d bytes are", info.Unacked, info.Bytes_acked)
			}

			accepted, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(accepted) })
			labtest.Await(t, "data are taken, now that there is room", func() bool { return tcpInfo(t, fd).Unacked == 0 })
		})
	}
}

// listenForOne listens with room for one connection that is not accepted: a backlog of
// zero has one (include/net/sock.h, sk_acceptq_is_full).
func listenForOne(t *testing.T, host *topology.Host, at netip.AddrPort) (fd int) {
	t.Helper()
	err := host.Run(func() (err error) {
		if fd, err = eventloop.TCP(at); err != nil {
			return err
		}
		return unix.Listen(fd, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// connect opens a connection from the f5.
func connect(t *testing.T, lab *topology.Lab, from, to netip.AddrPort) (fd int) {
	t.Helper()
	err := lab.Host(topology.F5).Run(func() (err error) {
		if fd, err = eventloop.TCP(from); err != nil {
			return err
		}
		if err := unix.Connect(fd, eventloop.Sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	const established = 1
	labtest.Await(t, "there is a connection", func() bool { return tcpInfo(t, fd).State == established })
	return fd
}

func tcpInfo(t *testing.T, fd int) *unix.TCPInfo {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// queued is how many connections wait to be accepted: of a listener TCP_INFO has them as
// what is not acknowledged (net/ipv4/tcp.c, tcp_get_info).
func queued(t *testing.T, listener int) uint32 {
	return tcpInfo(t, listener).Unacked
}

// overflows is the kernel's own count, TcpExtListenOverflows.
func overflows(t *testing.T, lab *topology.Lab) (n uint64) {
	t.Helper()
	var text []byte
	err := lab.Host(topology.Server1).Run(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/netstat")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i, name := range names {
		if name == "ListenOverflows" {
			if n, err = strconv.ParseUint(values[i], 10, 64); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the kernel does not count overflows")
	return 0
}
