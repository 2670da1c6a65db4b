package analyzer

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// rotate cuts a capture into n files, as dumpcap -b does, in the folder of the
// first, and returns their names in order of time.
func rotate(tb testing.TB, file string, n int) []string {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := pcapng.NewReader(bytes.NewReader(raw))
	if err != nil {
		tb.Fatal(err)
	}
	type frame struct {
		time int64
		wire int
		data []byte
	}
	var frames []frame
	for {
		p, err := r.Next()
		if err != nil {
			break
		}
		frames = append(frames, frame{p.Time, p.WireLength, bytes.Clone(p.Data)})
	}
	in := r.Interfaces()[0]
	var out []string
	for k := range n {
		var b bytes.Buffer
		w, err := pcapng.NewWriter(&b, pcapng.Section{})
		if err == nil {
			_, err = w.AddInterface(in.Interface)
		}
		for _, f := range frames[k*len(frames)/n : (k+1)*len(frames)/n] {
			if err == nil {
				err = w.WritePacket(0, f.time, f.wire, f.data)
			}
		}
		if err == nil && k == n-1 && in.HasStatistics {
			err = w.WriteStatistics(0, in.Statistics)
		}
		name := fmt.Sprintf("%s_%05d_%014d.pcapng", strings.TrimSuffix(file, ".pcapng"), k+1, 20261122205700+k)
		if err = cmp.Or(err, w.Flush(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
			tb.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}

// rotated is the story's points with one of them in several files, the order of
// which means nothing.
func rotated(tb testing.TB, points []Point, i, n int, shuffle func([]string)) []Point {
	names := rotate(tb, points[i].Path, n)
	shuffle(names)
	var out []Point
	for k, p := range points {
		if k != i {
			out = append(out, p)
			continue
		}
		for _, name := range names {
			q := p
			q.Path, q.File = name, filepath.Base(name)
			out = append(out, q)
		}
	}
	return out
}

// verdictsOf is a report without the places where evidence was found.
func verdictsOf(t *testing.T, r *Report) string {
	t.Helper()
	c := *r
	c.Points = nil
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestARotatedCaptureIsOnePoint judges the same failures from one file and from
// several: the verdicts are equal, and each piece of evidence is in its file.
func TestARotatedCaptureIsOnePoint(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.failing(at+7e9, 18, 54374, 1, "f5/0.0", "")
	s.background(0, 700)
	points := s.write()
	whole, err := Analyze(t.Context(), points, Options{})
	s.check(err)
	for _, row := range []struct {
		name    string
		shuffle func([]string)
	}{
		{"in order", func([]string) {}},
		{"the other way round", slices.Reverse[[]string]},
		{"in any order", func(n []string) {
			rand.New(rand.NewPCG(3, 4)).Shuffle(len(n), func(i, j int) { n[i], n[j] = n[j], n[i] })
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			const i, n = 2, 5 // firewall/feth11
			r, err := Analyze(t.Context(), rotated(t, points, i, n, row.shuffle), Options{})
			if err != nil {
				t.Fatal(err)
			}
			p := r.Points[i]
			if len(r.Points) != len(points) || p.Name != "firewall/feth11" || len(p.Files) != n || !slices.IsSorted(p.Files) || p.File != p.Files[0] ||
				p.Packets != whole.Points[i].Packets || p.First != whole.Points[i].First || p.Last != whole.Points[i].Last {
				t.Errorf("got %+v, want %+v in %d files", p, whole.Points[i], n)
			}
			if len(r.Verdicts) != len(whole.Verdicts) {
				t.Fatalf("%d verdicts, want %d", len(r.Verdicts), len(whole.Verdicts))
			}
			cited := 0
			for k, v := range r.Verdicts {
				w := whole.Verdicts[k]
				if v.Hop != w.Hop || v.Cause != w.Cause || v.Confidence != w.Confidence {
					t.Errorf("got %s %s %v, want %s %s %v", v.Hop, v.Cause, v.Confidence, w.Hop, w.Cause, w.Confidence)
				}
				cited += checkEvidence(t, points, i, v.Evidence, w.Evidence)
			}
			if cited < 4 { // the tries of the SYN
				t.Errorf("only %d frames of the rotated point are cited", cited)
			}
		})
	}
}

// checkEvidence compares the frames cited in rotated files with those cited in the
// whole, and returns how many there are.
func checkEvidence(t *testing.T, points []Point, i int, got, want []Evidence) int {
	t.Helper()
	dir := filepath.Dir(points[i].Path)
	frames := func(es []Evidence) (out []string) {
		for _, e := range es {
			if e.Kind == KindFrame && e.Point == points[i].Name {
				out = append(out, string(frameOf(t, filepath.Join(dir, e.File), e.Frame)))
			}
		}
		return out
	}
	a, b := frames(got), frames(want)
	if !slices.Equal(a, b) {
		t.Errorf("%d frames cited, want %d, or they differ", len(a), len(b))
	}
	return len(a)
}

func frameOf(t *testing.T, file string, number uint64) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapng.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if err != nil {
			t.Fatalf("%s has no frame %d: %v", file, number, err)
		}
		if p.Number == number {
			return bytes.Clone(p.Data)
		}
	}
}

// TestAnAbsenceMaySpanFiles rotates the point that did not see the SYN so that the
// range in which it was looked for lies in several files.
func TestAnAbsenceMaySpanFiles(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 700)
	points := s.write()
	r, err := Analyze(t.Context(), rotated(t, points, 3, 7, slices.Reverse[[]string]), Options{}) // firewall/feth10
	s.check(err)
	files := map[string]bool{}
	for _, e := range r.Verdicts[0].Evidence {
		if e.Kind == KindAbsence && e.Point == "firewall/feth10" {
			if files[e.File] || e.FromFrame < 1 || e.FromFrame > e.ToFrame {
				t.Errorf("got %+v", e)
			}
			files[e.File] = true
		}
	}
	if len(files) < 2 || r.Verdicts[0].Hop != "firewall" {
		t.Errorf("the absence is in %d files, %s", len(files), show(r))
	}
}

// TestAPauseBetweenFilesIsAHole leaves out a file of the rotation in which the
// SYNs would have been: that they are absent proves nothing.
func TestAPauseBetweenFilesIsAHole(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth10", "")
	s.background(0, 700)
	points := s.write()
	all := rotated(t, points, 3, 7, func([]string) {})
	from, to := s.start.Add(at-1e9), s.start.Add(at+4e9)
	kept := slices.DeleteFunc(slices.Clone(all), func(p Point) bool {
		if p.Name != "firewall/feth10" {
			return false
		}
		c, err := scan(t.Context(), &p.captures()[0], nil)
		s.check(err)
		return c.found[0].last > from.UnixNano() && c.found[0].first < to.UnixNano()
	})
	if len(kept) == len(all) || len(kept) < len(points) {
		t.Fatalf("%d of %d files are left", len(kept), len(all))
	}
	r, err := Analyze(t.Context(), kept, Options{})
	s.check(err)
	if v := r.Verdicts[0]; v.Hop == "firewall" {
		t.Errorf("blamed for what was not captured: %s", show(r))
	}
}

func TestDamageInOneOfSeveralFilesCostsItsRestOnly(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 700)
	points := s.write()
	all := rotated(t, points, 2, 4, func([]string) {})
	whole, err := Analyze(t.Context(), all, Options{})
	s.check(err)
	cut := all[3].Path // of the firewall's second file
	raw, err := os.ReadFile(cut)
	s.check(err)
	s.check(os.WriteFile(cut, raw[:len(raw)-100], 0o600))
	r, err := Analyze(t.Context(), all, Options{})
	s.check(err)
	lost := whole.Points[2].Packets - r.Points[2].Packets
	if lost < 1 || lost > 3 || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], all[3].File+": damaged after frame") {
		t.Errorf("%d packets are lost, and the warnings are %q", lost, r.Warnings)
	}
	if v := r.Verdicts; len(v) != 1 || v[0].Hop != "firewall" {
		t.Errorf("got %s", show(r))
	}
}

