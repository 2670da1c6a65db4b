package eventloop

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests; nothing in them takes a tenth of it.
const patience = 10 * time.Second

// running is a loop on a thread of its own.
type running struct {
	*Loop
	t     *testing.T
	ended chan error
}

// start runs a loop and closes it with the test.
func start(t *testing.T, l *Loop) *running {
	t.Helper()
	r := &running{l, t, make(chan error, 1)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		r.ended <- l.Run()
	}()
	t.Cleanup(func() {
		l.Stop()
		r.await()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// await waits for Run to return; more than once if need be.
func (r *running) await() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Error(err)
		}
		r.ended <- err
	case <-time.After(patience):
		r.t.Fatal("Run did not return")
	}
}

// do runs f on the loop's thread and waits for it.
func (r *running) do(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	r.Post(func() { f(); close(done) })
	receive(r.t, done, "a posted function was not called")
}

func receive[T any](t *testing.T, c <-chan T, otherwise string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
	return v
}

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// handler is a Handler made of a function.
type handler func(fd int, events uint32)

func (h handler) Ready(fd int, events uint32) { h(fd, events) }

// pair is a connected pair of non-blocking sockets.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func TestTimersFireInTheOrderOfTheirTimesAndNeverEarly(t *testing.T) {
	r := start(t, newLoop(t))
	const n = 300
	var fired []int
	early := 0
	done := make(chan struct{})
	r.do(func() {
		base := time.Now()
		timers := make([]Timer, n)
		for _, i := range rand.Perm(n) {
			when := base.Add(time.Duration(i) * 200 * time.Microsecond)
			r.Arm(&timers[i], when, func() {
				if r.Now().Before(when) {
					early++
				}
				if fired = append(fired, i); len(fired) == n {
					close(done)
				}
			})
		}
	})
	receive(t, done, "timers are missing")
	if !slices.IsSorted(fired) {
		t.Errorf("fired in the order %v", fired)
	}
	if early > 0 {
		t.Errorf("%d timers fired before their time", early)
	}
}

func TestATimerObeysItsLastOrder(t *testing.T) {
	const soon, later = 5 * time.Millisecond, 25 * time.Millisecond
	for _, row := range []struct {
		name  string
		play  func(l *Loop, x *Timer, tell func(string))
		wants []string
	}{
		{"disarmed in time it stays silent", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(soon), func() { tell("fired") })
			l.Disarm(x)
		}, nil},
		{"disarmed twice, and before it was ever armed, nothing happens", func(l *Loop, x *Timer, tell func(string)) {
			l.Disarm(x)
			l.Arm(x, time.Now().Add(soon), func() { tell("fired") })
			l.Disarm(x)
			l.Disarm(x)
		}, nil},
		{"armed again for later it fires once, with the later function", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(soon), func() { tell("first") })
			l.Arm(x, time.Now().Add(later), func() { tell("second") })
		}, []string{"second"}},
		{"armed again for sooner it fires once, with the sooner function", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(later), func() { tell("first") })
			l.Arm(x, time.Now().Add(soon), func() { tell("second") })
		}, []string{"second"}},
		{"armed for the past it fires at once", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(-time.Hour), func() { tell("fired") })
		}, []string{"fired"}},
		{"armed from its own function it fires again", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(soon), func() {
				tell("first")
				l.Arm(x, time.Now().Add(soon), func() { tell("second") })
			})
		}, []string{"first", "second"}},
		{"disarmed by another that is due in the same round it stays silent", func(l *Loop, x *Timer, tell func(string)) {
			when := time.Now().Add(soon)
			l.Arm(&Timer{}, when, func() { l.Disarm(x) })
			l.Arm(x, when.Add(time.Nanosecond), func() { tell("fired") })
		}, nil},
		{"disarmed after it has fired nothing happens", func(l *Loop, x *Timer, tell func(string)) {
			l.Arm(x, time.Now().Add(soon), func() { tell("fired"); l.Disarm(x) })
		}, []string{"fired"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, newLoop(t))
			var told []string
			var x, bystander, end Timer
			done := make(chan struct{})
			r.do(func() {
				// Neighbours in the heap, so that the timer under test moves in it.
				r.Arm(&bystander, time.Now().Add(time.Millisecond), func() {})
				row.play(r.Loop, &x, func(s string) { told = append(told, s) })
				r.Arm(&end, time.Now().Add(2*later), func() { close(done) })
			})
			receive(t, done, "the last timer did not fire")
			if !slices.Equal(told, row.wants) {
				t.Errorf("got %v, want %v", told, row.wants)
			}
		})
	}
}

