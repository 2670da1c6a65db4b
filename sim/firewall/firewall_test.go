package firewall

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 20 * time.Second

// bench is a lab with a firewall, and a server behind it that repeats what it is told.
type bench struct {
	*testing.T
	lab      *topology.Lab
	a        topology.Addresses
	firewall *Firewall
}

func newBench(t *testing.T, family topology.Family, c Config) *bench {
	t.Helper()
	b := &bench{T: t, lab: labtest.Build(t, family), a: topology.StandardAddresses(family)}
	var err error
	if b.firewall, err = Start(b.lab, c, []netip.Addr{b.a.Server1.Addr(), b.a.Server2.Addr()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.firewall.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := b.lab.Host(topology.Server1).Listen(t.Context(), "tcp", b.a.Server1.String())
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() {
		l.Close()
		stop()
		served.Wait()
	})
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { repeat(ctx, c) })
		}
	})
	return b
}

// farewell is what the server closes upon: it is the first to do so, and its TIME_WAIT
// lets the other end use its port again at once.
const farewell = 'q'

// repeat says each byte again until there is a farewell, or nobody left.
func repeat(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for one := []byte{0}; ; {
		if _, err := c.Read(one); err != nil {
			return
		}
		if _, err := c.Write(one); err != nil || one[0] == farewell {
			return
		}
	}
}

// answered is enough for any answer between namespaces, and too short for the kernel to repeat a SYN.
const answered = 500 * time.Millisecond

// connect opens a connection from one of the f5's ports to the server.
func (b *bench) connect(port uint16) (c net.Conn, err error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.a.SNAT, port)), Timeout: answered,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); failed != nil {
				return failed
			}
			return err
		}}
	if failed := b.lab.Host(topology.F5).Run(func() error {
		c, err = d.DialContext(b.Context(), "tcp", b.a.Server1.String())
		return nil
	}); failed != nil {
		b.Fatal(failed)
	}
	if late, ok := err.(net.Error); err != nil && !(ok && late.Timeout()) {
		b.Fatal(err) // anything but silence
	}
	return c, err
}

// open is connect that has to succeed.
func (b *bench) open(port uint16) net.Conn {
	b.Helper()
	c, err := b.connect(port)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// finish has the server close a connection, and closes it.
func (b *bench) finish(c net.Conn) {
	b.Helper()
	if err := b.say(c, farewell); err != nil {
		b.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		b.Fatalf("the server goes on: %v", err)
	}
	c.Close()
}

// say has the server repeat a byte.
func (b *bench) say(c net.Conn, what byte) error {
	b.Helper()
	if err := c.SetDeadline(time.Now().Add(answered)); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Write([]byte{what}); err != nil {
		b.Fatal(err)
	}
	_, err := c.Read([]byte{0})
	return err
}

// dropped counts what the firewall has dropped, by reason. Its ledger must have it all.
func (b *bench) dropped() map[Reason]int {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	reports, err := b.firewall.Report(ctx)
	if err != nil {
		b.Fatal(err)
	}
	n := map[Reason]int{}
	for _, r := range reports {
		if uint64(len(r.Entries)) != r.Counter {
			b.Errorf("%s: the ledger holds %d packets, the kernel counted %d", r.Fault.Name, len(r.Entries), r.Counter)
		}
		for _, e := range r.Entries {
			from, to := e.Ends()
			if from.Addr() != b.a.SNAT || to != b.a.Server1 || e.At != topology.Firewall || e.Fault != r.Fault.Name {
				b.Errorf("the entry is %+v", e)
			}
		}
		if r.Counter > 0 {
			n[Reason(r.Fault.Name)] = int(r.Counter)
		}
	}
	return n
}

func each(t *testing.T, c Config, test func(b *bench)) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) { test(newBench(t, family, c)) })
	}
}

func TestASYNOfAHeldSessionIsDroppedUntilItsTimeIsUp(t *testing.T) {
	t.Parallel()
	const held = 1200 * time.Millisecond
	each(t, Config{TimeWait: held, TupleReuse: Drop}, func(b *bench) {
		b.finish(b.open(40000))
		closed := time.Now()
		b.finish(b.open(40001)) // another tuple is no matter
		tries := 0
		for c, err := b.connect(40000); ; c, err = b.connect(40000) {
			if err == nil {
				c.Close()
				break
			}
			tries++
		}
		if took := time.Since(closed); tries == 0 || took < held-100*time.Millisecond {
			b.Errorf("the tuple was taken again after %v and %d tries", took, tries)
		}
		if got := b.dropped(); len(got) != 1 || got[HeldSession] != tries {
			b.Errorf("dropped were %v, tries without an answer %d", got, tries)
		}
	})
}

