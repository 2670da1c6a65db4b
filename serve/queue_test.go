package serve

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRunsAreOneAtATimeAndInOrder(t *testing.T) {
	var played []int
	s := idle(t, func(_ context.Context, j *job) error {
		played = append(played, j.number)
		return pretend(nil, j)
	})
	first, second := submit(t, s, "/runs", aForm(20)), submit(t, s, "/runs", aForm(20))
	if _, body := get(t, s, first); !strings.Contains(body, "Waits for its turn.") || !strings.Contains(body, "0 before this") {
		t.Errorf("the first does not wait:\n%s", body)
	}
	if _, body := get(t, s, second); !strings.Contains(body, "1 before this") {
		t.Errorf("the second waits for nobody:\n%s", body)
	}
	for s.playNext(t.Context()) {
	}
	if len(played) != 2 || played[0] > played[1] {
		t.Errorf("played %v", played)
	}
	for _, at := range []string{first, second} {
		if _, body := get(t, s, at); !strings.Contains(body, "1 of 20 requests failed.") || !strings.Contains(body, at+"/report.html") {
			t.Errorf("%s has no result:\n%s", at, body)
		}
	}
}

func TestAFullQueueIsSaidSoInOneLine(t *testing.T) {
	s := idle(t, pretend)
	for range maxWaiting {
		submit(t, s, "/runs", aForm(20))
	}
	status, body, h := ask(t, s, request(s, http.MethodPost, "/runs", aForm(20)))
	if status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.Contains(body, "8 runs wait already; try again when one has ended, or cancel one.") {
		t.Errorf("%d\n%s", status, body)
	}
	s.playNext(t.Context())
	submit(t, s, "/runs", aForm(20))
}

func TestAFormThatCannotBeIsSaidSoInOneLine(t *testing.T) {
	s := idle(t, pretend)
	for _, row := range []struct{ name, field, value, says string }{
		{"no number", "requests", "many", `requests &#34;many&#34;: must be a whole number, 10000000 at most`},
		{"a negative one", "seed", "-1", `seed &#34;-1&#34;: must be a whole number`},
		{"more than the scenario takes", "concurrency", "9000", "traffic: concurrency 9000: must be 1 to 8192"},
		{"more than is kept", "requests", "5000000", "MB is all that is kept: ask for fewer requests"},
		{"a scenario there is not", "scenario", "no-such", "no such scenario"},
	} {
		t.Run(row.name, func(t *testing.T) {
			form := aForm(20)
			form.Set(row.field, row.value)
			status, body, _ := ask(t, s, request(s, http.MethodPost, "/runs", form))
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, row.says) {
				t.Errorf("%d, want %q\n%s", status, row.says, body)
			}
		})
	}
	for _, row := range []struct{ name, class, seat, exercise, says string }{
		{"a class without a seat", "7", "", "", "class and seat: give both"},
		{"a seat without a class", "", "7", "", "class and seat: give both"},
		{"a class and a name", "7", "7", "f5-no-pool", "a class chooses the exercise"},
		{"a scenario with no answer", "", "", "no-fault", "is no exercise"},
	} {
		t.Run(row.name, func(t *testing.T) {
			form := map[string][]string{"class": {row.class}, "seat": {row.seat}, "name": {row.exercise}}
			status, body, _ := ask(t, s, request(s, http.MethodPost, "/exercises", form))
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, row.says) {
				t.Errorf("%d, want %q\n%s", status, row.says, body)
			}
		})
	}
	if len(s.jobs) > 0 {
		t.Errorf("%d runs were started", len(s.jobs))
	}
}

func TestWhatIsCancelledLeavesNothing(t *testing.T) {
	begun := make(chan struct{})
	s := idle(t, func(ctx context.Context, j *job) error {
		if err := pretend(ctx, j); err != nil {
			return err
		}
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	runs, waits := submit(t, s, "/runs", aForm(20)), submit(t, s, "/runs", aForm(20))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s.playNext(t.Context()) {
		}
	}()
	<-begun
	for _, at := range []string{waits, runs} {
		submit(t, s, at+"/cancel", nil)
	}
	<-ended
	for _, at := range []string{runs, waits} {
		if _, body := get(t, s, at); !strings.Contains(body, "It was cancelled; nothing is left of it.") {
			t.Errorf("%s:\n%s", at, body)
		}
		if status, _ := get(t, s, at+"/report.html"); status != http.StatusNotFound {
			t.Errorf("%s has a report: %d", at, status)
		}
	}
	for _, j := range s.jobs {
		if _, err := os.Stat(j.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder of run %d is there: %v", j.number, err)
		}
	}
}

func TestWhyARunFailedIsShown(t *testing.T) {
	s := idle(t, func(context.Context, *job) error { return errors.New("no\nluck") })
	at := submit(t, s, "/runs", aForm(20))
	s.playNext(t.Context())
	if _, body := get(t, s, at); !strings.Contains(body, "no; luck") || strings.Contains(body, "http-equiv") {
		t.Errorf("%s", body)
	}
}

func TestAServerThatEndsLeavesNothing(t *testing.T) {
	begun := make(chan struct{})
	dir := t.TempDir()
	s, err := New(Options{Listen: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.play = func(ctx context.Context, j *job) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	answer, err := http.PostForm(s.URL()+"runs", aForm(20))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	<-begun
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
	http.DefaultClient.CloseIdleConnections()
}