func TestAnEventOfAClosedDescriptorReachesNobodyWhoGetsItsNumber(t *testing.T) {
	r := start(t, newLoop(t))
	a, peerOfA := pair(t)
	b, peerOfB := pair(t)
	var told []string
	// Both become readable in one round. Whoever is told first closes the other,
	// whose event is then already in the loop's hands, and a newcomer gets its
	// number.
	first := func(mine, other *int) handler {
		return func(int, uint32) {
			told = append(told, "first")
			r.Forget(*other)
			unix.Close(*other)
			newcomer, peer := pair(t)
			if newcomer != *other { // a lower number was free
				if err := unix.Dup3(newcomer, *other, unix.O_CLOEXEC); err != nil {
					t.Error(err)
				}
				unix.Close(newcomer)
			}
			if err := r.Add(*other, handler(func(int, uint32) { told = append(told, "newcomer") }), Readable); err != nil {
				t.Error(err)
			}
			t.Cleanup(func() {
				for _, fd := range []int{peer, *mine, *other} {
					unix.Close(fd)
				}
			})
		}
	}
	r.do(func() {
		for _, x := range []struct {
			fd int
			h  Handler
		}{{a, first(&a, &b)}, {b, first(&b, &a)}} {
			if err := r.Add(x.fd, x.h, Readable); err != nil {
				t.Error(err)
			}
		}
		for _, peer := range []int{peerOfA, peerOfB} {
			if _, err := unix.Write(peer, []byte("x")); err != nil {
				t.Error(err)
			}
		}
	})
	r.do(func() {})
	r.do(func() { // a round later
		r.Forget(a)
		r.Forget(b)
	})
	if want := []string{"first"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	unix.Close(peerOfA)
	unix.Close(peerOfB)
}

func TestANewOwnerOfANumberGetsItsOwnEvents(t *testing.T) {
	r := start(t, newLoop(t))
	for range 20 {
		fd, peer := pair(t)
		heard := make(chan uint32, 8)
		r.do(func() {
			if err := r.Add(fd, handler(func(_ int, e uint32) { heard <- e }), Readable|PeerShut); err != nil {
				t.Error(err)
			}
		})
		if _, err := unix.Write(peer, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if e := receive(t, heard, "a byte was not told of"); e&Readable == 0 {
			t.Errorf("a byte came as %#x", e)
		}
		unix.Close(peer)
		for e := uint32(0); e&PeerShut == 0; {
			e = receive(t, heard, "the peer's end was not told of")
		}
		r.do(func() { r.Forget(fd) })
		unix.Close(fd)
	}
}

func TestADescriptorThatCannotBeWatchedIsAnError(t *testing.T) {
	r := start(t, newLoop(t))
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r.do(func() {
		// epoll refuses plain files (EPERM, epoll_ctl(2)).
		if err := r.Add(int(f.Fd()), handler(func(int, uint32) {}), Readable); err == nil {
			t.Error("a plain file was accepted")
		}
	})
}

func TestWhatIsPostedFromManyGoroutinesRunsOneAtATimeOnTheLoopsThread(t *testing.T) {
	r := start(t, newLoop(t))
	const goroutines, each = 8, 2000
	thread := 0
	r.do(func() { thread = unix.Gettid() })
	elsewhere := 0
	last := make([]int, goroutines) // no lock: the race detector watches
	outOfOrder := 0
	var posters sync.WaitGroup
	for g := range goroutines {
		posters.Go(func() {
			for i := range each {
				r.Post(func() {
					if unix.Gettid() != thread {
						elsewhere++
					}
					if last[g] != i {
						outOfOrder++
					}
					last[g]++
				})
			}
		})
	}
	posters.Wait()
	r.do(func() {})
	for g, n := range last {
		if n != each {
			t.Errorf("of goroutine %d's %d functions %d ran", g, each, n)
		}
	}
	if elsewhere > 0 || outOfOrder > 0 {
		t.Errorf("%d ran on another thread, %d out of order", elsewhere, outOfOrder)
	}
}

func TestAFunctionPostedFromAPostedFunctionRunsInALaterRound(t *testing.T) {
	r := start(t, newLoop(t))
	done := make(chan struct{})
	r.Post(func() { r.Post(func() { close(done) }) })
	receive(t, done, "the inner function was not called")
}

func TestStopEndsRun(t *testing.T) {
	for _, row := range []struct {
		name string
		stop func(l *Loop)
	}{
		{"called from another goroutine while the loop sleeps", func(l *Loop) { l.Stop() }},
		{"called on the loop's thread", func(l *Loop) { l.Post(l.Stop) }},
		{"called by a timer", func(l *Loop) { l.Post(func() { l.Arm(&Timer{}, time.Now(), l.Stop) }) }},
		{"called twice", func(l *Loop) { l.Stop(); l.Stop() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, newLoop(t))
			row.stop(r.Loop)
			r.await()
		})
	}
	t.Run("called before Run", func(t *testing.T) {
		l := newLoop(t)
		l.Stop()
		start(t, l).await()
	})
}

func TestAfterCloseWhatIsPostedIsDroppedAndTouchesNobodysDescriptor(t *testing.T) {
	l := newLoop(t)
	wake := l.wake
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// Somebody else gets the number of the loop's eventfd.
	var mine []int
	t.Cleanup(func() {
		for _, fd := range mine {
			unix.Close(fd)
		}
	})
	peer := -1
	for range 16 {
		a, b := pair(t)
		mine = append(mine, a, b)
		if a == wake {
			peer = b
		} else if b == wake {
			peer = a
		}
	}
	if peer < 0 {
		t.Fatalf("nobody got number %d", wake)
	}
	l.Post(func() { t.Error("ran after Close") })
	l.Stop()
	if n, err := unix.Read(peer, make([]byte, 8)); n > 0 {
		t.Errorf("the loop wrote %d bytes into a stranger's descriptor, %v", n, err)
	}
}

func TestAClosedLoopLeavesNoDescriptorAndNoGoroutine(t *testing.T) {
	descriptors := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before, goroutines := descriptors(), runtime.NumGoroutine()
	for range 50 {
		l := newLoop(t)
		ended := make(chan error, 1)
		go func() { ended <- l.Run() }()
		l.Stop()
		if err := receive(t, ended, "Run did not return"); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := descriptors(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}

func TestAnAddressFromTheKernelIsWhatItSays(t *testing.T) {
	for _, row := range []struct {
		from syscall.Sockaddr
		want string
	}{
		{&syscall.SockaddrInet4{Addr: [4]byte{198, 18, 50, 67}, Port: 8165}, "198.18.50.67:8165"},
		{&syscall.SockaddrInet4{Addr: [4]byte{198, 18}}, "198.18.0.0:0"},
		{&syscall.SockaddrInet6{Addr: [16]byte{0x20, 0x01, 0x0d, 0xb8, 5: 0x50, 15: 0x67}, Port: 8165}, "[2001:db8:50::67]:8165"},
		{&syscall.SockaddrUnix{}, "invalid AddrPort"},
		{nil, "invalid AddrPort"}, // with an error
	} {
		if got := addrPort(row.from).String(); got != row.want {
			t.Errorf("got %v, want %v", got, row.want)
		}
	}
}
