package backend

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// mood is a fault of server2's that strikes every request with an ordinal.
func mood(do fault.Do) *fault.Mood {
	f := fault.Fault{Name: "x", At: topology.Server2, Do: do, Per: fault.PerConnection, Probability: 1}
	if do == fault.AnswerSlowly {
		f.After = slow
	}
	return fault.NewMood(f, 1)
}

const (
	slow  = 300 * time.Millisecond
	quiet = 200 * time.Millisecond // how long a silent server is listened to
)

// post sends a request with an id and returns all that comes back, how it ended and
// after what time.
func post(t *testing.T, lab *topology.Lab, to netip.AddrPort, id string) (got string, end error, from netip.AddrPort, took time.Duration) {
	t.Helper()
	c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	from = c.LocalAddr().(*net.TCPAddr).AddrPort()
	start := time.Now()
	fmt.Fprintf(c, "POST /batch HTTP/1.1\r\nHost: vs\r\nConnection: close\r\nX-Request-ID: %s\r\nContent-Length: 4\r\n\r\nbody", id)
	// A silent server is told to end it; the others end it themselves.
	_ = c.SetReadDeadline(time.Now().Add(slow + quiet))
	b, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("after it was given up came %q, %v", rest, err)
		}
	}
	return string(b), err, from, time.Since(start)
}

func TestAServerDoesWhatItsMoodSaysAndWritesItDown(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	whole := fmt.Sprintf(`{"server":"server2","received":%d}`+"\n", 4)
	half := whole[:len(whole)/2]
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		at := topology.StandardAddresses(family).Server2
		for _, row := range []struct {
			do   fault.Do
			is   func(got string, end error, took time.Duration) bool
			want string
		}{
			{fault.Reset, func(got string, end error, _ time.Duration) bool {
				return got == "" && errors.Is(end, unix.ECONNRESET)
			}, "a RST and not a word"},
			{fault.Die, func(got string, end error, _ time.Duration) bool {
				return strings.HasPrefix(got, head) && strings.HasSuffix(got, "\r\n\r\n"+half) && errors.Is(end, unix.ECONNRESET)
			}, "half of the response and a RST"},
			{fault.CutResponse, func(got string, end error, _ time.Duration) bool {
				return strings.HasPrefix(got, head) && strings.HasSuffix(got, "\r\n\r\n"+half) && end == nil
			}, "half of the response and a FIN"},
			{fault.StaySilent, func(got string, end error, took time.Duration) bool {
				return got == "" && end != nil && took >= slow+quiet
			}, "nothing until it is given up"},
			{fault.AnswerSlowly, func(got string, end error, took time.Duration) bool {
				return strings.HasPrefix(got, head) && strings.HasSuffix(got, whole) && end == nil && took >= slow
			}, "the response, late"},
			{fault.AnswerError, func(got string, end error, _ time.Duration) bool {
				return strings.HasPrefix(got, "HTTP/1.1 503 ") && end == nil
			}, "a 503"},
		} {
			t.Run(fmt.Sprintf("%s: %s is %s", family, row.do, row.want), func(t *testing.T) {
				t.Parallel()
				lab := labtest.Build(t, family)
				never, always := fault.NewMood(fault.Fault{Name: "never", Do: fault.Reset}, 1), mood(row.do)
				s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{}, never, always, mood(fault.Reset))
				if err != nil {
					t.Fatal(err)
				}
				got, end, from, took := post(t, lab, at, "17")
				if !row.is(got, end, took) {
					t.Errorf("got %q, %v after %v", got, end, took)
				}
				e := always.Report().Entries
				if len(e) != 1 || e[0].Ordinal != 17 || e[0].Source != at || e[0].Destination != from || len(never.Report().Entries) > 0 {
					t.Errorf("the ledger holds %+v", e)
				}
				for _, id := range []string{"", "seventeen", "-1"} { // somebody else's client
					if got, end, _, _ := post(t, lab, at, id); !strings.HasSuffix(got, whole) || end != nil {
						t.Errorf("request %q got %q, %v", id, got, end)
					}
				}
				for deadline := time.Now().Add(patience); s.Busy() > 0; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("the server is busy with %d requests", s.Busy())
					}
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAServerThatIsSlowByNatureTakesItsTimeForEveryRequest(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	at := topology.StandardAddresses(topology.IPv4).Server2
	s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{AnswerAfter: slow})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"17", "18"} {
		if got, end, _, took := post(t, lab, at, id); !strings.HasPrefix(got, "HTTP/1.1 200 ") || end != nil || took < slow {
			t.Errorf("request %s got %q, %v after %v", id, got, end, took)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatIsClosedGivesUpItsMoods(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	at := topology.StandardAddresses(topology.IPv4).Server2
	for _, do := range []fault.Do{fault.StaySilent, fault.AnswerSlowly} {
		f := fault.Fault{Name: "x", Do: do, After: time.Hour, Probability: 1}
		m := fault.NewMood(f, 1)
		s, err := Start(t.Context(), lab.Host(topology.Server2), at, Habits{}, m)
		if err != nil {
			t.Fatal(err)
		}
		c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: vs\r\nX-Request-ID: 1\r\n\r\n")
		for deadline := time.Now().Add(patience); len(m.Report().Entries) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the request does not arrive")
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: got %q, %v", do, got, err)
		}
		c.Close()
		for deadline := time.Now().Add(patience); s.Busy() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: a closed server is busy with %d requests", do, s.Busy())
			}
		}
	}
}
