package serve

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatIsKeptIsBounded(t *testing.T) {
	for _, row := range []struct {
		name string
		look func(t *testing.T, s *Server) // before the last run
		keep int64                         // bytes besides the room of the last run
		want []int                         // which are kept
	}{
		{"where there is room for all, all are kept", nil, 1 << 20, []int{1, 2, 3, 4}},
		{"the oldest goes first", nil, 2500, []int{2, 3, 4}},
		{"and the next one, if that is not enough", nil, 1500, []int{3, 4}},
		{"what was looked at lately is not the oldest", func(t *testing.T, s *Server) { get(t, s, "/runs/1") }, 1500, []int{1, 4}},
		{"what somebody looks at now stays", func(_ *testing.T, s *Server) { s.enter(aRun, "1") }, 1500, []int{1, 4}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := idle(t, pretend)
			for n := range 4 {
				submit(t, s, "/runs", aForm(20))
				if n == 3 {
					if row.look != nil {
						row.look(t, s)
					}
					s.keep = s.jobs[n].room + row.keep
				}
				s.playNext(t.Context())
				s.jobs[len(s.jobs)-1].seen = time.Unix(int64(n), 0)
			}
			var kept []int
			for _, j := range s.jobs {
				kept = append(kept, j.number)
			}
			if !slices.Equal(kept, row.want) {
				t.Errorf("kept %v, want %v", kept, row.want)
			}
			folders, err := os.ReadDir(s.folder.Path)
			if err != nil || len(folders) != len(row.want) {
				t.Errorf("folders: %v (%v)", folders, err)
			}
			if status, _ := get(t, s, "/runs/2"); (status == http.StatusOK) != slices.Contains(row.want, 2) {
				t.Errorf("run 2: %d", status)
			}
		})
	}
}

func TestARunWaitsForNobodysDownloads(t *testing.T) {
	s := idle(t, pretend)
	submit(t, s, "/runs", aForm(20))
	s.playNext(t.Context())
	s.enter(aRun, "1")
	at := submit(t, s, "/runs", aForm(20))
	s.keep = s.jobs[1].room
	s.playNext(t.Context())
	if _, body := get(t, s, at); !strings.Contains(body, "are being looked at: wait for the downloads to end") {
		t.Errorf("%s", body)
	}
}

func TestHowManyAreKeptIsBounded(t *testing.T) {
	s := idle(t, func(context.Context, *job) error { return context.DeadlineExceeded })
	for range maxKept + 5 {
		submit(t, s, "/runs", aForm(20))
		s.playNext(t.Context())
	}
	if n := len(s.jobs); n != maxKept || s.jobs[0].number != 6 {
		t.Errorf("%d are kept, from %d", n, s.jobs[0].number)
	}
}
