package analyzer_test

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/internal/tshark"
)

// TestPages writes the page of every story that is hard to draw: what the verdict cites is
// on it, and its ladder.
func TestPages(t *testing.T) {
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		t.Run(s.Name, func(t *testing.T) {
			got := pageOf(t, s)
			if n := strings.Count(got, `class="hl"`); (n > 0) != (len(s.Report.Verdicts) > 0) {
				t.Errorf("%d ladders for %d verdicts", n, len(s.Report.Verdicts))
			}
			if marked := strings.Count(pageIn(t, s, "zh-Hans"), `<div lang="en"><svg xmlns`); marked != strings.Count(got, `class="hl"`) {
				t.Errorf("%d ladders are marked as English in a Chinese page", marked)
			}
			if strings.Count(got, "<style>") != 1 {
				t.Error("ladders bring style sheets of their own")
			}
			for _, v := range s.Report.Verdicts {
				if !strings.Contains(got, v.Request.Client) && !strings.Contains(got, v.Request.Client[strings.LastIndex(v.Request.Client, ":"):]) {
					t.Errorf("%s is not in the table", v.Request.Client)
				}
				if settle := html.EscapeString(v.WouldSettle); v.Hop == "" && !strings.Contains(got, settle) {
					t.Errorf("what would settle it is not said: %s", v.WouldSettle)
				}
			}
		})
	}, "the firewall drops the SYN", "the SYN dies in the switch, where nobody captured", "the server's capture ends before the failure",
		"there are no trailers", "the second request of a kept connection fails", "a slow success: two SYNs are lost in the firewall")
}

func pageOf(t *testing.T, s *analyzer.LadderStory) string {
	t.Helper()
	return pageIn(t, s, "en")
}

func pageIn(t *testing.T, s *analyzer.LadderStory, lang string) string {
	t.Helper()
	var out strings.Builder
	if err := page.Write(t.Context(), &out, s.Points, s.Report, page.Options{Language: lang}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestFiltersOfThePageFindWhatItSays has tshark try every filter that can be copied.
func TestFiltersOfThePageFindWhatItSays(t *testing.T) {
	filters := regexp.MustCompile(`<dt>([^<]*)<dd><code>([^<]*)</code>`)
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		path := map[string]string{}
		var all []string
		for _, p := range s.Points {
			path[p.File] = p.Path
			all = append(all, p.File)
		}
		found := filters.FindAllStringSubmatch(pageOf(t, s), -1)
		if len(found) == 0 {
			t.Fatalf("%s: no filters", s.Name)
		}
		var asked []string // what each filter is to find, and the filter
		queries := map[string][]string{}
		of := map[string][]int{} // by file, beside queries: whose the answers are
		for i, m := range found {
			what, filter := html.UnescapeString(m[1]), html.UnescapeString(m[2])
			in := all
			if i := slices.IndexFunc(all, func(f string) bool { return strings.HasSuffix(what, " "+f) }); i >= 0 {
				in = all[i : i+1]
			}
			var from, to uint64
			if _, err := fmt.Sscanf(what, "finds nothing in frames %d–%d", &from, &to); err == nil {
				filter = fmt.Sprintf("frame.number>=%d && frame.number<=%d && (%s)", from, to, filter)
			}
			asked = append(asked, what+": "+filter)
			for _, f := range in {
				queries[f] = append(queries[f], filter)
				of[f] = append(of[f], i)
			}
		}
		finds := make([]uint64, len(asked))
		for f, filters := range queries {
			counts, err := tshark.Counts(t.Context(), path[f], filters)
			if errors.Is(err, tshark.ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			for k, n := range counts {
				finds[of[f][k]] += n
			}
		}
		for i, q := range asked {
			if nothing := strings.HasPrefix(q, "finds nothing"); nothing != (finds[i] == 0) {
				t.Errorf("%s: %s finds %d frames", s.Name, q, finds[i])
			}
		}
	}, "the firewall drops the SYN")
}

// TestLinksAreThoseOfTheLab: the two servers are side by side, and all else is in line.
func TestLinksAreThoseOfTheLab(t *testing.T) {
	analyzer.LadderStories(t, func(s *analyzer.LadderStory) {
		var got []string
		for _, l := range s.Report.Links {
			got = append(got, s.Report.Points[l[0]].Name+" "+s.Report.Points[l[1]].Name)
		}
		want := []string{"client/eth0 f5/0.0", "f5/0.0 firewall/feth11", "firewall/feth11 firewall/feth10", "firewall/feth10 server1/eth0", "firewall/feth10 server2/eth0"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", s.Name, got, want)
		}
	}, "the firewall drops the SYN")
}
