package verify

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// why runs a stage that was changed and returns what is against it, in lines.
func why(t *testing.T, dir string, report *analyzer.Report) string {
	t.Helper()
	r, err := Run(t.Context(), report, dir)
	check(t, err)
	if r.Statements != r.Confirmed+len(r.Failures) {
		t.Errorf("%d statements, %d confirmed, %d failures", r.Statements, r.Confirmed, len(r.Failures))
	}
	var lines []string
	for _, f := range r.Failures {
		lines = append(lines, f.Statement+": "+f.Why)
	}
	return strings.Join(lines, "\n")
}

func TestWhatIsAgainstAVerdict(t *testing.T) {
	for _, row := range []struct {
		name   string
		cause  analyzer.Cause
		change func(s *stage)           // before the captures are written
		edit   func(r *analyzer.Report) // after
		want   string
	}{
		{"a file from before digests", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			for i := range r.Verdicts[0].Evidence {
				r.Verdicts[0].Evidence[i].Digest = ""
			}
		}, "evidence[0]: frame 4 of captures/client-eth0.pcapng: cannot be confirmed: no digest"},
		{"a frame without a filter", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Evidence[0].Filter = "" }, "cannot be confirmed: no filter"},
		{"a frame beyond the file", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Evidence[0].Frame = 1 << 40 }, "the file has 7 frames"},
		{"the SYN did pass", analyzer.SYNDropped, func(s *stage) {
			s.put("firewall/feth10", 3*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		}, nil, "evidence[4]: absence in frames 1–5 of captures/firewall-feth10.pcapng: frame 4 is there and matches"},
		{"an absence asked for by frame number", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Evidence[4].Filter += " && frame.number==1" }, "cannot be asked for by frame.number"},
		{"an absence asked for by what the trailer has", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			r.Verdicts[0].Evidence[4].Filter += " && f5ethtrailer.rstcausepeer==1"
		}, "differs from point to point"},
		{"an absence of something else", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			r.Verdicts[0].Evidence[4].Filter = strings.ReplaceAll(synFilter, "43166", "43167")
		}, "evidence[4] does not ask for frame 4 of captures/firewall-feth11.pcapng"},
		{"a filter that cannot be read", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Evidence[4].Filter = "tcp.len contains 1" }, "cannot check filter"},
		{"an absence that leaves out a try", analyzer.DataDropped, func(s *stage) {
			s.see("firewall/feth11", 4*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POSTED"})
		}, func(r *analyzer.Report) {
			for i := range r.Verdicts[0].Evidence {
				if e := &r.Verdicts[0].Evidence[i]; e.Kind == analyzer.KindAbsence {
					e.Filter = strings.Replace(e.Filter, "tcp.len>0", "tcp.len==4", 1)
				}
			}
		}, "another try"},
		{"evidence of another connection", analyzer.NoAnswer, func(s *stage) {
			for i := range s.v.Evidence {
				if t := s.v.Evidence[i]; t.Point == "server1/eth0" && t.Kind == analyzer.KindFrame {
					s.see("server1/eth0", 2500*time.Millisecond, segment{src: "198.18.60.247:43999", dst: theServer, flags: flagSYN, seq: 100})
				}
			}
		}, nil, "which no trailer of the client's connection names"},
		{"a RST that the other side caused", analyzer.NoPoolMember, func(s *stage) {
			s.v.Evidence = nil
			s.begin()
			s.reset("No pool member available", true)
		}, nil, "says that the cause lies on the other side"},
		{"a RST that the proxy only received", analyzer.NoPoolMember, func(s *stage) {
			s.v.Evidence = nil
			s.begin()
			p := rst("No pool member available", false)
			p.trailer.Low.Ingress = true
			s.see("f5/0.0", 6*time.Second, p)
			p.trailer = nil
			s.see("client/eth0", 6*time.Second, p)
		}, nil, "no RST with a trailer is cited that the hop made"},
		{"no pool member, and a serverside connection", analyzer.NoPoolMember, func(s *stage) {
			s.v.Evidence = nil
			s.begin()
			p := rst("No pool member available", true)
			p.trailer.Medium.RSTCause.Peer = false
			s.see("f5/0.0", 6*time.Second, p)
			p.trailer = nil
			s.see("client/eth0", 6*time.Second, p)
		}, nil, "names a serverside connection all the same"},
		{"a legacy trailer tells the same", analyzer.NoPoolMember, func(s *stage) {
			s.v.Evidence = nil
			s.begin()
			p := rst("No server selected", false)
			p.trailer.Format = f5trailer.Legacy
			s.see("f5/0.0", 6*time.Second, p)
			p.trailer = nil
			s.see("client/eth0", 6*time.Second, p)
			s.v.RST.Cause = "No server selected"
		}, nil, ""},
		{"evidence against a rival that is not there", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			e := r.Verdicts[0].Evidence[0]
			e.Frame++
			r.Verdicts[0].Eliminated = []analyzer.Hypothesis{{Hypothesis: "x", Why: "y", Evidence: []analyzer.Evidence{e}}}
		}, "eliminated[0].evidence[0]: frame 5"},
		{"evidence of a finding that is not there", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			e := r.Verdicts[0].Evidence[0]
			e.Frame++
			r.Findings = []analyzer.Finding{{What: "x", Requests: 1, Evidence: []analyzer.Evidence{e}}}
		}, "findings[0].evidence[0]: frame 5"},
		{"a hop that only one face was captured of", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			r.Verdicts[0].Between = []string{"firewall/feth11"}
		}, "between must name the point that saw the SYN last"},
		{"a request of which nothing is said, though another capture has it", analyzer.SYNDropped, nil, func(r *analyzer.Report) {
			q := &r.Verdicts[0].Request
			q.Method, q.Target, q.ID = "", "", ""
		}, ""},
		{"a request of which something else is said", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Request.ID = "18" }, "says POST \"/batch\", id \"17\""},
		{"text that would move the cursor", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Verdicts[0].Hop = "\x1b[2J" }, "hop, between, direction: what is between"},
		{"a clock that is no interval", analyzer.SYNDropped, nil, func(r *analyzer.Report) { r.Points[2].ClockOffset = &[2]int64{5, -5} }, "is no interval"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t)
			stages[row.cause](s)
			if row.change != nil {
				row.change(s)
			}
			dir, report := s.write()
			if row.edit != nil {
				row.edit(report)
			}
			got := why(t, dir, report)
			if row.want == "" && got != "" || !strings.Contains(got, row.want) || strings.ContainsRune(got, '\x1b') {
				t.Errorf("got\n%s\nwant %q", got, row.want)
			}
		})
	}
}

