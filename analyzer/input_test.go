package analyzer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/tshark"
)

func TestBadInputIsOneClearLine(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		name, path string
		kind       error
		want       string
	}{
		{"empty file", file("empty", ""), ErrMalformed, "it is empty"},
		{"text file", file("text", "hello, world"), ErrMalformed, `"hello, w"`},
		{"gzip that is cut off at once", file("gz", "\x1f\x8b\x08\x00aaaaaaa"), ErrMalformed, "only 0 bytes of it can be read: gzip: it is cut off"},
		{"xz", file("xz", "\xfd7zXZ\x00"), ErrMalformed, "xz; decompress it first"},
		{"no file", filepath.Join(dir, "none"), ErrIO, "no such file"},
		{"a folder", dir, ErrIO, "directory"},
	} {
		_, err := Analyze(context.Background(), []Point{{Name: "a/b", Hop: "a", File: "shown", Path: c.path}}, Options{})
		var in *InputError
		if !errors.As(err, &in) || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "shown: ") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.kind, c.want)
		}
	}
}

func TestLoadPoints(t *testing.T) {
	for _, c := range []struct {
		name, json string
		kind       error
		want       string
	}{
		{"sound", `{"schema_version":1,"points":[{"name":"a/b","hop":"a","face":"b","side":"clientside","file":"captures/x.pcapng"}]}`, nil, ""},
		{"not JSON", `nope`, ErrMalformed, "is not valid"},
		{"other version", `{"schema_version":2}`, ErrMalformed, "schema_version 2"},
		{"no points", `{"schema_version":1}`, ErrMalformed, "lists no points"},
		{"unknown side", `{"schema_version":1,"points":[{"name":"a","hop":"a","file":"x.pcapng","side":"left"}]}`, ErrMalformed, `side "left"`},
		{"twice", `{"schema_version":1,"points":[{"name":"a","hop":"a","file":"x.pcapng"},{"name":"a","hop":"a","file":"x.pcapng"}]}`, ErrMalformed, "twice"},
		{"missing file", `{"schema_version":1,"points":[{"name":"a","hop":"a","file":"y.pcapng"}]}`, ErrIO, "names y.pcapng for point a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := t.TempDir()
			dir := filepath.Join(run, "captures")
			for _, err := range []error{os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "x.pcapng"), nil, 0o600),
				os.WriteFile(filepath.Join(dir, "points.json"), []byte(c.json), 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range []string{dir, run} { // the captures folder, or the run's
				got, err := LoadPoints(d)
				if c.kind == nil {
					if err != nil || len(got) != 1 || filepath.Base(got[0].Path) != "x.pcapng" || !exists(got[0].Path) {
						t.Errorf("got %+v, %v", got, err)
					}
				} else if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %v with %q", err, c.kind, c.want)
				}
			}
		})
	}
	if _, err := LoadPoints(t.TempDir()); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "points.json") {
		t.Errorf("no points.json: got %v", err)
	}
	if _, err := LoadPoints(filepath.Join(t.TempDir(), "no")); !errors.Is(err, ErrIO) {
		t.Errorf("no folder: got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	s := newStory(t)
	s.background(0, 10)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Analyze(ctx, s.write(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestDamagedTail cuts the server's capture in the middle: a warning, and what
// is missing is not covered.
func TestDamagedTail(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth10", "")
	s.background(0, 300)
	points := s.write()
	last := points[len(points)-1].Path
	raw, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(last, raw[:len(raw)/3], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Analyze(context.Background(), points, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "server2-eth0.pcapng: damaged after frame") {
		t.Errorf("warnings: got %q", r.Warnings)
	}
	if v := r.Verdicts[0]; v.Cause != Inconclusive || !strings.Contains(v.WouldSettle, "the whole of server2-eth0.pcapng") {
		t.Errorf("got %s %s, settle %q", v.Hop, v.Cause, v.WouldSettle)
	}
}

func TestAnalysisIsRepeatable(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.failing(at, 18, 54374, 1, "f5/0.0", "")
	s.background(0, 200)
	points := s.write()
	var first []byte
	for range 5 {
		r, err := Analyze(context.Background(), points, Options{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(r)
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Fatalf("two runs differ:\n%s\n%s", first, got)
		}
	}
}

// TestTsharkConfirmsTheEvidence looks every cited frame and absence up.
func TestTsharkConfirmsTheEvidence(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s := newStory(t)
		s.v6 = v6
		s.good(at-2e9, 5, 54373, 2)
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		s.failing(at, 18, 54374, 1, "server1/eth0", "")
		s.failing(at, 19, 54375, 1, "", "server1/eth0")
		s.background(0, 100)
		points := s.write()
		r, err := Analyze(context.Background(), points, Options{})
		if err != nil {
			t.Fatal(err)
		}
		flags := map[string]string{"SYN": "0x0002", "SYN-ACK": "0x0012", "RST": "0x0014"}
		cited := map[string][]tshark.Citation{} // by point
		checked := 0
		cite := func(e Evidence) {
			checked++
			if e.Kind == KindAbsence {
				if e.FromFrame == 0 || e.FromFrame > e.ToFrame {
					t.Errorf("no frames at all in the range of %+v", e)
				}
				cited[e.Point] = append(cited[e.Point], tshark.Citation{From: e.FromFrame, To: e.ToFrame, Filter: e.Filter})
				return
			}
			word, _, _ := strings.Cut(strings.TrimRight(strings.Fields(e.What)[0], ",:"), " ")
			if flags[word] != "" {
				cited[e.Point] = append(cited[e.Point], tshark.Citation{Frame: e.Frame, Filter: "tcp.flags == " + flags[word]})
			}
		}
		for _, v := range r.Verdicts {
			for _, e := range v.Evidence {
				cite(e)
			}
			for _, h := range v.Eliminated {
				for _, e := range h.Evidence {
					cite(e)
				}
			}
		}
		for _, p := range points {
			wrong, err := tshark.Disagreements(t.Context(), p.Path, cited[p.Name])
			if errors.Is(err, tshark.ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range wrong {
				t.Error(what)
			}
		}
		if checked < 20 {
			t.Errorf("only %d pieces of evidence", checked)
		}
	}
}

// TestSeveralPointsInOneFile reads two points from the interfaces of one file.
func TestSeveralPointsInOneFile(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 300)
	points := s.write()
	both := filepath.Join(t.TempDir(), "firewall.pcapng")
	if out, err := exec.Command("mergecap", "-w", both, points[2].Path, points[3].Path).CombinedOutput(); err != nil {
		t.Skipf("mergecap cannot make the file: %v: %s", err, out)
	}
	for _, i := range []int{2, 3} {
		points[i].File, points[i].Path, points[i].Interface = "firewall.pcapng", both, points[i].Face
	}
	r, err := Analyze(context.Background(), points, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Verdicts; len(v) != 1 || v[0].Hop != "firewall" || v[0].Cause != SYNDropped {
		t.Errorf("got %s", show(r))
	}
}

func TestJSONShape(t *testing.T) {
	var out bytes.Buffer
	r := &Report{SchemaVersion: 1, Points: []PointReport{{}}, Verdicts: []Verdict{{RST: &RST{}}}, Findings: []Finding{}, Warnings: []string{}}
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	keys := func(v any) []string {
		var k []string
		for n := range v.(map[string]any) {
			k = append(k, n)
		}
		return k
	}
	for name, c := range map[string]struct {
		got  []string
		want string
	}{
		"report":  {keys(m), "schema_version points requests verdicts findings warnings"},
		"point":   {keys(m["points"].([]any)[0]), "name file packets first last clock_offset_ns loss"},
		"verdict": {keys(m["verdicts"].([]any)[0]), "request outcome rst hop between direction cause confidence evidence eliminated would_settle"},
	} {
		got, want := map[string]bool{}, map[string]bool{}
		for _, k := range c.got {
			got[k] = true
		}
		for _, k := range strings.Fields(c.want) {
			want[k] = true
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got keys %v, want %v", name, c.got, c.want)
		}
	}
}

func TestCausesTable(t *testing.T) {
	if len(Causes) != 33 {
		t.Errorf("got %d causes, want 33", len(Causes))
	}
	if !SYNDropped.CanBeAt(AtForwarder) || SYNDropped.CanBeAt(AtServer) || Cause("x").Valid() {
		t.Error("the table of causes is wrong")
	}
	for _, r := range rules {
		if !r.cause.Valid() {
			t.Errorf("rule for unknown cause %q", r.cause)
		}
	}
}
