package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// sendPlain sends a batch of single requests in the clear from an event loop.
func sendPlain(ctx context.Context, host *topology.Host, b Batch) ([]Record, error) {
	loop, err := eventloop.New()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s := &sender{Batch: b, host: host, loop: loop, records: b.newRecords(), port: map[uint16]bool{}}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	if err := host.Go(func() { ended <- s.run() }); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), loop.Close())
	}
	stop := context.AfterFunc(ctx, loop.Stop)
	defer stop()
	err = <-ended
	cancel()
	s.elsewhere.Wait()
	for r := range s.live {
		r.close()
	}
	return s.records, errors.Join(err, ctx.Err(), loop.Close())
}

// sender is a batch being sent; everything in it belongs to the loop's thread.
type sender struct {
	Batch
	ctx     context.Context
	host    *topology.Host
	loop    *eventloop.Loop
	records []Record
	next    int
	waiting []int // ordinals whose source port is still in use
	port    map[uint16]bool
	live    map[*request]struct{}
	free    []*request
	done    int
	failed  int

	elsewhere sync.WaitGroup // requests at which the client misbehaves
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
		if !s.Sends(o) {
			continue
		}
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
	if s.done == s.Sent() {
		s.loop.Stop()
		return
	}
	if len(s.live) == s.Concurrency-1 || len(s.waiting) > 0 {
		// Not from within: a request may finish while it is being begun.
		s.loop.Post(s.startMore)
	}
}

// misbehave gives a request to a goroutine that does what a fault says.
func (s *sender) misbehave(r *request, m *fault.Mood) {
	s.elsewhere.Go(func() {
		got, err := misbehave(s.ctx, s.host, &s.Batch, r.record, m)
		s.loop.Post(func() {
			r.status = got.status
			s.finish(r, got.outcome, err)
		})
	})
}