func TestFrameNumbersOfSeveralFiles(t *testing.T) {
	s := &survey{point: Point{Name: "a/b"}}
	for i, n := range []uint64{10, 0, 5} {
		base := uint64(0)
		if i > 0 {
			base = 10
		}
		s.sources = append(s.sources, source{Capture: Capture{File: string(rune('x' + i))}, base: base, frames: n})
	}
	for frame, want := range map[uint64]string{1: "x 1", 10: "x 10", 11: "z 1", 15: "z 5"} {
		if file, n := s.locate(frame); fmt.Sprint(file, " ", n) != want {
			t.Errorf("frame %d: got %s %d, want %s", frame, file, n, want)
		}
	}
	for _, row := range []struct {
		from, to uint64
		want     []fileRange
	}{
		{1, 10, []fileRange{{"x", 1, 10}}},
		{9, 12, []fileRange{{"x", 9, 10}, {"z", 1, 2}}},
		{1, 15, []fileRange{{"x", 1, 10}, {"z", 1, 5}}},
		{11, 99, []fileRange{{"z", 1, 5}}},
		{1, 0, []fileRange{{"x", 1, 0}}},
	} {
		if got := s.ranges(row.from, row.to); !slices.Equal(got, row.want) {
			t.Errorf("%d–%d: got %v, want %v", row.from, row.to, got, row.want)
		}
	}
}