func TestASYNOfAHeldSessionBeginsTheNextWhereThatIsAccepted(t *testing.T) {
	each(t, Config{TimeWait: time.Minute, TupleReuse: Accept}, func(b *bench) {
		for range 3 {
			b.finish(b.open(40000))
		}
		if got := b.dropped(); len(got) != 0 {
			b.Errorf("dropped were %v", got)
		}
	})
}

func TestATableThatIsFullTakesNoSYNUntilASessionExpires(t *testing.T) {
	t.Parallel()
	each(t, Config{MaxSessions: 2, TimeWait: 200 * time.Millisecond}, func(b *bench) {
		first, second := b.open(40000), b.open(40001)
		if _, err := b.connect(40002); err == nil {
			b.Error("a table of two holds three sessions")
		}
		if err := b.say(second, 'x'); err != nil {
			b.Errorf("a session that has a place is not served: %v", err)
		}
		b.finish(first)
		tries := 1
		for c, err := b.connect(40002); ; c, err = b.connect(40002) {
			if err == nil {
				c.Close()
				break
			}
			tries++
		}
		if got := b.dropped(); len(got) != 1 || got[TableFull] != tries {
			b.Errorf("dropped were %v, tries without an answer %d", got, tries)
		}
	})
}

func TestSYNsAboveTheRateAreDropped(t *testing.T) {
	each(t, Config{SYNRate: 1, SYNBurst: 3}, func(b *bench) {
		unanswered := 0
		start := time.Now()
		for port := range uint16(6) {
			if c, err := b.connect(40000 + port); err != nil {
				unanswered++
			} else {
				c.Close()
			}
		}
		// The burst, and one more for each second that has begun.
		most := 6 - 3
		least := most - int(time.Since(start)/time.Second) - 1
		if got := b.dropped(); unanswered < least || unanswered > most || got[SYNRate] != unanswered {
			b.Errorf("dropped were %v, of six SYNs %d had no answer", got, unanswered)
		}
	})
}

func TestASessionIsForgottenWhenNothingPasses(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	each(t, Config{TimeoutTCP: timeout}, func(b *bench) {
		c := b.open(40000)
		for range 5 { // longer than the timeout in all, and never idle for as long
			if err := b.say(c, 'x'); err != nil {
				b.Fatal(err)
			}
			time.Sleep(timeout / 4)
		}
		if got := b.dropped(); len(got) != 0 {
			b.Fatalf("dropped were %v", got)
		}
		time.Sleep(2 * timeout)
		if err := b.say(c, 'x'); err == nil {
			b.Error("a session that was idle for too long is served")
		}
		if got := b.dropped(); got[NoSession] == 0 || got[HeldSession]+got[TableFull]+got[SYNRate] != 0 {
			b.Errorf("dropped were %v", got)
		}
	})
}

func TestWhatAServerSendsIntoAForgottenSessionIsDroppedToo(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	each(t, Config{TimeoutTCP: timeout}, func(b *bench) {
		l, err := b.lab.Host(topology.Server2).Listen(b.Context(), "tcp", b.a.Server2.String())
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		b.a.Server1 = b.a.Server2
		c := b.open(40000)
		server, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer server.Close()
		time.Sleep(2 * timeout)
		if _, err := server.Write([]byte("late")); err != nil {
			b.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(answered)); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			b.Errorf("the answer arrives: %v", err)
		}
		if got := b.dropped(); len(got) != 1 || got[NoSessionAnswers] == 0 {
			b.Errorf("dropped were %v", got)
		}
	})
}

func TestEachReasonIsDescribedAsWhatItTakes(t *testing.T) {
	for _, f := range (Config{SYNRate: 1}).Faults() {
		if f.Acts() || f.At != topology.Firewall || f.Way() == "" || f.Per != fault.PerPacket {
			t.Errorf("%+v", f)
		}
	}
}
