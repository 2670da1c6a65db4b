package serve

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
)

// maxWaiting is how many runs and exercises may wait for their turn.
const maxWaiting = 8

// errFull says that no more may wait.
var errFull = errors.New("the queue is full")

// enqueue puts a job behind those that wait.
func (s *Server) enqueue(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting() >= maxWaiting {
		return errFull
	}
	s.jobs = append(s.jobs, j)
	select {
	case s.wake <- struct{}{}:
	default: // it will look again anyway
	}
	return nil
}

// waiting is how many jobs wait; the lock is held.
func (s *Server) waiting() (n int) {
	for _, j := range s.jobs {
		if j.state == waiting {
			n++
		}
	}
	return n
}

// before is how many jobs come before one that waits.
func (s *Server) before(j *job) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.jobs {
		if other.number < j.number && !other.state.over() {
			n++
		}
	}
	return n
}

// work plays jobs one after the other, for two at once would disturb each other's timing,
// until the context ends.
func (s *Server) work(ctx context.Context) {
	for ctx.Err() == nil {
		if s.playNext(ctx) {
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// playNext plays the job whose turn it is, and says whether there was one.
func (s *Server) playNext(ctx context.Context) bool {
	j, ctx := s.next(ctx)
	if j == nil {
		return false
	}
	err := s.attempt(ctx, j)
	s.finish(j, err, ctx.Err() != nil)
	return true
}

// next is the job whose turn it is, and the context that it runs in; nil if none waits.
func (s *Server) next(ctx context.Context) (*job, context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.state == waiting })
	if i < 0 {
		return nil, nil
	}
	j := s.jobs[i]
	j.state = running
	ctx, j.stop = context.WithCancel(ctx)
	return j, ctx
}

// attempt plays a job. Whatever the error, its folder is gone then.
func (s *Server) attempt(ctx context.Context, j *job) error {
	j.watch.begin()
	err := s.makeRoom(j.room)
	if err == nil {
		err = s.play(ctx, j)
	}
	if err == nil {
		err = j.settle()
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(j.dir))
	}
	return nil
}

// finish notes what became of a job.
func (s *Server) finish(j *job, err error, stopped bool) {
	j.watch.end(err == nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.stop()
	switch {
	case err == nil:
		j.state = done
	case stopped:
		j.state = cancelled
	default:
		j.state, j.why = failed, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	s.forgetOld()
}

// cancel takes a job out of the queue, or ends its run.
func (s *Server) cancel(w http.ResponseWriter, r *http.Request, j *job) {
	s.mu.Lock()
	switch j.state {
	case waiting:
		j.state = cancelled
	case running:
		j.stop() // and finish notes it
	}
	s.mu.Unlock()
	http.Redirect(w, r, j.path(), http.StatusSeeOther)
}

// submit answers who has asked for a job: with its page, or with why there will be none.
func (s *Server) submit(w http.ResponseWriter, r *http.Request, j *job) {
	if j.room > s.keep {
		s.pages.refuse(w, http.StatusUnprocessableEntity, "too-large", megabytes(j.room), megabytes(s.keep))
		return
	}
	if s.enqueue(j) != nil {
		w.Header().Set("Retry-After", "30")
		s.pages.refuse(w, http.StatusServiceUnavailable, "queue-full", maxWaiting)
		return
	}
	http.Redirect(w, r, j.path(), http.StatusSeeOther)
}
