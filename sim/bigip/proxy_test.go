package bigip

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
	"golang.org/x/sys/unix"
)

// answer is a member that reads the request and says so.
func answer(c *net.TCPConn) {
	r, err := http.ReadRequest(bufio.NewReaderSize(c, 2*defaultHeaderSize))
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err == nil {
		fmt.Fprint(c, "answer")
	}
}

// megabytes is a body that repeats nowhere.
func megabytes(n int, seed byte) []byte {
	b := make([]byte, n<<20)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func TestLargeBodiesPassBothWaysIntact(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			up, down := megabytes(6, 1), megabytes(6, 2)
			received := make(chan [32]byte, 1)
			b.member(func(c *net.TCPConn) {
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					t.Error(err)
					return
				}
				// Both directions at once: the answer does not wait for the question.
				sent := make(chan error, 1)
				go func() {
					_, err := c.Write(down)
					sent <- err
				}()
				body, err := io.ReadAll(r.Body)
				if err := errors.Join(err, <-sent); err != nil {
					t.Error(err)
				}
				received <- sha256.Sum256(body)
			})
			b.start(Fast)
			c := b.dial()
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(c, request(0, len(up)))
				if err == nil {
					_, err = c.Write(up)
				}
				sent <- err
			}()
			answer, err := io.ReadAll(c)
			if err := errors.Join(err, receive(t, sent, "the body was not taken")); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(answer, down) {
				t.Errorf("%d bytes came back, want the %d sent", len(answer), len(down))
			}
			if receive(t, received, "the member did not finish") != sha256.Sum256(up) {
				t.Error("the member received another body than was sent")
			}
			f := b.flow()
			if f.Reset != "" || f.Tries != 1 || f.Connected.Before(f.Opened) || f.Closed.Before(f.Connected) {
				t.Errorf("the flow is %+v", f)
			}
		})
	}
}

func TestASlowReaderHoldsTheSenderUpAndLosesNothing(t *testing.T) {
	b := build(t, topology.IPv4)
	body := megabytes(24, 3)
	stuck, resume := make(chan int, 1), make(chan struct{})
	b.member(func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			t.Error(err)
			return
		}
		// Nobody reads: all buffers on the way fill up, and then nothing moves.
		at := 0
		for {
			_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := c.Write(body[at:])
			if at += n; err != nil && n == 0 || at == len(body) {
				break
			}
		}
		stuck <- at
		<-resume
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		if _, err := c.Write(body[at:]); err != nil {
			t.Error(err)
		}
	})
	b.start(Fast)
	c := b.dial()
	b.write(c, request(0, 0))
	if at := receive(t, stuck, "the member never stopped"); at == len(body) {
		t.Errorf("all %d bytes went into a connection that nobody reads", at)
	}
	close(resume)
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes of %d arrived intact: %v; %v", len(got), len(body), bytes.Equal(got, body), err)
	}
}

