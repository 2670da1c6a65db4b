package backend

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 20 * time.Second

func TestEveryRequestIsAnsweredWithTheServersNameAndWhatItReceived(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			lab := labtest.Build(t, family)
			at := topology.StandardAddresses(family).Server2
			s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{})
			if err != nil {
				t.Fatal(err)
			}
			var clients sync.WaitGroup
			for _, size := range []int{0, 1, 100_000, 3 << 20} {
				clients.Go(func() {
					c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at.String())
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					_ = c.SetDeadline(time.Now().Add(patience))
					fmt.Fprintf(c, "POST /batch HTTP/1.1\r\nHost: vs\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
					_, _ = c.Write(make([]byte, size))
					r, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(r.Body)
					want := fmt.Sprintf("{\"server\":\"server2\",\"received\":%d}\n", size)
					if err != nil || r.StatusCode != 200 || string(body) != want || r.ContentLength != int64(len(want)) {
						t.Errorf("got %s %q, %v; want %q", r.Status, body, err, want)
					}
					if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
						t.Errorf("after the answer comes %q, %v", rest, err)
					}
				})
			}
			clients.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// deferred is how many handshakes' last ACKs a host has let pass by because it waits for
// data, as its kernel counts them.
func deferred(t *testing.T, host *topology.Host) string {
	t.Helper()
	var b []byte
	if err := host.Run(func() (err error) { b, err = os.ReadFile("/proc/thread-self/net/netstat"); return err }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	names, counts := strings.Fields(lines[0]), strings.Fields(lines[1])
	i := slices.Index(names, "TCPDeferAcceptDrop")
	if i < 0 {
		t.Fatalf("the kernel does not count TCPDeferAcceptDrop: %s", lines[0])
	}
	return counts[i]
}

func TestAServerThatDefersTakesAConnectionWithItsFirstData(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		lab := labtest.Build(t, family)
		at := topology.StandardAddresses(family).Server2
		s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{DeferAccept: true})
		if err != nil {
			t.Fatal(err)
		}
		c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		await(t, "an ACK that is let pass by", func() bool { return deferred(t, lab.Host(topology.Server2)) == "1" })
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: vs\r\nConnection: close\r\n\r\n")
		if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 200 ") || err != nil {
			t.Errorf("%s: got %q, %v", family, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnAddressThatIsTakenOrNotTheHostsIsAnError(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	s, err := Start(t.Context(), lab.Host(topology.Server1), a.Server1, Habits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), lab.Host(topology.Server1), a.Server1, Habits{}); err == nil || !strings.Contains(err.Error(), "backend: node server1: listen on 198.18.160.81:8000") {
		t.Errorf("a port that is taken gives %v", err)
	}
	if _, err := Start(t.Context(), lab.Host(topology.Server1), a.Server2, Habits{}); err == nil {
		t.Error("an address of another host was listened on")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := Start(t.Context(), lab.Host(topology.Server1), a.Server1, Habits{})
	if err != nil {
		t.Fatal("after Close:", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsOpenConnectionsAndLeavesNothing(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	at := topology.StandardAddresses(topology.IPv4).Server1
	state := func() [2]int {
		return [2]int{labtest.Descriptors(t), runtime.NumGoroutine()}
	}
	round := func() {
		s, err := Start(t.Context(), lab.Host(topology.Server1), at, Habits{})
		if err != nil {
			t.Fatal(err)
		}
		var conns []net.Conn
		// Silent, in the middle of a header, in the middle of a body, and idle
		// after an answer.
		for _, text := range []string{"", "POST / HT", "POST / HTTP/1.1\r\nHost: vs\r\nContent-Length: 9\r\n\r\nhalf", "GET / HTTP/1.1\r\nHost: vs\r\n\r\n"} {
			c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		last := conns[len(conns)-1]
		if line, err := bufio.NewReader(last).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("got %q, %v", line, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, c := range conns {
			if got, _ := io.ReadAll(c); bytes.Contains(got, []byte(" 200 ")) {
				t.Errorf("got %q", got)
			}
			c.Close()
		}
	}
	round()
	before := state()
	round()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		after := state()
		if after[0] <= before[0] && after[1] <= before[1] {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("descriptors and goroutines before: %v, after: %v", before, after)
		}
	}
}
