package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// TestMain lets garbage lie: each of thousands of runs takes a megabyte of buffer a
// file, and collecting it took most of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(2000)
	m.Run()
}

func TestEveryCauseHasAStageThatIsConfirmed(t *testing.T) {
	for cause := range analyzer.Causes {
		if _, ok := needs[cause]; !ok {
			t.Errorf("%s needs nothing", cause)
		}
		tell, ok := stages[cause]
		if !ok {
			t.Errorf("%s has no stage", cause)
			continue
		}
		s := newStage(t)
		tell(s)
		dir, report := s.write()
		r, err := Run(t.Context(), report, dir)
		check(t, err)
		if len(r.Failures) > 0 || r.Confirmed != r.Statements || r.Statements == 0 {
			t.Errorf("%s: %+v", cause, r)
		}
	}
	for cause := range needs {
		if !cause.Valid() {
			t.Errorf("there is no cause %s", cause)
		}
	}
}

// spared are the changes after which a verdict is still true, or says nothing that
// frames could refute. Each has its reason.
var spared = []struct {
	path *regexp.Regexp
	from func(change string) bool // nil: any change
	why  string
}{
	{regexp.MustCompile(`\.(what|why|hypothesis)$`), nil, "free text"},
	{regexp.MustCompile(`^warnings|\.loss\.|clock_offset_ns\.`), nil, "estimates over whole captures"},
	{regexp.MustCompile(`^points\.4\.name$`), nil, "of a point that nothing cites"},
	{regexp.MustCompile(`\.would_settle$`), func(c string) bool { return c != `""` }, "free text, as long as there is some"},
	{regexp.MustCompile(`\.confidence$`), func(c string) bool { return c != "0" }, "an estimate; its range is checked"},
	{regexp.MustCompile(`^requests\.(seen|ok)$`), func(c string) bool { return c == "11" || c == "8" || c == "0" }, "requests that went well, or were still open, are not cited"},
	{regexp.MustCompile(`\.(from_frame|to_frame)$`), func(c string) bool { return c != "0" }, "a range less one frame at its edge is still one without the packet; see TestARangeMustCoverTheTime"},
	{regexp.MustCompile(`\.filter$`), func(c string) bool { return strings.Contains(c, `tcp.len\u003e1"`) }, "an absence of data longer than 1 byte is as much one of the data that is cited"},
	{regexp.MustCompile(`\.rst\.by$`), func(c string) bool { return c == `""` }, "says less; only where no trailer says more"},
}

func isSpared(path, change string, cause analyzer.Cause) bool {
	if path == "verdicts.0.direction" && needs[cause].direction == "" && !slices.Contains([]string{`""`, `"sideways"`}, change) {
		// Nothing was under way: the proxy or the client ended it by itself.
		return len(stagesBetween(cause)) < 2
	}
	if path == "verdicts.0.cause" && cause == analyzer.MTUBlackhole && change == `"data-dropped"` ||
		path == "verdicts.0.cause" && cause == analyzer.SessionExpired && change == `"data-dropped"` {
		return true // also true, and says less
	}
	if path == "verdicts.0.cause" && cause == analyzer.AsymmetricPath && change == `"syn-ack-dropped"` {
		return true // also true, and says less
	}
	if path == "verdicts.0.cause" && cause == analyzer.NoAnswer && change == `"listen-queue-full"` {
		return true // a full queue drops SYNs in silence: the frames of one request are the same
	}
	if cause == analyzer.Inconclusive && (strings.HasPrefix(path, "verdicts.0.between") || path == "verdicts.0.direction") {
		// It names nobody: where to look is a hint, if it names what there is.
		return !regexp.MustCompile(`"sideways"|x"|feth12|feth13|eth1"|server2`).MatchString(change) && !(strings.Contains(path, "between.") && change == `""`)
	}
	if path == "verdicts.0.rst" && cause == analyzer.AppError {
		return true
	}
	for _, s := range spared {
		if s.path.MatchString(path) && (s.from == nil || s.from(change)) {
			return true
		}
	}
	return false
}

func stagesBetween(cause analyzer.Cause) []string {
	s := newStage(quietTB{})
	stages[cause](s)
	return s.v.Between
}

// quietTB lets a stage be set without a test.
type quietTB struct{ testing.TB }

func (quietTB) Helper()           {}
func (quietTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// TestEveryChangeOfAVerdictIsFound changes one field at a time.
func TestEveryChangeOfAVerdictIsFound(t *testing.T) {
	for cause, tell := range stages {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			tell(s)
			dir, report := s.write()
			raw, err := json.Marshal(report)
			check(t, err)
			tried := 0
			mutate(t, raw, func(path, change string, mutant []byte) {
				if (strings.HasPrefix(path, "points.") || strings.HasPrefix(path, "requests.")) && cause != analyzer.SYNDropped || isSpared(path, change, cause) {
					return
				}
				if i := ofEvidence.FindStringSubmatch(path); i != nil && cause != analyzer.SYNDropped {
					n, err := strconv.Atoi(i[1])
					check(t, err)
					if report.Verdicts[0].Evidence[n].Kind == analyzer.KindFrame && i[2] != "frame" && i[2] != "point" {
						return // frames are checked alike: all changes of those of one case are enough
					}
				}
				tried++
				if !rejected(t, dir, mutant) {
					t.Errorf("survives: %s = %s", path, change)
				}
			})
			if tried < 60 {
				t.Errorf("only %d changes were tried", tried)
			}
		})
	}
}

