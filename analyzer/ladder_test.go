package analyzer_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/internal/tshark"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ofStory draws the request from the client's port at fault: of its verdict, or, where
// there is none, of its address.
func ofStory(t *testing.T, s *analyzer.LadderStory) *ladder.Ladder {
	t.Helper()
	i := slices.IndexFunc(s.Report.Verdicts, func(v analyzer.Verdict) bool { return strings.Contains(v.Request.Client, ":5437") })
	q := ladder.Request{Client: netip.MustParseAddrPort("198.18.50.88:54373")}
	if strings.HasSuffix(s.Name, "IPv6") {
		q.Client = netip.MustParseAddrPort("[2001:db8::18:50:88]:54373")
	}
	if i >= 0 {
		var err error
		if q, err = ladder.Of(&s.Report.Verdicts[i]); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ladder.Build(t.Context(), s.Points, s.Report, q)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return l
}

// TestLadders draws what is hard to draw, and holds it against what was told, what the
// verdict cites and what tshark sees.
func TestLadders(t *testing.T) {
	dead := 0
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		t.Run(s.Name, func(t *testing.T) {
			l := ofStory(t, s)
			dead += diedWhereDrawn(t, s, l)
			citedIsDrawn(t, s, l)
			picture := &strings.Builder{}
			if err := l.SVG(picture); err != nil {
				t.Fatal(err)
			}
			needsNothing(t, picture.String())
			if strings.HasSuffix(s.Name, "IPv6") {
				return
			}
			name := strings.NewReplacer(" ", "-", ",", "", ":", "", "'", "").Replace(s.Name)
			golden(t, name+".txt", drawn(t, l, ladder.TextOptions{}))
			if s.Name == "the firewall drops the SYN" {
				golden(t, name+"-80.txt", drawn(t, l, ladder.TextOptions{Width: 80}))
				golden(t, name+"-60.txt", drawn(t, l, ladder.TextOptions{Width: 60}))
				golden(t, name+"-ascii.txt", drawn(t, l, ladder.TextOptions{ASCII: true}))
				golden(t, name+"-color.txt", drawn(t, l, ladder.TextOptions{Color: true}))
				golden(t, name+".svg", picture.String())
			}
		})
	})
	if dead == 0 {
		t.Error("nothing was ever drawn dead")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("ladder", "testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("run with -update if this is right; got\n%s", got)
	}
}

// diedWhereDrawn holds a ladder against what was told: a packet with a cross behind it
// died there, and where a verdict names a hop there is a cross. It counts crosses.
func diedWhereDrawn(t *testing.T, s *analyzer.LadderStory, l *ladder.Ladder) (dead int) {
	t.Helper()
	between := map[string]bool{}
	for _, r := range l.Rows {
		if r.Omitted > 0 || r.Fate != ladder.Died {
			continue
		}
		dead++
		last, next := l.Columns[r.Seen[len(r.Seen)-1].Column].Point, l.Columns[r.Next].Point
		between[last+" "+next] = true
		if !s.Died(l.Flows[r.Flow].Conn, r.ToServer, r.Flags, last, next) {
			t.Errorf("%s is drawn dead between %s and %s\n%s", r.What, last, next, drawn(t, l, ladder.TextOptions{}))
		}
	}
	for _, v := range s.Report.Verdicts {
		switch v.Cause {
		case analyzer.SYNDropped, analyzer.SYNAckDropped, analyzer.DataDropped, analyzer.ResponseDropped, analyzer.SessionExpired, analyzer.Rejected:
			if len(s.Report.Verdicts) == 1 && !between[strings.Join(v.Between, " ")] {
				t.Errorf("nothing is drawn dead between %v\n%s", v.Between, drawn(t, l, ladder.TextOptions{}))
			}
		}
	}
	return dead
}

// citedIsDrawn sees that all frames are there that the verdict cites.
func citedIsDrawn(t *testing.T, s *analyzer.LadderStory, l *ladder.Ladder) {
	t.Helper()
	if len(s.Report.Verdicts) != 1 {
		return
	}
	for _, e := range s.Report.Verdicts[0].Evidence {
		there := slices.ContainsFunc(l.Rows, func(r ladder.Row) bool {
			return r.Cited && slices.ContainsFunc(r.Seen, func(f ladder.Seen) bool {
				return l.Columns[f.Column].Point == e.Point && f.File == e.File && f.Frame == e.Frame
			})
		})
		if e.Kind == analyzer.KindFrame && !there {
			t.Errorf("frame %d of %s (%s) is not in the ladder\n%s", e.Frame, e.File, e.What, drawn(t, l, ladder.TextOptions{}))
		}
	}
}

// TestFramesAreWhatTheLadderSays asks tshark what each frame is that a row has.
func TestFramesAreWhatTheLadderSays(t *testing.T) {
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		l := ofStory(t, s)
		path := map[string]string{}
		for _, p := range s.Points {
			path[p.File] = p.Path
		}
		want := map[string]map[string][]uint64{} // by file and filter
		for _, r := range l.Rows {
			c := l.Flows[r.Flow].Conn
			src, dst := c.Client, c.Server
			if !r.ToServer {
				src, dst = dst, src
			}
			ip := "ip"
			if src.Addr().Is6() {
				ip = "ipv6"
			}
			for _, f := range r.Seen {
				filter := fmt.Sprintf("%s.src==%s && tcp.srcport==%d && %s.dst==%s && tcp.dstport==%d && tcp.flags==%d && tcp.len==%d && frame.time_epoch==%d.%09d",
					ip, src.Addr(), src.Port(), ip, dst.Addr(), dst.Port(), r.Flags, r.Len, f.Time.Unix(), f.Time.Nanosecond())
				if want[f.File] == nil {
					want[f.File] = map[string][]uint64{}
				}
				want[f.File][filter] = append(want[f.File][filter], f.Frame)
			}
		}
		for file, filters := range want {
			var any []string
			var frames []uint64
			for filter, numbers := range filters {
				any = append(any, "("+filter+")")
				frames = append(frames, numbers...)
			}
			slices.Sort(frames)
			got, err := tshark.Frames(t.Context(), path[file], strings.Join(any, " || "))
			if errors.Is(err, tshark.ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, frames) {
				t.Errorf("%s: %s: the ladder has frames %v, tshark finds %v", s.Name, file, frames, got)
			}
		}
	}, "the firewall drops the SYN", "the client gives up", "feth11 has every packet twice", "the addresses were used before, and are used again")
}

// needsNothing parses a picture and looks for anything from elsewhere.
func needsNothing(t *testing.T, picture string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !slices.Contains([]string{"svg", "title", "desc", "style", "g", "path", "rect", "text"}, e.Name.Local) {
			t.Errorf("<%s>", e.Name.Local)
		}
		for _, a := range e.Attr {
			if strings.Contains(a.Value, "//") && a.Name.Local != "xmlns" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("%s=%q", a.Name.Local, a.Value)
			}
		}
	}
}

func drawn(t *testing.T, l *ladder.Ladder, o ladder.TextOptions) string {
	t.Helper()
	var out strings.Builder
	if err := l.Text(&out, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
