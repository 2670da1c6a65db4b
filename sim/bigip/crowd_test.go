package bigip

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// idleConnections is how many clients that say nothing are tried, where the limit of
// open files lets both ends of each be in this process.
const idleConnections = 10_000

func TestThousandsOfIdleConnectionsCostLittleAndLeaveNothing(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(idleConnections, int(limit.Cur-500)/2)
	for _, row := range []struct {
		name     string
		n        int
		profiles []Profile
		each     uint64 // bytes of memory that one may cost
	}{
		{"plain", n, nil, 2 << 10},
		// TLS keeps a goroutine, its buffers and two more descriptors for each.
		{"before their TLS handshake", n / 2, []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL}, 24 << 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.startWith(Config{VirtualServer: VirtualServer{Profiles: row.profiles}, Clientside: TCPProfile{IdleTimeout: time.Minute},
				ClientSSL: slowly(row.profiles)})
			before, goroutines, memory := labtest.Descriptors(t), runtime.NumGoroutine(), inUse()
			fds := b.connectIdle(row.n)
			live, p := make(chan int, 1), b.proxy
			labtest.Await(t, "all are accepted", func() bool {
				p.loop.Post(func() { live <- len(p.live) })
				return receive(t, live, "the loop does not turn") == row.n
			})
			if each := (inUse() - memory) / uint64(row.n); each > row.each {
				t.Errorf("each of %d costs %d bytes, at most %d are allowed", row.n, each, row.each)
			}
			for _, fd := range fds {
				unix.Close(fd)
			}
			b.awaitNobody()
			labtest.Await(t, "descriptors and goroutines are back", func() bool {
				return labtest.Descriptors(t) <= before && runtime.NumGoroutine() <= goroutines
			})
		})
	}
}

// slowly gives a handshake as long as the test takes.
func slowly(p []Profile) ClientSSL {
	if p == nil {
		return ClientSSL{}
	}
	return ClientSSL{HandshakeTimeout: time.Minute}
}

// inUse is the memory that is reachable.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// connectIdle opens connections from the client that cost no more than a descriptor.
func (b *bench) connectIdle(n int) (fds []int) {
	b.t.Helper()
	a := b.a.VIP.Addr().As4()
	err := b.Host(topology.Client).Run(func() error {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				fds = append(fds, fd)
				err = unix.Connect(fd, &unix.SockaddrInet4{Addr: a, Port: int(b.a.VIP.Port())})
			}
			if err != nil {
				return fmt.Errorf("connection %d: %w", len(fds), err)
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return fds
}

// listenTo listens for a second at most: a connection may be kept alive.
func listenTo(c *net.TCPConn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c)
}

// TestACrowdOfBadClientsLeavesNothing has every kind of bad client at once, and members
// that die, behind a relay and behind TLS.
func TestACrowdOfBadClientsLeavesNothing(t *testing.T) {
	half := "POST /batch HTTP/1.1\r\nHost: vs\r\nContent-Le"
	kinds := map[string]func(c *net.TCPConn){
		"a request and its answer":  func(c *net.TCPConn) { io.WriteString(c, request(1, 0)); listenTo(c) },
		"no HTTP":                   func(c *net.TCPConn) { io.WriteString(c, "\x00\x01\x02 garbage\r\n\r\n"); listenTo(c) },
		"half a header, then a FIN": func(c *net.TCPConn) { io.WriteString(c, half); c.CloseWrite(); listenTo(c) },
		"half a header, then a RST": func(c *net.TCPConn) { io.WriteString(c, half); c.SetLinger(0) },
		"nothing, then a RST":       func(c *net.TCPConn) { c.SetLinger(0) },
		"a request, then a RST":     func(c *net.TCPConn) { io.WriteString(c, request(1, 0)); c.SetLinger(0) },
		"a request whose body never ends": func(c *net.TCPConn) {
			io.WriteString(c, request(1, 1<<20)+"some")
			c.CloseWrite()
			listenTo(c)
		},
		"two requests at once": func(c *net.TCPConn) { io.WriteString(c, request(1, 0)+request(2, 0)); listenTo(c) },
		"a header byte by byte": func(c *net.TCPConn) {
			for _, x := range []byte(request(1, 0)) {
				if _, err := c.Write([]byte{x}); err != nil {
					return
				}
			}
			listenTo(c)
		},
		"a header that is too large": func(c *net.TCPConn) { c.Write(make([]byte, 100_000)); listenTo(c) },
		"a TLS ClientHello cut short": func(c *net.TCPConn) {
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00")
			c.CloseWrite()
			listenTo(c)
		},
	}
	for _, row := range []struct {
		name     string
		profiles []Profile
	}{
		{"relayed", nil},
		{"looked into", []Profile{ProfileTCP, ProfileHTTP, ProfileOneConnect}},
		{"behind TLS", []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL, ProfileHTTP2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			n := 0
			var mu sync.Mutex
			b.member(func(c *net.TCPConn) {
				take(c)
				mu.Lock()
				n++
				kind := n % 4
				mu.Unlock()
				switch kind {
				case 0: // dies in the middle of its response
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
					c.SetLinger(0)
				case 1: // says no HTTP
					io.WriteString(c, "what?\r\n")
				default:
					respond(c, 1000)
				}
			})
			b.startWith(Config{VirtualServer: VirtualServer{Profiles: row.profiles}, Serverside: Fast})
			stop := b.capture()
			before, goroutines := labtest.Descriptors(t), runtime.NumGoroutine()
			var crowd sync.WaitGroup
			for _, bad := range kinds {
				for range 10 {
					crowd.Go(func() {
						c, err := b.Host(topology.Client).Dial(t.Context(), "tcp", b.a.VIP.String())
						if err != nil {
							t.Error(err)
							return
						}
						defer c.Close()
						_ = c.SetDeadline(time.Now().Add(patience))
						bad(c.(*net.TCPConn))
					})
				}
			}
			crowd.Wait()
			// OneConnect keeps what members' connections there are.
			if p := b.proxy; p.layer7 != nil {
				p.layer7.transport.CloseIdleConnections()
			}
			labtest.Await(t, "descriptors and goroutines are back", func() bool {
				return labtest.Descriptors(t) <= before && runtime.NumGoroutine() <= goroutines
			})
			b.awaitNobody()
			for _, f := range b.close() {
				if f.Closed.IsZero() || f.Opened.After(f.Closed) {
					t.Errorf("a flow is not accounted for: %+v", f)
				}
			}
			stop()
		})
	}
}