var ofEvidence = regexp.MustCompile(`^verdicts\.0\.evidence\.(\d+)\.(\w+)$`)

// rejected tells whether a verdicts.json does not pass.
func rejected(t *testing.T, dir string, raw []byte) bool {
	t.Helper()
	report, err := Decode("verdicts.json", bytes.NewReader(raw))
	if err != nil {
		return true
	}
	r, err := Run(t.Context(), report, dir)
	return err != nil || len(r.Failures) > 0
}

// mutate calls try with every change of one leaf of a JSON text.
func mutate(t *testing.T, raw []byte, try func(path, change string, mutant []byte)) {
	t.Helper()
	var root any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	check(t, d.Decode(&root))
	put := func(path string, set func(any), old any, changes []any) {
		for _, c := range changes {
			set(c)
			mutant, err := json.Marshal(root)
			check(t, err)
			change, err := json.Marshal(c)
			check(t, err)
			try(path, string(change), mutant)
		}
		set(old)
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		join := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
		switch x := v.(type) {
		case map[string]any:
			if strings.HasSuffix(path, ".rst") {
				put(path, set, v, []any{nil})
			}
			for k := range x {
				walk(join(k), x[k], func(n any) { x[k] = n })
			}
		case []any:
			if strings.HasSuffix(path, ".between") && len(x) == 2 {
				put(path, set, v, []any{[]any{x[1], x[0]}, []any{x[0]}, []any{x[1]}, []any{}, []any{x[0], x[0]}, []any{x[0], x[1], "client/eth0"}})
			}
			for i := range x {
				walk(join(strconv.Itoa(i)), x[i], func(n any) { x[i] = n })
			}
		default:
			put(path, set, v, changes(path, v))
		}
	}
	walk("", root, func(any) {})
}

var number = regexp.MustCompile(`\d+`)

// changes of a leaf: to a neighbour, to nothing, to what it could have been instead.
func changes(path string, v any) (out []any) {
	switch x := v.(type) {
	case bool:
		return []any{!x}
	case nil:
		if strings.HasSuffix(path, ".rst") {
			return []any{map[string]any{"by": "f5", "cause": "", "peer": false}}
		}
	case json.Number:
		if n, err := x.Int64(); err == nil {
			out = []any{n + 1, n - 1, -n - 1}
			if n != 0 {
				out = append(out, 0)
			}
			return out
		}
		return []any{0, -0.5, 1.5}
	case string:
		if at, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return []any{at.Add(1).Format(time.RFC3339Nano), at.Add(-1).Format(time.RFC3339Nano), at.Add(time.Hour).Format(time.RFC3339Nano)}
		}
		if x != "" {
			out = append(out, "")
		}
		out = append(out, x+"x")
		switch key := path[strings.LastIndexByte(path, '.')+1:]; key {
		case "cause":
			for c := range analyzer.Causes {
				out = append(out, string(c))
			}
		case "outcome":
			out = append(out, "ok", "reset", "refused", "timeout", "truncated", "error")
		case "direction":
			out = append(out, "to-server", "to-client", "sideways")
		case "kind":
			out = append(out, "frame", "absence")
		case "hop", "by":
			out = append(out, "client", "f5", "firewall", "server1", "link:f5-firewall", "link:firewall-server1", "link:firewall-f5")
		case "point", "start_point", "0", "1":
			out = append(out, "client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10", "server1/eth0")
		case "file":
			out = append(out, "captures/client-eth0.pcapng", "captures/f5-0.0.pcapng", "../x.pcapng", "/etc/passwd")
		case "digest":
			out = append(out, strings.ToUpper(x), x[:8])
		}
		for _, at := range number.FindAllStringIndex(x, -1) { // addresses, ports, filters
			if n, err := strconv.ParseUint(x[at[0]:at[1]], 10, 32); err == nil {
				out = append(out, x[:at[0]]+strconv.FormatUint(n+1, 10)+x[at[1]:])
			}
		}
		out = slices.DeleteFunc(out, func(c any) bool { return c == any(x) })
	}
	return out
}

// TestEveryChangedByteOfACitedFrameIsFound flips a bit of each byte.
func TestEveryChangedByteOfACitedFrameIsFound(t *testing.T) {
	for cause, tell := range stages {
		s := newStage(t)
		tell(s)
		dir, report := s.write()
		step := 41 // the digest does not care which: all bytes of one case are enough
		if cause == analyzer.SYNDropped {
			step = 1
		}
		for _, e := range report.Verdicts[0].Evidence {
			if e.Kind != analyzer.KindFrame {
				continue
			}
			path := filepath.Join(dir, e.File)
			sound, err := os.ReadFile(path)
			check(t, err)
			data := s.frames[e.Point][e.Frame-1].data
			begin := bytes.Index(sound, data)
			for i := 0; i < len(data); i += step {
				sound[begin+i] ^= 1
				check(t, os.WriteFile(path, sound, 0o600))
				sound[begin+i] ^= 1
				r, err := Run(t.Context(), report, dir)
				check(t, err)
				if len(r.Failures) == 0 {
					t.Errorf("%s: byte %d of frame %d of %s may be anything", cause, i, e.Frame, e.File)
				}
			}
			check(t, os.WriteFile(path, sound, 0o600))
		}
	}
}
