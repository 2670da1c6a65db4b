package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/sim/ports"
	"github.com/hopblame/hopblame/topology"
)

// Batch describes the requests to send.
type Batch struct {
	Server      netip.AddrPort
	Local       netip.Addr
	Target      string // request target; "" means /batch
	Requests    int
	Concurrency int           // requests in flight
	Timeout     time.Duration // of one request; 0 means two minutes
	// Progress is told how many requests are done and how many of them failed,
	// on the batch's thread and often; nil for nobody.
	Progress func(done, failed int)
}

// Outcome is what the client saw of a request.
type Outcome string

// The outcomes. Only OK is not a failure.
const (
	OK        Outcome = "ok"
	Reset     Outcome = "reset"     // RST after the connection was established
	Refused   Outcome = "refused"   // RST instead of a SYN-ACK
	Timeout   Outcome = "timeout"   // nothing within Batch.Timeout
	Truncated Outcome = "truncated" // the response ended before its end
	Error     Outcome = "error"     // a 5xx, or no HTTP at all
	Local     Outcome = "local"     // the client itself could not send it; makes a run INVALID
)

// Record is one request and what became of it.
type Record struct {
	Ordinal int
	Local   netip.AddrPort
	Start   time.Time
	End     time.Time
	Outcome Outcome
	Status  int    // of the response; 0 if there was none
	Detail  string // what the kernel said, for a failure
}

// Bounds of a request's timeout: what a healthy request takes on a busy machine, and
// what keeps a run finite.
const (
	defaultTimeout = 2 * time.Minute
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = 10 * time.Minute
)

// Validate reports what in b cannot be.
func (b *Batch) Validate() error {
	var errs []error
	if b.Requests < 1 || b.Requests > 10_000_000 {
		errs = append(errs, fmt.Errorf("traffic: requests %d: must be 1 to 10,000,000", b.Requests))
	}
	if b.Concurrency < 1 || b.Concurrency > 8192 {
		errs = append(errs, fmt.Errorf("traffic: concurrency %d: must be 1 to 8192", b.Concurrency))
	}
	if b.Timeout != 0 && (b.Timeout < minTimeout || b.Timeout > maxTimeout) {
		errs = append(errs, fmt.Errorf("traffic: timeout %v: must be %v to %v", b.Timeout, minTimeout, maxTimeout))
	}
	return errors.Join(errs...)
}

// Port returns the source port of a request.
func Port(ordinal int) uint16 { return ports.At(ordinal) }

// Run sends the batch from a host and returns a record for every request, by
// ordinal. A cancelled context ends it early with the context's error.
func Run(ctx context.Context, host *topology.Host, b Batch) ([]Record, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if b.Timeout == 0 {
		b.Timeout = defaultTimeout
	}
	if b.Target == "" {
		b.Target = "/batch"
	}
	loop, err := eventloop.New()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s := &sender{Batch: b, loop: loop, records: make([]Record, b.Requests), port: map[uint16]bool{}}
	ended := make(chan error, 1)
	if err := host.Go(func() { ended <- s.run() }); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), loop.Close())
	}
	stop := context.AfterFunc(ctx, loop.Stop)
	defer stop()
	err = <-ended
	for r := range s.live {
		r.close()
	}
	return s.records, errors.Join(err, ctx.Err(), loop.Close())
}

// sender is a batch being sent; everything in it belongs to the loop's thread.
type sender struct {
	Batch
	loop    *eventloop.Loop
	records []Record
	next    int
	waiting []int // ordinals whose source port is still in use
	port    map[uint16]bool
	live    map[*request]struct{}
	free    []*request
	done    int
	failed  int
}

func (s *sender) run() error {
	s.live = map[*request]struct{}{}
	s.loop.Post(s.startMore)
	return s.loop.Run()
}

// startMore keeps as many requests in flight as there should be.
func (s *sender) startMore() {
	for len(s.live) < s.Concurrency {
		ordinal, ok := s.pick()
		if !ok {
			return
		}
		s.begin(ordinal)
	}
}

// pick chooses the next request. One whose port is still held by an earlier
// request — a failing one holds its for seconds — waits for that to end.
func (s *sender) pick() (int, bool) {
	for i, o := range s.waiting {
		if !s.port[Port(o)] {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return o, true
		}
	}
	for s.next < s.Requests {
		o := s.next
		s.next++
		if !s.port[Port(o)] {
			return o, true
		}
		s.waiting = append(s.waiting, o)
	}
	return 0, false
}

// finish records an outcome and starts the next request.
func (s *sender) finish(r *request, outcome Outcome, detail error) {
	rec := r.record
	rec.End, rec.Outcome, rec.Status = time.Now(), outcome, r.status
	if detail != nil {
		rec.Detail = detail.Error()
	}
	r.close()
	delete(s.port, rec.Local.Port())
	delete(s.live, r)
	s.free = append(s.free, r)
	s.done++
	if outcome != OK {
		s.failed++
	}
	if s.Progress != nil {
		s.Progress(s.done, s.failed)
	}
	if s.done == s.Requests {
		s.loop.Stop()
		return
	}
	if len(s.live) == s.Concurrency-1 || len(s.waiting) > 0 {
		// Not from within: a request may finish while it is being begun.
		s.loop.Post(s.startMore)
	}
}
