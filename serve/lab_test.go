package serve

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/capfile"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// visitor is a browser without a screen.
type visitor struct {
	t    *testing.T
	base string
	http.Client
}

// visit starts a server with real labs, and sees that nothing is left of it.
func visit(t *testing.T) *visitor {
	t.Helper()
	labtest.Build(t, topology.IPv4) // which skips where there can be no labs
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	s, err := New(Options{Listen: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	v := &visitor{t: t, base: strings.TrimSuffix(s.URL(), "/"), Client: http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		v.CloseIdleConnections()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
		goroutinesGo(t, before)
	})
	return v
}

// goroutinesGo waits until there are no more goroutines than before.
func goroutinesGo(t *testing.T, before int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// read is what a path, or where it leads, answers with.
func (v *visitor) read(path string) (body string, h http.Header) {
	v.t.Helper()
	return v.body(v.Get(v.base + path))
}

// send sends a form, and returns the page that it leads to and its path.
func (v *visitor) send(path string, form url.Values) (at, body string) {
	v.t.Helper()
	r, err := v.PostForm(v.base+path, form)
	if err == nil {
		at = r.Request.URL.Path
	}
	body, _ = v.body(r, err)
	return at, body
}

func (v *visitor) body(r *http.Response, err error) (string, http.Header) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s (%v)\n%s", r.Request.URL, r.Status, err, text)
	}
	return string(text), r.Header
}

// watch reads what there is of a job until it is over, and calls see with each.
func (v *visitor) watch(at string, see func(live string)) {
	v.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		live, h := v.read(at + "/live")
		see(live)
		if h.Get("Hopblame-Over") == "true" {
			return
		}
		<-tick.C
	}
}

var (
	stepMarks = regexp.MustCompile(`<span class="mark" aria-hidden="true">(.)</span>`)
	captured  = regexp.MustCompile(`<td>client/eth0<td class="number">([0-9,]+)`)
	struck    = regexp.MustCompile(`✗ ([0-9,]+) dropped<`)
	proof     = regexp.MustCompile(`Which packet\? ([a-z0-9.-]+\.pcapng):([0-9]+)`)
)