func TestAClientsHalfCloseReachesTheMemberAndTheAnswerStillComesBack(t *testing.T) {
	for _, row := range []struct {
		name string
		send func(c *net.TCPConn) error
	}{
		{"with the request in one write", func(c *net.TCPConn) error {
			_, err := io.WriteString(c, request(0, 5)+"hello")
			return errors.Join(err, c.CloseWrite())
		}},
		{"after the member has the request", func(c *net.TCPConn) error {
			if _, err := io.WriteString(c, request(0, 5)+"hel"); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, make([]byte, 3)); err != nil { // the member's "go "
				return err
			}
			_, err := io.WriteString(c, "lo")
			return errors.Join(err, c.CloseWrite())
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				head, err := http.ReadRequest(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(c, "go ")
				_, _ = io.ReadAll(head.Body)
				rest, err := io.ReadAll(r) // to the FIN
				fmt.Fprintf(c, "rest %q %v", rest, err)
			})
			b.start(Fast)
			c := b.dial()
			if err := row.send(c); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasSuffix(string(got), `rest "" <nil>`) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestTheServersideIsOpenedWhenTheHeaderIsCompleteHoweverItArrives(t *testing.T) {
	b := build(t, topology.IPv4)
	conns := b.accepted()
	b.start(Fast)
	c := b.dial()
	head := request(42, 4)
	for i := range head {
		if n := b.dialing.Load(); n != 0 {
			t.Fatalf("the serverside was opened with %d of %d bytes there", i, len(head))
		}
		b.write(c, head[i:i+1])
		awaitRead(t, b, c)
	}
	s := receive(t, conns, "the member was not called")
	b.write(c, "body")
	got := make([]byte, len(head)+4)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != head+"body" {
		t.Errorf("the member got %q, %v", got, err)
	}
	c.Close()
	s.Close()
	if f := b.flow(); f.Ordinal != 42 || b.dialing.Load() != 1 || b.dialed.Load() != 1 {
		t.Errorf("ordinal %d, hooks called %d and %d times", f.Ordinal, b.dialing.Load(), b.dialed.Load())
	}
}

// awaitRead waits until the proxy has read what a client has sent: what was
// posted after the bytes' event runs after it.
func awaitRead(t *testing.T, b *bench, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	labtest.Await(t, "the bytes are acknowledged", func() bool {
		unsent := 0
		_ = raw.Control(func(fd uintptr) { unsent, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		return unsent == 0
	})
	done := make(chan struct{})
	b.proxy.loop.Post(func() { b.proxy.loop.Post(func() { close(done) }) })
	receive(t, done, "the proxy's loop does not turn")
}

func TestAHeaderMayHave32768BytesAndNotOneMore(t *testing.T) {
	for _, row := range []struct {
		name string
		size int
		ok   bool
	}{
		{"32768 bytes pass", defaultHeaderSize, true},
		{"32769 bytes are reset", defaultHeaderSize + 1, false},
		{"twice as much is reset", 2 * defaultHeaderSize, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(answer)
			b.start(Fast)
			stop := b.capture()
			c := b.dial()
			frame := strings.Replace(request(0, 0), "\r\n\r\n", "\r\nX-Padding: \r\n\r\n", 1)
			head := strings.Replace(frame, "Padding: ", "Padding: "+strings.Repeat("x", row.size-len(frame)), 1)
			_, writeErr := io.WriteString(c, head) // the RST may come before it is through
			got, wasReset, err := reset(c)
			if row.ok {
				if string(got) != "answer" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if !wasReset && !errors.Is(writeErr, unix.ECONNRESET) && !errors.Is(writeErr, unix.EPIPE) {
				t.Errorf("got %q, %v, %v; want a reset", got, writeErr, err)
			}
			if flows := b.close(); len(flows) != 0 {
				t.Errorf("a serverside was opened: %+v", flows[0])
			}
			checkRST(t, stop(), ClientsideVLAN, HeaderTooLarge, false)
		})
	}
}

// checkRST asserts that the f5 sent a RST on one side only, with that cause.
func checkRST(t *testing.T, frames []seen, vlan uint16, cause Cause, peer bool) {
	t.Helper()
	found := false
	for _, f := range frames {
		if !f.has(flagRST) || f.trailer.Low.Ingress {
			continue
		}
		m := f.trailer.Medium
		switch {
		case found && !f.has(flagACK): // an answer to what was sent before the first was heard of
			continue
		case f.vlan != vlan:
			t.Errorf("a RST went out on VLAN %d: %v", f.vlan, m.RSTCause)
		case !m.HasRSTCause || m.RSTCause.Text != cause.Text || m.RSTCause.Peer != peer:
			t.Errorf("the RST's cause is %v %v, want %q with peer %v", m.HasRSTCause, m.RSTCause, cause.Text, peer)
		}
		found = true
	}
	if !found {
		t.Errorf("no RST went out on VLAN %d", vlan)
	}
}

func TestAMemberThatRefusesResetsTheClient(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family) // nobody listens on server1
			b.start(Fast)
			stop := b.capture()
			c := b.dial()
			b.write(c, request(7, 0))
			if got, wasReset, err := reset(c); !wasReset || len(got) > 0 {
				t.Errorf("got %q, %v; want a reset", got, err)
			}
			f := b.flow()
			if f.Reset != "TCP RST from remote system" || !f.Peer || f.Tries != 1 || !f.Connected.IsZero() || f.Closed.IsZero() {
				t.Errorf("the flow is %+v", f)
			}
			checkRST(t, stop(), ClientsideVLAN, RemoteReset, true)
		})
	}
}

