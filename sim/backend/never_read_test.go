package backend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// sentWindow is the window that the other end of a connection has last advertised, and how
// much of what was written it has not taken.
func sentWindow(t *testing.T, c *net.TCPConn) (window, left uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info.Snd_wnd, info.Notsent_bytes + info.Unacked
}

// await waits for what must come.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

func TestAServerThatNeverReadsShutsItsWindow(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			lab := labtest.Build(t, family)
			at := topology.StandardAddresses(family).Server2
			never := mood(fault.NeverRead)
			s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{}, never)
			if err != nil {
				t.Fatal(err)
			}
			ask := func(id string, size int) *net.TCPConn {
				c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at.String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				fmt.Fprintf(c, "POST /batch HTTP/1.1\r\nHost: vs\r\nConnection: close\r\nX-Request-ID: %s\r\nContent-Length: %d\r\n\r\n%s", id, size, strings.Repeat("x", size))
				return c.(*net.TCPConn)
			}

			hung := ask("17", 4000)
			await(t, "a window of zero", func() bool { w, left := sentWindow(t, hung); return w == 0 && left > 0 })
			e := never.Report().Entries
			if len(e) != 1 || e[0].Ordinal != 17 || e[0].Source != at || e[0].Destination.Port() != uint16(hung.LocalAddr().(*net.TCPAddr).Port) {
				t.Errorf("the ledger holds %+v", e)
			}

			for id, size := range map[string]int{"18": 200, "": 4000, "seventeen": 9000} { // too small, or somebody else's client
				c := ask(id, size)
				_ = c.SetReadDeadline(time.Now().Add(patience))
				if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), fmt.Sprintf("\"received\":%d}\n", size)) || err != nil {
					t.Errorf("request %q of %d bytes got %q, %v", id, size, got, err)
				}
			}

			if n := s.Busy(); n != 1 {
				t.Errorf("the server is busy with %d requests, want the one that it does not read", n)
			}
			_ = hung.SetLinger(0)
			hung.Close()
			await(t, "the end after a RST", func() bool { return s.Busy() == 0 })

			ask("19", 4000)
			await(t, "the next request", func() bool { return s.Busy() == 1 })
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			await(t, "the end of a closed server's connection", func() bool { return s.Busy() == 0 })
		})
	}
}