// TestARangeMustCoverTheTime moves the edges of an absence's range, and the clock of
// the capture it is in. The SYNs were seen 2 s and 3 s after the start; the frames of
// the other capture are of 0, 0.1, 0.2 and 9 s.
func TestARangeMustCoverTheTime(t *testing.T) {
	for _, row := range []struct {
		name     string
		from, to uint64
		offset   *[2]int64
		holds    bool
	}{
		{"the whole file", 1, 4, &[2]int64{0, 0}, true},
		{"the whole file, with clocks that nobody compared", 1, 4, nil, true},
		{"just what was around", 3, 3, &[2]int64{0, 0}, true},
		{"the same, with clocks that nobody compared", 3, 3, nil, false},
		{"only what was before", 1, 2, &[2]int64{0, 0}, false},
		{"only what came after", 4, 4, &[2]int64{0, 0}, true},
		{"a clock 2 s behind: the range begins too late", 4, 4, &[2]int64{-2e9, -19e8}, false},
		{"a clock that may be 7 s ahead: the range ends too early", 2, 3, &[2]int64{0, 7e9}, false},
		{"the same, to the end", 2, 4, &[2]int64{0, 7e9}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t)
			stages[analyzer.SYNDropped](s)
			dir, report := s.write()
			e := &report.Verdicts[0].Evidence[4]
			e.FromFrame, e.ToFrame = row.from, row.to
			report.Points[3].ClockOffset = row.offset
			got := why(t, dir, report)
			if row.holds && got != "" || !row.holds && !strings.Contains(got, "does not cover the time") {
				t.Errorf("got %q, want it to hold: %v", got, row.holds)
			}
		})
	}
}

