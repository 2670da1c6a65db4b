package wire

import (
	"bytes"
	"cmp"
	"container/heap"
	"fmt"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/nflog"
)

// Packet is one that was taken off its way.
type Packet struct {
	Ether []byte // the Ethernet header it came with
	IP    []byte // the rest, from the IP header on
}

// Deed is what a wire does with packets.
type Deed interface {
	// take is given each packet, in order, by one goroutine.
	take(w *Wire, p Packet)
}

// Exit is where packets are put back on their way.
type Exit interface {
	on(p Packet) error   // to where it was going
	back(p Packet) error // to where another packet came from, whose Ethernet header p has
	close() error
}

// Counts are what a wire has put on the way.
type Counts struct {
	Returned uint64 // packets that it had been given
	Made     uint64 // others: copies, forged RSTs
}

// Wire does a deed to the packets that it is given. One goroutine, owned by it, sends what
// is held back for a time.
type Wire struct {
	exit Exit
	deed Deed

	wake, stop, ended chan struct{}

	mu     sync.Mutex
	held   queue
	order  int // of what is held: of two that are due at once the older goes first
	counts Counts
	err    error // the first packet that could not be sent
}

// New makes a wire of a deed and an exit, which it owns from now on.
func New(exit Exit, deed Deed) *Wire {
	w := &Wire{exit: exit, deed: deed, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go w.deliver()
	return w
}

// Take gives the wire a packet; its bytes are not kept. It is for one goroutine.
func (w *Wire) Take(f nflog.Frame) {
	w.deed.take(w, Packet{bytes.Clone(f.Ether), bytes.Clone(f.Packet)})
}

// Held is how many packets are yet to be sent.
func (w *Wire) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

// Counts returns what was sent so far. An error means that some of it was not.
func (w *Wire) Counts() (Counts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts, w.err
}

// Close ends the wire. What is still held is lost.
func (w *Wire) Close() error {
	close(w.stop)
	<-w.ended
	return w.exit.close()
}

// send puts a packet that was taken back on its way.
func (w *Wire) send(p Packet) { w.note(&w.counts.Returned, w.exit.on(p)) }

// sendAltered puts a packet back on its way with its TCP segment altered. One that is none
// is noted, and goes on as it is.
func (w *Wire) sendAltered(p Packet, alter func(segment)) {
	s, err := parse(p.IP)
	if err != nil {
		w.note(nil, err)
	} else {
		alter(s)
	}
	w.send(p)
}

// sendCopy puts one on the way that nobody had sent.
func (w *Wire) sendCopy(p Packet) { w.note(&w.counts.Made, w.exit.on(p)) }

// answer puts one on the way back that nobody had sent; it has the Ethernet header of what
// it answers.
func (w *Wire) answer(p Packet) { w.note(&w.counts.Made, w.exit.back(p)) }

func (w *Wire) note(counter *uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		*counter++
		return
	}
	w.err = cmp.Or(w.err, fmt.Errorf("put a packet back on its way: %w", err))
}

// item is a packet that is held back.
type item struct {
	Packet
	due   time.Time
	order int
	at    int // in the queue; -1: no longer in it
}

// hold sends a packet at a time. Until then it can be had back by [Wire.release].
func (w *Wire) hold(p Packet, due time.Time) *item {
	w.mu.Lock()
	w.order++
	i := &item{Packet: p, due: due, order: w.order}
	heap.Push(&w.held, i)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is to wake up already
	}
	return i
}

// release takes a packet out of the queue; false if it has been sent.
func (w *Wire) release(i *item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i.at < 0 {
		return false
	}
	heap.Remove(&w.held, i.at)
	return true
}

// deliver sends what is due, until the wire is closed.
func (w *Wire) deliver() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-timer.C:
		}
		for {
			p, wait, ok := w.next()
			if !ok {
				break
			}
			if wait > 0 {
				timer.Reset(wait)
				break
			}
			w.send(p)
		}
	}
}

// next takes the packet that is due first out of the queue, or says how long to wait for
// it; false if there is none.
func (w *Wire) next() (p Packet, wait time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) == 0 {
		return p, 0, false
	}
	if wait := time.Until(w.held[0].due); wait > 0 {
		return p, wait, true
	}
	return heap.Pop(&w.held).(*item).Packet, 0, true
}

// queue has what is due first in front.
type queue []*item

func (q queue) Len() int { return len(q) }
func (q queue) Less(a, b int) bool {
	return cmp.Or(q[a].due.Compare(q[b].due), q[a].order-q[b].order) < 0
}
func (q queue) Swap(a, b int) {
	q[a], q[b] = q[b], q[a]
	q[a].at, q[b].at = a, b
}
func (q *queue) Push(x any) {
	i := x.(*item)
	i.at = len(*q)
	*q = append(*q, i)
}
func (q *queue) Pop() any {
	old := *q
	i := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	i.at = -1
	return i
}
