package topology_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

func TestEveryServerIsReachedThroughTheFirewallAtTheFirstTry(t *testing.T) {
	for _, f := range []topology.Family{topology.IPv4, topology.IPv6} {
		for _, middle := range [][]string{nil, {"link:f5-firewall", "link:firewall-switch"}} {
			t.Run(string(f)+" "+strings.Join(middle, " "), func(t *testing.T) {
				lab := labtest.Build(t, f, middle...)
				a := topology.StandardAddresses(f)
				for _, server := range []struct {
					node string
					at   string
				}{{topology.Server1, a.Server1.String()}, {topology.Server2, a.Server2.String()}} {
					l, err := lab.Host(server.node).Listen(t.Context(), "tcp", server.at)
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					answered := make(chan error, 1)
					go func() {
						c, err := l.Accept()
						if err == nil {
							_, err = io.WriteString(c, server.node)
							c.Close()
						}
						answered <- err
					}()
					got := exchange(t, lab.Host(topology.F5), server.at)
					if got != server.node {
						t.Errorf("%s answered %q", server.at, got)
					}
					if err := <-answered; err != nil {
						t.Error(err)
					}
				}
				counters, err := lab.Host(topology.F5).Netstat()
				if n, told := counters["TcpExt.TCPSynRetrans"]; err != nil || !told || n > 0 {
					t.Errorf("%d SYNs were repeated: a first one was lost; told: %v, %v", n, told, err)
				}
			})
		}
	}
}

// exchange dials from inside a host and reads until the end.
func exchange(t *testing.T, h *topology.Host, address string) string {
	t.Helper()
	c, err := h.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFramesCarryNoMoreThanTheMSSBecauseOffloadsAreOff(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	out, err := lab.Host(topology.F5).Setting("net.ipv4.tcp_congestion_control")
	if err != nil || out != "reno" {
		t.Errorf("congestion control %q, %v; want reno", out, err)
	}
	if got := lab.Settings()[topology.Firewall]["net.ipv4.ip_forward"]; got != "1" {
		t.Errorf("the firewall's forwarding is recorded as %q", got)
	}
}

func TestLabsInParallelNeverMeet(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			lab := labtest.Build(t, topology.IPv4)
			l, err := lab.Host(topology.Server1).Listen(context.Background(), "tcp", "198.18.160.81:8000")
			if err != nil {
				t.Error(err) // the address is in use only if two labs met
				return
			}
			l.Close()
		})
	}
	wg.Wait()
}

func TestAClosedLabLeavesNoThreadAndNoDescriptor(t *testing.T) {
	if err := labtest.Build(t, topology.IPv4).Close(); err != nil { // whatever the first one sets up for good
		t.Fatal(err)
	}
	before := labtest.Descriptors(t)
	for range 3 {
		spec, _ := topology.Standard(topology.IPv4)
		lab, err := topology.Build(t.Context(), spec)
		var unsupported *topology.UnsupportedError
		if errors.As(err, &unsupported) {
			t.Skip(unsupported)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lab.Close(), lab.Close()); err != nil {
			t.Error("closing twice:", err)
		}
		if err := lab.Host(topology.Client).Run(func() error { return nil }); !errors.Is(err, topology.ErrClosed) {
			t.Errorf("a call after Close gives %v, want ErrClosed", err)
		}
	}
	if after := labtest.Descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if strays := strayThreads(t); len(strays) > 0 {
		t.Errorf("threads left in a lab's namespace: %v", strays)
	}
}

// strayThreads lists threads outside the process's own network namespace, after
// giving the ones that are ending a moment to do so.
func strayThreads(t *testing.T) (strays []string) {
	t.Helper()
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Second); ; {
		strays = nil
		tasks, _ := filepath.Glob("/proc/self/task/*/ns/net")
		for _, task := range tasks {
			if at, err := os.Readlink(task); err == nil && at != home {
				strays = append(strays, task)
			}
		}
		if len(strays) == 0 || time.Now().After(deadline) {
			return strays
		}
		runtime.Gosched()
	}
}

func TestSomebodyElsesProgramRunsInANodeAndEndsWithTheLab(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	out, err := lab.Host(topology.Client).Command(t.Context(), "cat", "/proc/net/dev").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("eth0")) {
		t.Fatalf("cat in the client: %v\n%s", err, out)
	}
	c := lab.Host(topology.Client).Command(context.Background(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the program ended with %v, want killed", err)
	}
	err = lab.Host(topology.Client).Command(context.Background(), "no-such-program").Run()
	if err == nil {
		t.Error("a program that is not installed was started")
	}
}

func TestSpecsThatCannotBeBuiltAreRefusedWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*topology.Spec)
		want string
	}{
		{"a link to a node there is not", func(s *topology.Spec) { s.Links[0].A.Node = "nobody" }, `link:nobody-f5: no node "nobody"`},
		{"an interface joined twice", func(s *topology.Spec) { s.Links[1].B = s.Links[2].A }, "already joined"},
		{"an interface name the kernel refuses", func(s *topology.Spec) { s.Nodes[0].Interfaces[0].Name = "a-very-long-interface" }, "1 to 15 bytes"},
		{"an address of somebody's network", func(s *topology.Spec) {
			s.Nodes[0].Interfaces[0].Addresses[0] = mustPrefix("10.0.0.1/24")
		}, "outside 198.18.0.0/15"},
		{"two nodes of one name", func(s *topology.Spec) { s.Nodes[1].Name = "client" }, "named twice"},
		{"an intercept on an interface there is not", func(s *topology.Spec) {
			s.Nodes[1].Intercepts = []topology.Intercept{{Interface: "eth9", To: mustPrefix("198.18.50.0/24")}}
		}, `node f5: intercepts 198.18.50.0/24 on "eth9"`},
		{"a kind there is not", func(s *topology.Spec) { s.Nodes[2].Kind = "hub" }, `unknown kind "hub"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			spec, err := topology.Standard(topology.IPv4)
			if err != nil {
				t.Fatal(err)
			}
			row.edit(&spec)
			_, err = topology.Build(t.Context(), spec)
			var se *topology.SpecError
			if !errors.As(err, &se) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want a SpecError with %q", err, row.want)
			}
		})
	}
	if _, err := topology.Standard("ipx"); err == nil {
		t.Error("family ipx was accepted")
	}
}

func TestThePathNamesEveryNodeAndLinkInOrder(t *testing.T) {
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(spec.Path("f5", "server2"), " ")
	want := "f5 link:f5-firewall firewall link:firewall-switch switch link:switch-server2 server2"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if spec.Path("f5", "nowhere") != nil {
		t.Error("found a way to a node there is not")
	}
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// Where they had the same, the kernel would take up to a second to say that the link is up.
func TestTheEndsOfALinkHaveDifferentNumbers(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4, "link:f5-firewall")
	number := func(h *topology.Host, name string) (index int) {
		if err := h.Run(func() error {
			i, err := net.InterfaceByName(name)
			if err == nil {
				index = i.Index
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return index
	}
	spec := lab.Spec()
	for _, link := range spec.Links {
		a, b := number(lab.Host(link.A.Node), link.A.Interface), number(lab.Host(link.B.Node), link.B.Interface)
		if m := lab.Middle(link.Name()); m != nil {
			near, far := number(m, topology.MiddleNear), number(m, topology.MiddleFar)
			if a == near || b == far {
				t.Errorf("%s: %d to %d, %d to %d", link.Name(), a, near, far, b)
			}
		} else if a == b {
			t.Errorf("%s: both ends have the number %d", link.Name(), a)
		}
	}
}