func FuzzRanges(f *testing.F) {
	f.Add([]byte{10, 0, 5}, uint16(3), uint16(12))
	f.Fuzz(func(t *testing.T, sizes []byte, from, to uint16) {
		s := &survey{}
		var all uint64
		for i, n := range sizes {
			s.sources = append(s.sources, source{Capture: Capture{File: fmt.Sprint(i)}, base: all, frames: uint64(n)})
			all += uint64(n)
		}
		var sum, want uint64
		if a, b := max(uint64(from), 1), min(uint64(to), all); a <= b {
			want = b - a + 1
		}
		for _, r := range s.ranges(uint64(from), uint64(to)) {
			if r.From > r.To {
				continue
			}
			if sum += r.To - r.From + 1; want == 0 {
				sum = 0
			}
		}
		if sum != want {
			t.Fatalf("%d frames in %d–%d of %v, want %d", sum, from, to, sizes, want)
		}
	})
}

// FuzzRotation gives the files of a rotation in any order and any number.
func FuzzRotation(f *testing.F) {
	f.Add(uint8(3), uint64(1))
	f.Add(uint8(1), uint64(1))
	f.Add(uint8(60), uint64(7))
	s := newStory(f)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 200)
	points := s.write()
	whole, err := Analyze(f.Context(), points, Options{})
	s.check(err)
	f.Fuzz(func(t *testing.T, n uint8, seed uint64) {
		r, err := Analyze(t.Context(), rotated(t, points, 3, int(n)%64+1, func(n []string) {
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(n), func(i, j int) { n[i], n[j] = n[j], n[i] })
		}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v := r.Verdicts; len(v) != 1 || v[0].Hop != "firewall" || v[0].Confidence != whole.Verdicts[0].Confidence ||
			r.Points[3].Packets != whole.Points[3].Packets {
			t.Fatalf("%d files: got %s", n, show(r))
		}
	})
}

func TestCompressedCapturesGiveTheSameVerdicts(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 300)
	points := s.write()
	whole, err := Analyze(t.Context(), points, Options{})
	s.check(err)
	for i := range points {
		raw, err := os.ReadFile(points[i].Path)
		s.check(err)
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err = w.Write(raw)
		s.check(cmp.Or(err, w.Close(), os.WriteFile(points[i].Path, b.Bytes(), 0o600)))
	}
	var last Progress
	r, err := Analyze(t.Context(), points, Options{Progress: func(p Progress) { last = p }})
	s.check(err)
	if verdictsOf(t, r) != verdictsOf(t, whole) {
		t.Errorf("got %s\nwant %s", show(r), show(whole))
	}
	if last.Bytes != last.Size || last.Size == 0 {
		t.Errorf("progress ends at %d of %d bytes", last.Bytes, last.Size)
	}
}

func TestAnInterfaceIsChosenByNameNumberOrIndex(t *testing.T) {
	rows := framesInEveryWrapping(t) // one interface for each link type
	file := filepath.Join(t.TempDir(), "all.pcapng")
	writeFrames(t, file, rows)
	count := func(links ...uint16) (n uint64) {
		for _, r := range rows {
			if slices.Contains(links, r.link) {
				n++
			}
		}
		return n
	}
	for _, row := range []struct {
		choice string
		want   uint64
		err    string
	}{
		{"", uint64(len(rows)), ""},
		{"link1", count(linkEthernet), ""},
		{"0", count(linkEthernet), ""},
		{"1", count(linkSLL), ""},
		{"ifindex 7", count(linkSLL2), ""},
		{"ifindex 8", 0, ""},
		{"99", 0, "there is no interface 99 in this file; there are link1, link113, "},
		{"eth9", 0, "point a/b: there is no interface eth9 in this file"},
	} {
		t.Run(row.choice, func(t *testing.T) {
			r, err := Analyze(t.Context(), []Point{{Name: "a/b", Hop: "a", Face: "b", File: file, Interface: row.choice}}, Options{})
			switch {
			case row.err != "":
				if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), row.err) {
					t.Errorf("got %v, want %q", err, row.err)
				}
			case err != nil:
				t.Error(err)
			case r.Points[0].Packets != row.want:
				t.Errorf("got %d packets, want %d", r.Points[0].Packets, row.want)
			}
		})
	}
}