func TestARunIsWatchedReadAndTakenAlong(t *testing.T) {
	v := visit(t)
	at, _ := v.send("/runs", url.Values{"scenario": {"firewall-drops-syn"}, "requests": {"600"}, "concurrency": {"64"}, "seed": {"7"}})
	var shapes, packets, drops []string
	v.watch(at, func(live string) {
		shape := ""
		for _, m := range stepMarks.FindAllStringSubmatch(live, -1) {
			shape += m[1]
		}
		note := func(list *[]string, what string) {
			if what != "" && !slices.Contains(*list, what) {
				*list = append(*list, what)
			}
		}
		note(&shapes, shape)
		for list, e := range map[*[]string]*regexp.Regexp{&packets: captured, &drops: struck} {
			if m := e.FindStringSubmatch(live); m != nil {
				note(list, m[1])
			}
		}
	})
	if !slices.IsSortedFunc(shapes, func(a, b string) int { return strings.Count(a, "✓") - strings.Count(b, "✓") }) || shapes[len(shapes)-1] != "✓✓✓✓✓" ||
		!slices.Contains(shapes, "✓✓▶○○") {
		t.Errorf("steps: %q", shapes)
	}
	if len(packets) < 2 || len(drops) < 2 {
		t.Errorf("counts do not grow: packets %q, drops %q", packets, drops)
	}
	page, _ := v.read(at)
	for _, want := range []string{"of 600 requests failed.", "firewall — syn-dropped", "own check: valid", "0 wrong", drops[len(drops)-1] + " dropped"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the result\n%s", want, page)
		}
	}
	report, h := v.read(at + "/report.html")
	if !strings.Contains(report, "firewall is at fault in all") || h.Get("Content-Security-Policy") != reportPolicy {
		t.Errorf("the report: %s\n%.2000s", h.Get("Content-Security-Policy"), report)
	}
	archive, _ := v.read(at + "/captures.zip")
	z, err := zip.NewReader(strings.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	alone, h := v.read(at + "/files/firewall-feth11.pcapng")
	if h.Get("Content-Disposition") != "attachment; filename=firewall-feth11.pcapng" {
		t.Errorf("a capture is %q", h.Get("Content-Disposition"))
	}
	folder := "firewall-drops-syn-" + strings.TrimPrefix(at, "/runs/") + "/captures/"
	inZip, err := z.Open(folder + "firewall-feth11.pcapng")
	if err != nil {
		t.Fatalf("%v: there are %q", err, names)
	}
	same, err := io.ReadAll(inZip)
	if err != nil || string(same) != alone || len(names) != 7 {
		t.Errorf("in the archive: %q, and firewall-feth11.pcapng with %d bytes of %d (%v)", names, len(same), len(alone), err)
	}
	r, err := capfile.NewReader(bytes.NewReader(same))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestARunThatOutgrowsItsRoomIsEnded(t *testing.T) {
	labtest.Build(t, topology.IPv4)
	s := idle(t, func(ctx context.Context, j *job) error {
		j.room = 100 << 10
		return play(ctx, j)
	})
	at := submit(t, s, "/runs", aForm(20000))
	s.playNext(t.Context())
	if _, body := get(t, s, at); !strings.Contains(body, "its captures grew larger than was made room for") {
		t.Errorf("%s", body)
	}
	if left, err := os.ReadDir(s.folder.Path); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

func TestAnExerciseFromTicketToStory(t *testing.T) {
	v := visit(t)
	at, _ := v.send("/exercises", url.Values{"name": {"firewall-drops-syn"}})
	v.watch(at, func(live string) {
		if strings.Contains(live, "feth11") || strings.Contains(live, "dropped") {
			t.Errorf("it is counted hop by hop:\n%s", live)
		}
	})
	page, _ := v.read(at)
	secrets := []string{"firewall-drops-syn", "swallows", "firewall is at fault", "syn-drop<"}
	tellsNothing := func(page string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(page, secret) {
				t.Errorf("%q is told:\n%s", secret, page)
			}
		}
	}
	tellsNothing(page)
	if !strings.Contains(page, "TICKET") || !strings.Contains(page, "100 of 100 points") || strings.Contains(page, "train answer") {
		t.Errorf("%s", page)
	}
	for _, name := range []string{"exercise.json", "solution.sealed", "progress.json", "report.html", "result.json"} {
		for _, path := range []string{at + "/files/" + name, at + "/" + name} {
			if r, err := v.Get(v.base + path); err != nil || r.StatusCode != http.StatusNotFound {
				t.Errorf("%s is served (%v)", path, err)
			} else {
				r.Body.Close()
			}
		}
	}
	answer := func(hop string, cause analyzer.Cause, file, frame string) string {
		_, page := v.send(at+"/answer", url.Values{"hop": {hop}, "cause": {string(cause)}, "file": {file}, "frame": {frame}})
		return page
	}
	page = answer("f5", "", "f5-0.0.pcapng", "")
	tellsNothing(page)
	if !strings.Contains(page, "<strong>Hop f5</strong>: wrong") || !strings.Contains(page, "95 of 100 points") {
		t.Errorf("a wrong answer:\n%s", page)
	}
	if page = answer("firewall", analyzer.SYNDropped, "", ""); !strings.Contains(page, "<strong>Hop firewall</strong>: right") || strings.Contains(page, `<select name="hop">`) {
		t.Errorf("half of the right answer:\n%s", page)
	}
	for range 9 {
		if proof.MatchString(page) {
			break
		}
		tellsNothing(page)
		_, page = v.send(at+"/hint", nil)
	}
	m := proof.FindStringSubmatch(page)
	if m == nil || !strings.Contains(page, "These were all.") {
		t.Fatalf("the last hint:\n%s", page)
	}
	page = answer("", "", m[1], m[2])
	if !strings.Contains(page, "Solved, with ") || !strings.Contains(page, "WHY NOBODY ELSE") {
		t.Errorf("solved:\n%s", page)
	}
}
