// Package eventloop runs the sockets of one actor — the proxy, the client — on
// one thread with epoll(7).
//
// The lab's hot path is not goroutines because a goroutine that creates a socket
// must be on the namespace's own thread, and the hop there and back costs more
// than the rest of a request: one loop on that thread keeps up with HAProxy where
// goroutines stop at three quarters. Everything registered with a Loop is called
// on the loop's thread, one at a time, so an actor needs no locks.
package eventloop

import (
	"container/heap"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Events that a [Handler] is told of; they may come together.
const (
	Readable = unix.EPOLLIN
	Writable = unix.EPOLLOUT
	PeerShut = unix.EPOLLRDHUP // the peer has sent its FIN
	Failed   = unix.EPOLLERR   // SO_ERROR says what
	HungUp   = unix.EPOLLHUP
)

// Handler is told what a descriptor is ready for.
type Handler interface{ Ready(fd int, events uint32) }

// Timer calls back once. The zero value is a stopped timer; embed it to arm and
// disarm without allocating.
type Timer struct {
	when  time.Time
	f     func()
	index int // place in the heap plus one; 0 is stopped
}

// Loop is a set of descriptors and timers served by one thread.
type Loop struct {
	epoll, wake int
	entries     []entry // by descriptor
	generation  int32
	timers      timerHeap
	now         time.Time

	mu     sync.Mutex
	posted []func()
	closed bool
	stop   bool
}

// entry tells a descriptor's present owner from one that has closed it: the
// number is used again at once, and an event of the old one may still be queued.
type entry struct {
	handler    Handler
	generation int32
}

// New returns a loop with nothing in it.
func New() (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("event loop: epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("event loop: eventfd: %w", err)
	}
	l := &Loop{epoll: ep, wake: wake}
	if err := l.Add(wake, wakeUp{l}, Readable); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

type wakeUp struct{ l *Loop }

func (w wakeUp) Ready(fd int, _ uint32) {
	var b [8]byte
	_, _ = unix.Read(fd, b[:])
}

// Add registers a descriptor, edge-triggered: h is called when it becomes ready,
// and must then read or write until EAGAIN.
func (l *Loop) Add(fd int, h Handler, events uint32) error {
	l.generation++
	for fd >= len(l.entries) {
		l.entries = append(l.entries, make([]entry, len(l.entries)+64)...)
	}
	l.entries[fd] = entry{h, l.generation}
	ev := unix.EpollEvent{Events: events | unix.EPOLLET&0xffffffff, Fd: int32(fd), Pad: l.generation}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("event loop: add descriptor: %w", err)
	}
	return nil
}

// Forget must be called before a registered descriptor is closed.
func (l *Loop) Forget(fd int) {
	if fd < len(l.entries) {
		l.entries[fd] = entry{}
	}
}

// Now returns the time at which the present round of events began.
func (l *Loop) Now() time.Time { return l.now }

// Arm makes t call f at when, in place of what it was armed with before.
func (l *Loop) Arm(t *Timer, when time.Time, f func()) {
	t.when, t.f = when, f
	if t.index > 0 {
		heap.Fix(&l.timers, t.index-1)
		return
	}
	heap.Push(&l.timers, t)
}

// Armed says whether t is going to call back.
func (t *Timer) Armed() bool { return t.index > 0 }

// Disarm stops t; stopping a stopped timer does nothing.
func (l *Loop) Disarm(t *Timer) {
	if t.index > 0 {
		heap.Remove(&l.timers, t.index-1)
	}
}

// Post has f called on the loop's thread; it may be called from any goroutine.
// After the loop has ended f is dropped.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.posted = append(l.posted, f)
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// Stop makes Run return after the present round. It may be called from anywhere.
func (l *Loop) Stop() { l.Post(func() { l.stop = true }) }

// Run serves until Stop. It must be called once, on the thread that owns the
// sockets' namespace.
func (l *Loop) Run() error {
	events := make([]unix.EpollEvent, 256)
	for !l.stop {
		l.now = time.Now()
		n, err := unix.EpollWait(l.epoll, events, l.untilNextTimer())
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("event loop: epoll_wait: %w", err)
		}
		l.now = time.Now()
		for _, ev := range events[:max(n, 0)] {
			if e := l.entries[ev.Fd]; e.handler != nil && e.generation == ev.Pad {
				e.handler.Ready(int(ev.Fd), ev.Events)
			}
		}
		l.runPosted()
		l.runTimers()
	}
	return nil
}

// untilNextTimer is epoll_wait's timeout in milliseconds, rounded up so that a
// timer is due when it returns.
func (l *Loop) untilNextTimer() int {
	if len(l.timers) == 0 {
		return -1
	}
	d := l.timers[0].when.Sub(l.now)
	return int(max(0, (d+time.Millisecond-1)/time.Millisecond))
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

func (l *Loop) runTimers() {
	for len(l.timers) > 0 && !l.timers[0].when.After(l.now) {
		heap.Pop(&l.timers).(*Timer).f()
	}
}

// Close frees the loop's own descriptors; the actor's are its own to close.
func (l *Loop) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return errors.Join(unix.Close(l.wake), unix.Close(l.epoll))
}

type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].when.Before(h[j].when) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	*h = append(*h, t)
	t.index = len(*h)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}