func TestAMemberWithoutARouteResetsTheClient(t *testing.T) {
	b := build(t, topology.IPv4)
	b.a.Server1 = mustAddrPort("198.18.99.1:8000")
	b.start(Fast)
	stop := b.capture()
	c := b.dial()
	b.write(c, request(7, 0))
	if got, wasReset, err := reset(c); !wasReset {
		t.Errorf("got %q, %v; want a reset", got, err)
	}
	if f := b.flow(); f.Reset != NoRoute.Text || f.Tries != 0 {
		t.Errorf("the flow is %+v", f)
	}
	checkRST(t, stop(), ClientsideVLAN, NoRoute, false)
}

func TestAMemberThatNeverAnswersIsTriedBySchedule(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		profile TCPProfile
		family  topology.Family
		at      []time.Duration
		giveUp  time.Duration // 0: not waited for
	}{
		{"for tests", Fast, topology.IPv4, seconds(0, .1, .2, .3), 400 * time.Millisecond},
		{"for tests, in IPv6", Fast, topology.IPv6, seconds(0, .1, .2, .3), 400 * time.Millisecond},
		{"in the incident", Incident, topology.IPv4, seconds(0, 1, 2, 3), 4 * time.Second},
		{"as shipped", Shipped, topology.IPv4, seconds(0, 3, 9, 21), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.at[3] > 10*time.Second && testing.Short() {
				t.Skip("takes 21 s")
			}
			t.Parallel()
			playSilence(t, row.family, row.profile, row.at, row.giveUp)
		})
	}
}

// busy is how much a busy machine may delay a timer; it never hastens one.
const busy = 50 * time.Millisecond

// lateness watches, until it is asked, by how much at worst this machine wakes up later
// than it was to.
func lateness(t *testing.T) func() time.Duration {
	const nap = 5 * time.Millisecond
	stop, worst := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for {
			began := time.Now()
			select {
			case <-time.After(nap):
				most = max(most, time.Since(began)-nap)
			case <-stop:
				worst <- most
				return
			case <-t.Context().Done():
				return
			}
		}
	}()
	return func() time.Duration { close(stop); return <-worst }
}

