package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) { topology.Main(m) }

// idle makes a server whose queue is worked off by the test, and whose runs do what play does.
func idle(t *testing.T, play func(context.Context, *job) error) *Server {
	t.Helper()
	s, err := New(Options{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if play != nil {
		s.play = play
	}
	return s
}

// pretend is a run that leaves what a run leaves.
func pretend(_ context.Context, j *job) error {
	j.outcome = &outcome{Valid: true, Passed: true, Sent: "20", Failed: "1", Blamed: []blamed{{"1", "firewall", "syn-dropped"}}}
	return errors.Join(
		os.MkdirAll(filepath.Join(j.dir, "captures"), 0o755),
		os.MkdirAll(filepath.Join(j.dir, "truth"), 0o755),
		os.WriteFile(filepath.Join(j.dir, "captures", "client-eth0.pcapng"), make([]byte, 1000), 0o644),
		os.WriteFile(filepath.Join(j.dir, "captures", "points.json"), []byte("{}"), 0o644),
		os.WriteFile(filepath.Join(j.dir, "truth", "ledger.ndjson"), []byte("the truth"), 0o644),
		os.WriteFile(filepath.Join(j.dir, "report.html"), []byte("<!DOCTYPE html><title>the report</title>"), 0o644))
}

// request is one of a browser that shows a page of the server.
func request(s *Server, method, path string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = s.listener.Addr().String()
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

// ask has a request answered.
func ask(t *testing.T, s *Server, r *http.Request) (status int, body string, header http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text), w.Header()
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	status, body, _ := ask(t, s, request(s, http.MethodGet, path, nil))
	return status, body
}

// submit starts something, and returns its path.
func submit(t *testing.T, s *Server, to string, form url.Values) string {
	t.Helper()
	status, body, h := ask(t, s, request(s, http.MethodPost, to, form))
	if status != http.StatusSeeOther {
		t.Fatalf("POST %s: %d\n%s", to, status, body)
	}
	return h.Get("Location")
}

func aForm(requests int) url.Values {
	return url.Values{"scenario": {"firewall-drops-syn"}, "requests": {strconv.Itoa(requests)}, "concurrency": {"16"}, "seed": {"7"}}
}