// TestNothingOutsideTheFolderIsRead: a verdicts.json may come from anybody.
func TestNothingOutsideTheFolderIsRead(t *testing.T) {
	s := newStage(t)
	stages[analyzer.SYNDropped](s)
	dir, report := s.write()
	inside := filepath.Join(dir, "captures", "client-eth0.pcapng")
	outside := filepath.Join(t.TempDir(), "x.pcapng")
	check(t, os.Rename(inside, outside))
	for _, row := range []struct {
		name, file string
		prepare    func() error
		kind       error
		want       string
	}{
		{"up", "../x.pcapng", nil, analyzer.ErrMalformed, "lies outside"},
		{"up, by a detour", "captures/../../x.pcapng", nil, analyzer.ErrMalformed, "lies outside"},
		{"an absolute path", outside, nil, analyzer.ErrMalformed, "lies outside"},
		{"no name", "", nil, analyzer.ErrMalformed, "lies outside"},
		{"a link to the outside", "captures/client-eth0.pcapng", func() error { return os.Symlink(outside, inside) }, analyzer.ErrIO, "escapes"},
		{"a folder", "captures", nil, analyzer.ErrIO, "is no regular file"},
		{"nothing", "captures/none.pcapng", nil, analyzer.ErrIO, "there is no such file"},
		{"text", "captures/text", func() error { return os.WriteFile(filepath.Join(dir, "captures", "text"), []byte("hello"), 0o600) }, analyzer.ErrMalformed, "is no capture"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.prepare != nil {
				check(t, row.prepare())
			}
			report.Points[0].File = row.file
			_, err := Run(t.Context(), report, dir)
			var in *analyzer.InputError
			if !errors.As(err, &in) || !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v with %q", err, row.kind, row.want)
			}
		})
	}
}

func TestCapturesAreFoundByEitherName(t *testing.T) {
	s := newStage(t)
	stages[analyzer.SYNDropped](s)
	dir, report := s.write()
	abs, err := filepath.Abs(dir)
	check(t, err)
	for _, row := range []struct {
		name, folder string
		rename       func(string) string
	}{
		{"relative to the run directory", dir, func(f string) string { return f }},
		{"in the captures folder", filepath.Join(dir, "captures"), func(f string) string { return f }},
		{"by the base name, in the run directory", dir, filepath.Base},
		{"by an absolute path inside", dir, func(f string) string { return filepath.Join(abs, f) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			raw := *report
			raw.Points = append([]analyzer.PointReport(nil), report.Points...)
			raw.Verdicts = []analyzer.Verdict{report.Verdicts[0]}
			raw.Verdicts[0].Evidence = append([]analyzer.Evidence(nil), report.Verdicts[0].Evidence...)
			for i := range raw.Points {
				raw.Points[i].File = row.rename(raw.Points[i].File)
			}
			for i := range raw.Verdicts[0].Evidence {
				raw.Verdicts[0].Evidence[i].File = row.rename(raw.Verdicts[0].Evidence[i].File)
			}
			if got := why(t, row.folder, &raw); got != "" {
				t.Error(got)
			}
		})
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"nothing", "", "v:1:1: is empty"},
		{"no JSON", "{\n  nope", "v:2:"},
		{"another type", `{"schema_version":"1"}`, "schema_version is a string"},
		{"an unknown key", `{"schema_version":1,"verdict":[]}`, `v:1:21: is no verdicts.json: unknown field "verdict"`},
		{"another version", `{"schema_version":2}`, "has schema_version 2, this program reads 1"},
		{"more behind it", `{"schema_version":1} {}`, "goes on behind its end"},
		{"a negative frame", `{"schema_version":1,"verdicts":[{"evidence":[{"frame":-1}]}]}`, "frame is a number"},
	} {
		_, err := Decode("v", strings.NewReader(row.text))
		if !errors.Is(err, analyzer.ErrMalformed) || !strings.HasPrefix(err.Error(), "v:") || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func FuzzDecodeAndRun(f *testing.F) {
	s := newStage(f)
	stages[analyzer.SYNDropped](s)
	dir, report := s.write()
	var b strings.Builder
	check(f, report.WriteJSON(&b))
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, text string) {
		report, err := Decode("v", strings.NewReader(text))
		if err != nil {
			return
		}
		var in *analyzer.InputError
		if _, err := Run(t.Context(), report, dir); err != nil && !errors.As(err, &in) {
			t.Fatal(err)
		}
	})
}