// playSilence asks a member that gets no SYN.
func playSilence(t *testing.T, family topology.Family, profile TCPProfile, want []time.Duration, giveUp time.Duration) {
	t.Helper()
	b := build(t, family)
	i := b.dropSYNs()
	b.start(profile)
	stop, late := b.capture(), lateness(t)
	c := b.dial()
	_ = c.SetDeadline(time.Now().Add(profile.GiveUpAfter() + patience))
	b.write(c, request(7, 0))
	if giveUp > 0 {
		if got, wasReset, err := reset(c); !wasReset {
			t.Errorf("got %q, %v; want a reset", got, err)
		}
	} else {
		for deadline := time.Now().Add(want[len(want)-1] + patience); ; {
			r, err := i.Report(t.Context())
			if err != nil || time.Now().After(deadline) {
				t.Fatal("the last SYN did not come", err)
			}
			if len(r.Entries) == len(want) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	f := b.flow()
	if f.Tries != len(want) || !f.Connected.IsZero() {
		t.Errorf("the flow is %+v", f)
	}
	frames := stop()
	var syns []seen
	rst := time.Duration(0)
	for _, x := range frames {
		if x.vlan == ServersideVLAN {
			if !x.has(flagSYN) || x.trailer.Low.Ingress {
				t.Errorf("on the serverside there is more than SYNs: flags %#x", x.flags)
			}
			syns = append(syns, x)
		} else if x.has(flagRST) {
			rst = x.at
		}
	}
	if len(syns) != len(want) {
		t.Fatalf("%d SYNs, want %d", len(syns), len(want))
	}
	slack := busy + late()
	check := func(what string, got, want time.Duration) {
		if got < want-3*time.Millisecond || got > want+want/10+slack {
			t.Errorf("%s after %v, want %v", what, got, want)
		}
	}
	for n, syn := range syns[1:] {
		if syn.src != syns[0].src || syn.dst != syns[0].dst || syn.seq != syns[0].seq {
			t.Errorf("SYN %d is from %v with sequence number %d, the first from %v with %d", n+1, syn.src, syn.seq, syns[0].src, syns[0].seq)
		}
		if syn.trailer.Medium.PeerID != syns[0].trailer.Medium.PeerID {
			t.Errorf("SYN %d is of another connection: %#x", n+1, syn.trailer.Medium.PeerID)
		}
		check(fmt.Sprintf("SYN %d comes", n+1), syn.at-syns[n].at, want[n+1]-want[n])
	}
	if giveUp > 0 {
		check("the reset comes", rst-syns[0].at, giveUp)
		checkRST(t, frames, ClientsideVLAN, RetransmitTimeout, true)
		if f.Reset != RetransmitTimeout.Text || !f.Peer {
			t.Errorf("the flow is %+v", f)
		}
	}
}

func TestAMemberThatAnswersTheThirdSYNIsConnectedTo(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(answer)
	// The first two SYNs of the connection: armed until the third is due.
	i := b.dropFirst(2)
	b.start(Fast)
	c := b.dial()
	b.write(c, request(0, 0))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "answer" {
		t.Errorf("got %q, %v", got, err)
	}
	if f := b.flow(); f.Tries != 3 || f.Connected.IsZero() || f.Reset != "" {
		t.Errorf("the flow is %+v", f)
	}
	if r, err := i.Report(t.Context()); err != nil || len(r.Entries) != 2 {
		t.Errorf("%d SYNs dropped, want 2; %v", len(r.Entries), err)
	}
}

func TestAClientThatAbortsWhileTheServersideIsTriedEndsTheTrying(t *testing.T) {
	b := build(t, topology.IPv4)
	b.dropSYNs()
	b.start(Incident)
	c := b.dial()
	b.write(c, request(7, 0))
	labtest.Await(t, "the serverside is tried", func() bool { return b.dialing.Load() == 1 })
	abort(t, c)
	labtest.Await(t, "the trying is over", func() bool { return b.dialed.Load() == 1 })
	f := b.flow()
	if d := f.Closed.Sub(f.Opened); d > 900*time.Millisecond || f.Tries != 1 || f.Reset != "" {
		t.Errorf("ended after %v and %d SYNs, reset %q", d, f.Tries, f.Reset)
	}
}

// abort closes a connection with a RST.
func abort(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAClientThatAbortsWhileRelayingResetsTheServerside(t *testing.T) {
	for _, row := range []struct {
		name   string
		before func(t *testing.T, c, s *net.TCPConn) // and the member neither reads nor writes on
	}{
		{"while it waits for the answer", func(*testing.T, *net.TCPConn, *net.TCPConn) {}},
		{"after it has half-closed", func(t *testing.T, c, s *net.TCPConn) {
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(s); err != nil {
				t.Fatal(err)
			}
		}},
		{"while it is sending more than the member reads", func(t *testing.T, c, _ *net.TCPConn) {
			_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := c.Write(megabytes(24, 4)); err == nil {
				t.Fatalf("%d bytes went into a connection that nobody reads", n)
			}
		}},
		{"while the member is sending more than it reads", func(t *testing.T, _, s *net.TCPConn) {
			_ = s.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := s.Write(megabytes(24, 5)); err == nil {
				t.Fatalf("%d bytes went into a connection that nobody reads", n)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			conns := b.accepted()
			b.start(Fast)
			stop := b.capture()
			c := b.dial()
			b.write(c, request(7, 0))
			s := receive(t, conns, "the member was not called")
			if _, err := io.ReadFull(s, make([]byte, len(request(7, 0)))); err != nil {
				t.Fatal(err)
			}
			row.before(t, c, s)
			abort(t, c)
			b.awaitNobody()
			if f := b.flow(); f.Reset != "" || f.Closed.IsZero() {
				t.Errorf("the flow is %+v", f)
			}
			checkRST(t, stop(), ServersideVLAN, RemoteReset, true)
		})
	}
}

func TestAMemberThatResetsWhileRelayingResetsTheClient(t *testing.T) {
	b := build(t, topology.IPv4)
	conns := b.accepted()
	b.start(Fast)
	stop := b.capture()
	c := b.dial()
	b.write(c, request(7, 0))
	s := receive(t, conns, "the member was not called")
	b.write(s, "HTTP/1.1 200 OK\r\n")
	if _, err := io.ReadFull(c, make([]byte, 17)); err != nil {
		t.Fatal(err)
	}
	abort(t, s)
	if got, wasReset, err := reset(c); !wasReset {
		t.Errorf("got %q, %v; want a reset", got, err)
	}
	if f := b.flow(); f.Reset != RemoteReset.Text || !f.Peer || f.Connected.IsZero() {
		t.Errorf("the flow is %+v", f)
	}
	checkRST(t, stop(), ClientsideVLAN, RemoteReset, true)
}

func TestAClientThatLeavesBeforeItAsksOpensNothing(t *testing.T) {
	for _, row := range []struct {
		name  string
		leave func(t *testing.T, b *bench, c *net.TCPConn)
	}{
		{"without a word", func(t *testing.T, _ *bench, c *net.TCPConn) { c.Close() }},
		{"in the middle of the header", func(t *testing.T, b *bench, c *net.TCPConn) { b.write(c, "POST / HT"); c.Close() }},
		{"with a reset", func(t *testing.T, b *bench, c *net.TCPConn) { b.write(c, "POST / HT"); abort(t, c) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.start(Fast)
			c := b.dial()
			row.leave(t, b, c)
			b.awaitNobody()
			if flows := b.close(); len(flows) != 0 {
				t.Errorf("a serverside was opened: %+v", flows[0])
			}
		})
	}
}

func TestTwoHundredConnectionsAtOnceAllGetTheirOwnAnswer(t *testing.T) {
	b := build(t, topology.IPv4)
	const n = 200
	var all sync.WaitGroup // they are all open at once
	all.Add(n)
	b.member(func(c *net.TCPConn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
			all.Done()
			return
		}
		body, _ := io.ReadAll(r.Body)
		all.Done()
		all.Wait()
		fmt.Fprintf(c, "%s %s", r.Header.Get("X-Request-ID"), body)
	})
	b.start(Fast)
	var clients sync.WaitGroup
	conns := make([]*net.TCPConn, n)
	for i := range n {
		conns[i] = b.dial()
	}
	for i, c := range conns {
		clients.Go(func() {
			body := fmt.Sprintf("body of %d", i)
			if _, err := io.WriteString(c, request(i, len(body))+body); err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(c)
			if want := fmt.Sprintf("%d %s", i, body); err != nil || string(got) != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	clients.Wait()
	flows := b.close()
	seen := map[int]bool{}
	for _, f := range flows {
		seen[f.Ordinal] = true
		if f.Reset != "" || f.Connected.IsZero() || f.Closed.IsZero() {
			t.Errorf("the flow is %+v", f)
		}
	}
	if len(flows) != n || len(seen) != n || b.dialing.Load() != n || b.dialed.Load() != n {
		t.Errorf("%d flows of %d requests, hooks called %d and %d times; want %d each", len(flows), len(seen), b.dialing.Load(), b.dialed.Load(), n)
	}
}

func TestCloseWithConnectionsOpenLeavesNoDescriptorAndNoThread(t *testing.T) {
	b := build(t, topology.IPv4)
	conns := b.accepted()
	const deaf = 3 // the request whose member never answers
	i := b.inject(fault.PerConnection)
	b.hooks.Dialing = func(d Dial) {
		if d.Ordinal == deaf {
			i.Arm(d.Ordinal, d.Attempt, d.SNAT, d.Member)
		}
	}
	var before [2]int
	for round := range 3 {
		if round == 1 { // the first round opens what stays open for good
			before = [2]int{labtest.Descriptors(t), labtest.Strangers(t)}
		}
		b.dialing.Store(0)
		b.start(Incident)
		asking, relayed, tried := b.dial(), b.dial(), b.dial()
		b.write(asking, "POST / HT")
		b.write(relayed, request(1, 100)+"some")
		s := receive(t, conns, "the member was not called")
		b.write(tried, request(deaf, 0))
		labtest.Await(t, "the third is tried", func() bool { return b.dialing.Load() == 2 })
		flows := b.close()
		if len(flows) != 2 || flows[0].Closed.IsZero() || flows[1].Closed.IsZero() || !flows[1].Connected.IsZero() {
			t.Errorf("the flows are %v", flows)
		}
		for _, c := range []*net.TCPConn{asking, relayed, tried, s} {
			_, _ = io.ReadAll(c) // to the end that Close brought about
			c.Close()
		}
	}
	// Fewer is right too: a thread of the first round may still have been ending
	// when they were counted.
	labtest.Await(t, fmt.Sprintf("there are no more than %v descriptors and threads", before), func() bool {
		return labtest.Descriptors(t) <= before[0] && labtest.Strangers(t) <= before[1]
	})
}

func TestAnAnswerThatComesWithTheTimerIsNotThrownAway(t *testing.T) {
	b := build(t, topology.IPv4)
	conns := b.accepted()
	b.start(Incident)
	tries := make(chan int, 1)
	b.proxy.loop.Post(func() {
		// A connection without a client, whose timer runs out when the member's
		// answer has arrived and the loop does not know yet.
		c := b.proxy.newConn()
		c.clientAddr = netip.AddrPortFrom(b.a.Client, 54373)
		b.proxy.live[c] = struct{}{}
		c.dial(0)
		for end := time.Now().Add(patience); time.Now().Before(end); {
			i, err := unix.GetsockoptTCPInfo(c.server.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil || i.State == unix.BPF_TCP_ESTABLISHED {
				break
			}
		}
		c.unanswered()
		tries <- c.flow.Tries
	})
	if n := receive(t, tries, "the loop does not turn"); n != 1 {
		t.Errorf("%d SYNs, want 1", n)
	}
	receive(t, conns, "the member was not called")
	labtest.Await(t, "the proxy knows of the answer", func() bool { return b.dialed.Load() == 1 })
	if f := b.flow(); f.Connected.IsZero() || f.Tries != 1 {
		t.Errorf("the flow is %+v", f)
	}
}

func TestAProxyThatCannotStartLeavesNoDescriptor(t *testing.T) {
	b := build(t, topology.IPv4)
	host := b.Host(topology.F5)
	c := validConfig()
	c.VirtualServer.Destination = mustAddrPort("198.18.77.1:8165") // not on the f5
	try := func() {
		if p, err := Start(host, c, Hooks{}); err == nil || p != nil || !strings.Contains(err.Error(), "f5: virtual server 198.18.77.1:8165") {
			t.Errorf("got %v, %v", p, err)
		}
	}
	try()
	before := labtest.Descriptors(t)
	try()
	if after := labtest.Descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if p, err := Start(host, Config{}, Hooks{}); err == nil || p != nil {
		t.Errorf("an empty configuration gives %v, %v", p, err)
	}
}

func TestAProxyWithoutDescriptorsServesItsClientsOnceThereAreSome(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(answer)
	b.start(Fast)
	// The loop stands still while the clients come and the limit goes down.
	gate, held := make(chan struct{}), make(chan struct{})
	b.proxy.loop.Post(func() { close(held); <-gate })
	receive(t, held, "the loop does not turn")
	var clients []*net.TCPConn
	for range 3 {
		c := b.dial()
		b.write(c, request(0, 0))
		clients = append(clients, c)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	close(gate)
	turned := make(chan struct{})
	b.proxy.loop.Post(func() { b.proxy.loop.Post(func() { close(turned) }) })
	ok := true
	select {
	case <-turned:
	case <-time.After(5 * time.Second):
		ok = false
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Error("the loop does not turn while there is no descriptor for a client")
	}
	for _, c := range clients {
		if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
