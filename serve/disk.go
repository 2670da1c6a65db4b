package serve

import (
	"fmt"
	"os"
	"slices"
	"strconv"
)

// maxKept is how many runs and exercises are kept, however small they are: a list that
// nobody can read is of no use. Those that left no files are among them.
const maxKept = 50

// makeRoom removes what is kept until so many bytes more may be: first what nobody has
// looked at for longest, and never what somebody looks at.
func (s *Server) makeRoom(need int64) error {
	for {
		s.mu.Lock()
		kept := int64(0)
		for _, j := range s.jobs {
			kept += j.bytes
		}
		var old *job
		if kept+need > s.keep {
			if old = s.oldest(func(j *job) bool { return j.bytes > 0 }); old == nil {
				s.mu.Unlock()
				return fmt.Errorf("this may take %s MB, and %s of the %s MB that may be kept are being looked at: wait for the downloads to end, or give a larger --keep",
					megabytes(need), megabytes(kept), megabytes(s.keep))
			}
			s.drop(old)
		}
		s.mu.Unlock()
		if old == nil {
			return nil
		}
		if err := os.RemoveAll(old.dir); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
	}
}

// forgetOld drops jobs until there are no more than may be; the lock is held.
func (s *Server) forgetOld() {
	for len(s.jobs) > maxKept {
		old := s.oldest(func(*job) bool { return true })
		if old == nil {
			return
		}
		s.drop(old)
		_ = os.RemoveAll(old.dir) // what stays, goes with the server's folder
	}
}

// oldest is the job of some that nobody has looked at for longest; nil if none can go. The
// lock is held.
func (s *Server) oldest(of func(*job) bool) (old *job) {
	for _, j := range s.jobs {
		if j.state.over() && j.readers == 0 && of(j) && (old == nil || j.seen.Before(old.seen)) {
			old = j
		}
	}
	return old
}

// drop forgets a job; the lock is held.
func (s *Server) drop(old *job) {
	s.jobs = slices.DeleteFunc(s.jobs, func(j *job) bool { return j == old })
}

// megabytes rounds up.
func megabytes(n int64) string { return strconv.FormatInt((n+1<<20-1)>>20, 10) }
