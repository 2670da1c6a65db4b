package analyzer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/annotate"
	"github.com/hopblame/hopblame/internal/tshark"
)

// merged writes the story's captures as one.
func merged(t *testing.T, s *analyzer.LadderStory) (file string, n annotate.Counts) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "all.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err = annotate.Write(t.Context(), f, s.Points, s.Report)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return file, n
}

func fields(t *testing.T, file, filter string, names ...string) [][]string {
	t.Helper()
	rows, err := tshark.Fields(t.Context(), file, filter, names...)
	if errors.Is(err, tshark.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestAllPointsInOneCapture has tshark read what was merged: no frame is missing or there
// twice, each is on its point's interface, in order of time by the first point's clock, and
// the comments stand on the frames that they name.
func TestAllPointsInOneCapture(t *testing.T) {
	stories := []string{"the firewall drops the SYN", "clocks are an hour apart"}
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		t.Run(s.Name, func(t *testing.T) {
			file, n := merged(t, s)
			got := map[string]uint64{}
			last := 0.0
			for _, row := range fields(t, file, "frame", "frame.interface_name", "frame.time_epoch") {
				got[row[0]]++
				at, err := strconv.ParseFloat(row[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				if at < last {
					t.Errorf("a frame of %s is %v s before the one above it", row[0], last-at)
				}
				last = at
			}
			total := uint64(0)
			for _, p := range s.Points {
				want := uint64(len(fields(t, p.Path, "frame", "frame.number")))
				if got[p.Name] != want {
					t.Errorf("%d frames of %s, want %d", got[p.Name], p.Name, want)
				}
				total += want
			}
			if n.Frames != total || len(got) > len(s.Points) {
				t.Errorf("%d frames were counted of %d points, want %d", n.Frames, len(got), total)
			}
			commentsAreOnTheirFrames(t, s, file, n)
		})
	}, stories...)
}

// origin is what a comment says of where its frame is from.
var origin = regexp.MustCompile(`\(frame (\d+) of ([^)]*)\)$`)

// commentsAreOnTheirFrames looks every frame with a comment up in the capture that the
// comment names: it has the same bytes there, as far as TCP's numbers tell.
func commentsAreOnTheirFrames(t *testing.T, s *analyzer.LadderStory, file string, n annotate.Counts) {
	t.Helper()
	path := map[string]string{}
	for _, p := range s.Points {
		path[p.File] = p.Path
	}
	names := []string{"tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.srcport", "tcp.dstport", "frame.len"}
	said := map[string]string{} // by file and number
	rows := fields(t, file, "frame.comment", append([]string{"frame.comment", "frame.interface_name"}, names...)...)
	wanted := map[string][]string{} // by file: rows of fields, by number
	numbers := map[string][]string{}
	for _, row := range rows {
		for c := range strings.SplitSeq(row[0], "\n") {
			m := origin.FindStringSubmatch(c)
			if m == nil {
				t.Fatalf("comment %q does not say where the frame is from", c)
			}
			said[m[2]+" "+m[1]] = c
			wanted[m[2]+" "+m[1]] = row[2:]
			numbers[m[2]] = append(numbers[m[2]], m[1])
		}
	}
	for f, list := range numbers {
		for _, row := range fields(t, path[f], "frame.number in {"+strings.Join(list, ", ")+"}", append([]string{"frame.number"}, names...)...) {
			if want := wanted[f+" "+row[0]]; !slices.Equal(row[1:], want) {
				t.Errorf("frame %s of %s is %q, and what has a comment about it is %q", row[0], f, row[1:], want)
			}
			delete(wanted, f+" "+row[0])
		}
	}
	if len(wanted) > 0 {
		t.Errorf("comments are about frames that are not there: %v", wanted)
	}
	if uint64(len(rows)) != n.Commented {
		t.Errorf("%d frames have comments, %d were counted", len(rows), n.Commented)
	}
	for _, v := range s.Report.Verdicts {
		for k, e := range v.Evidence {
			if e.Kind != analyzer.KindFrame {
				continue
			}
			c := said[fmt.Sprintf("%s %d", e.File, e.Frame)]
			for _, want := range []string{v.Request.Client, v.Hop, string(v.Cause)} {
				if !strings.Contains(c, want) && v.Hop != "" {
					t.Errorf("evidence %d, %s frame %d: %q does not say %q", k, e.File, e.Frame, c, want)
				}
			}
		}
	}
}

// TestAProfileShowsPointsAndEvidence has tshark use it.
func TestAProfileShowsPointsAndEvidence(t *testing.T) {
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		file, n := merged(t, s)
		config := t.TempDir()
		dir := filepath.Join(config, "profiles", "hopblame")
		for range 2 { // again is no error
			if err := annotate.Profile(dir, s.Report); err != nil {
				t.Fatal(err)
			}
		}
		list, err := tshark.Listed(t.Context(), config, "hopblame", file, "frame.comment")
		if errors.Is(err, tshark.ErrMissing) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(list)) != n.Commented {
			t.Errorf("%d packets are listed, want %d", len(list), n.Commented)
		}
		for _, line := range list {
			if !strings.Contains(line, "Verdict: firewall, syn-dropped") || !slices.ContainsFunc(s.Points, func(p analyzer.Point) bool { return strings.Contains(line, " "+p.Name+" ") }) {
				t.Errorf("no point or no evidence in %q", line)
			}
		}
		rules, err := tshark.Listed(t.Context(), config, "hopblame", file, "frame.comment", "frame.coloring_rule.name")
		if err != nil || slices.ContainsFunc(rules, func(r string) bool { return r != "Evidence" }) || len(rules) != len(list) {
			t.Errorf("evidence has the colours of %q, %v", rules, err)
		}
		triesFilterButtons(t, dir, file)
	}, "the firewall drops the SYN")
}

// triesFilterButtons undoes the quoting of dfilter_buttons and has tshark try each filter.
func triesFilterButtons(t *testing.T, dir, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "dfilter_buttons"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^"TRUE","([^"]*)","([^"]*)","[^"]*"$`).FindAllSubmatch(text, -1)
	if len(found) != 4+6 {
		t.Fatalf("%d buttons, want 4 and one for each of 6 points:\n%s", len(found), text)
	}
	var filters []string
	for _, m := range found {
		filters = append(filters, strings.ReplaceAll(string(m[2]), `\x22`, `"`))
	}
	counts, err := tshark.Counts(t.Context(), file, filters)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range found {
		if label := string(m[1]); (counts[i] == 0) != (label == "errors") {
			t.Errorf("%s: %s finds %d frames", label, m[2], counts[i])
		}
	}
}
