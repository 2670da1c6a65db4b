package fault

import (
	"sync"
	"time"
)

// span is the time of a fault that has one ([Fault.From], [Fault.For]), which a goroutine of
// its own begins and ends.
type span struct {
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex
	runs bool
	err  error // for which it ended early
}

func newSpan() *span { return &span{stop: make(chan struct{})} }

// begin starts the time of f: strike begins what it does, before begin returns where there
// is nothing to wait for, and relent ends it. Neither is called once the span is closed.
func (s *span) begin(f *Fault, strike, relent func() error) {
	s.runs = true
	var struck error
	if f.From == 0 { // before any request
		struck = strike()
	}
	s.ended.Go(func() {
		err := struck
		if err == nil {
			err = s.live(f, strike, relent)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.runs, s.err = false, err
	})
}

func (s *span) live(f *Fault, strike, relent func() error) error {
	if f.From > 0 {
		if !s.wait(f.From) {
			return nil
		}
		if err := strike(); err != nil {
			return err
		}
	}
	if !s.wait(f.For) {
		return nil
	}
	return relent()
}

// wait waits; a false means that the span was closed meanwhile.
func (s *span) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// state says whether the time has begun and is not over, and for what it ended early.
func (s *span) state() (runs bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs, s.err
}

// close ends the time, if it runs, as it is.
func (s *span) close() {
	close(s.stop)
	s.ended.Wait()
}
