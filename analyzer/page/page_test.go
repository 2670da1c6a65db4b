package page

import (
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
)

// many is a report of n failed requests, as a run of a batch leaves it, of which every
// hundredth is not decided.
func many(n int) *analyzer.Report {
	start := time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
	r := &analyzer.Report{SchemaVersion: 1, Requests: analyzer.RequestCounts{Seen: n, Failed: n}, Links: [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}}}
	for _, name := range []string{"client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10", "server1/eth0", "server2/eth0"} {
		r.Points = append(r.Points, analyzer.PointReport{Name: name, File: strings.ReplaceAll(name, "/", "-") + ".pcapng", Packets: 7, First: start, Last: start.Add(time.Hour)})
	}
	r.Points[5].Packets = 0
	for i := range n {
		v := analyzer.Verdict{Outcome: analyzer.Reset, RST: &analyzer.RST{By: "f5"}, Hop: "firewall", Cause: analyzer.SYNDropped, Confidence: 0.9999,
			Between: []string{"firewall/feth11", "firewall/feth10"},
			Request: analyzer.RequestRef{Client: fmt.Sprintf("198.18.50.88:%d", 1024+i%60000), Server: "198.18.50.67:8165", Start: start.Add(time.Duration(i) * 7 * time.Millisecond),
				StartPoint: "client/eth0", Method: "POST", Target: "/batch", ID: fmt.Sprint(i)},
			Evidence: []analyzer.Evidence{{Kind: analyzer.KindFrame, Point: "firewall/feth11", File: "firewall-feth11.pcapng", Frame: uint64(10 * i)}}}
		if i%100 == 99 {
			v.Hop, v.Cause, v.Between, v.WouldSettle = "", analyzer.Inconclusive, []string{"firewall/feth10", "server2/eth0"}, "a capture at <server2>"
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}

// written writes a page without ladders.
func written(t *testing.T, r *analyzer.Report) string {
	t.Helper()
	var out strings.Builder
	p := &page{words: english, lang: "en", r: r, groups: report.Groups(r)}
	if err := p.write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var cells = regexp.MustCompile(`(?m)^<tr><td>[0-9:.]{12}<td>([^<]*)<td>([^<]*)`)

func TestAllFailedRequestsAreThereAndThePageStaysSmall(t *testing.T) {
	for _, n := range []int{1, 3, 650, maxWide, maxWide + 1, 100_000} {
		got := written(t, many(n))
		ids := map[string]bool{}
		for _, m := range cells.FindAllStringSubmatch(got, -1) {
			ids[m[2]] = true
			if !strings.HasPrefix(m[1], ":") {
				t.Fatalf("%d: the one client's address is repeated: %s", n, m[0])
			}
		}
		if len(ids) != n {
			t.Errorf("%d of %d requests are in the table", len(ids), n)
		}
		if most := 5_000_000 - 500_000; len(got) > most { // half a megabyte for the ladders
			t.Errorf("%d requests take %d bytes, want at most %d", n, len(got), most)
		}
		t.Logf("%d requests: %d bytes", n, len(got))
	}
}

func TestThePageAllowsItselfAndNothingFromElsewhere(t *testing.T) {
	got := written(t, many(200))
	part := func(expr string) string {
		m := regexp.MustCompile(`(?s)` + expr).FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("no %s", expr)
		}
		return html.UnescapeString(m[1])
	}
	css := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(got)[1]
	js := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(got)[1]
	if allowed := part(`Content-Security-Policy" content="([^"]*)"`); allowed != policy(css, js) || !strings.HasPrefix(allowed, "default-src 'none'; ") {
		t.Errorf("the policy %s does not fit what is there", allowed)
	}
	if n := strings.Count(got, "<style") + strings.Count(got, "<script"); n != 2 {
		t.Errorf("%d style sheets and scripts, want one each", n)
	}
	for _, bad := range []string{" style=", " onclick=", "http://", "https://", "url(", "@import", "src=", "<link", "<base", "<iframe"} {
		if strings.Contains(got, bad) {
			t.Errorf("there is %q in the page", bad)
		}
	}
	if strings.Contains(got, "<server2>") || !strings.Contains(got, "&lt;server2&gt;") {
		t.Error("somebody else's text is taken for HTML")
	}
}

func TestTheAnswer(t *testing.T) {
	only := func(n int, edit func(i int, v *analyzer.Verdict)) *analyzer.Report {
		r := many(n)
		r.Requests.Seen = 20000
		for i := range r.Verdicts {
			edit(i, &r.Verdicts[i])
		}
		return r
	}
	same := func(int, *analyzer.Verdict) {}
	for _, row := range []struct {
		name string
		r    *analyzer.Report
		mark string
		want string
	}{
		{"there are no requests", &analyzer.Report{}, "?", "The captures hold no request, so they say nothing about any."},
		{"all is well", &analyzer.Report{Requests: analyzer.RequestCounts{Seen: 2000, OK: 2000}}, "✔", "None of 2,000 requests failed."},
		{"one failed", only(1, same), "✗", "firewall is at fault in the one failed request, of 20,000: firewall received the SYN and did not forward it. Confidence 0.9999."},
		{"many failed alike", only(12, func(i int, v *analyzer.Verdict) { v.Confidence -= float64(i%2) / 100 }), "✗",
			"firewall is at fault in all 12 failed requests, of 20,000: firewall received the SYN and did not forward it. Confidence 0.9899 to 0.9999."},
		{"two are at fault, and some are open", only(200, func(i int, v *analyzer.Verdict) {
			if i < 50 {
				v.Hop, v.Cause = "server2", analyzer.NoAnswer
			}
		}), "✗", "200 of 20,000 requests failed, and not all for one reason: firewall in 148 (syn-dropped), server2 in 50 (no-answer), undecided in 2."},
		{"nothing is decided", only(3, func(_ int, v *analyzer.Verdict) { v.Hop, v.Cause = "", analyzer.Inconclusive }), "?",
			"3 of 20,000 requests failed, and the captures do not decide who is at fault."},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &page{words: english, lang: "en", r: row.r, groups: report.Groups(row.r)}
			if got := p.answer(); got != row.want || p.mark() != row.mark {
				t.Errorf("got %s %q\nwant %s %q", p.mark(), got, row.mark, row.want)
			}
			written(t, row.r)
		})
	}
}

func TestWhoIsAtFaultIsMarkedOnThePathInWords(t *testing.T) {
	for _, row := range []struct {
		name  string
		edit  func(r *analyzer.Report)
		wants []string
	}{
		{"a hop, and a place that is open", func(*analyzer.Report) {}, []string{`class="box guilty"`, "✗ at fault: 198", "? open: 2", "sends the RST", "no packets", `class="way unseen"`}},
		{"a link", func(r *analyzer.Report) {
			for i := range r.Verdicts {
				r.Verdicts[i].Hop, r.Verdicts[i].Between = "link:f5-firewall", []string{"f5/0.0", "firewall/feth11"}
			}
		}, []string{"class=cross", ">✗ 200<"}},
		{"nobody, behind a point", func(r *analyzer.Report) {
			for i := range r.Verdicts {
				r.Verdicts[i].Hop, r.Verdicts[i].Between = "", []string{"firewall/feth10"}
			}
		}, []string{"? open: 200"}},
		{"captures that nobody named", func(r *analyzer.Report) {
			for i := range r.Points {
				r.Points[i].Name = fmt.Sprintf("p%d", i+1)
			}
			for i := range r.Verdicts {
				r.Verdicts[i].Hop, r.Verdicts[i].Between = "link:p3-p4", []string{"p3", "p4"}
			}
		}, []string{">p6<", ">✗ 200<"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := many(200)
			row.edit(r)
			got := string((&page{words: english, lang: "en", r: r, groups: report.Groups(r)}).topology())
			for _, want := range row.wants {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
		})
	}
}

func TestEveryFailedRequestIsInTheTimeline(t *testing.T) {
	r := many(1000)
	for i := range r.Verdicts { // more kinds than have a line
		r.Verdicts[i].Hop = fmt.Sprintf("hop%d", i%(maxLanes+4))
	}
	p := &page{words: english, lang: "en", r: r, groups: report.Groups(r)}
	from, step := p.span()
	lanes := p.lanes(from, step)
	n := 0
	for _, l := range lanes {
		for _, k := range l.n {
			n += k
		}
	}
	if len(lanes) != maxLanes+1 || n != 1000 {
		t.Errorf("%d requests on %d lines, want 1000 on %d", n, len(lanes), maxLanes+1)
	}
}

var verb = regexp.MustCompile(`%(\[\d+\])?[+.\d]*[a-z%]|%\d`)

// TestEveryLanguageSaysAll: each has every sentence, with the same things filled in.
func TestEveryLanguageSaysAll(t *testing.T) {
	verbs := func(s string) string {
		all := verb.FindAllString(s, -1)
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, lang := range Languages() {
		for name, s := range english {
			other, ok := languages[lang][name]
			if !ok || strings.TrimSpace(other) == "" {
				t.Errorf("%s does not say %s", lang, name)
			} else if verbs(other) != verbs(s) {
				t.Errorf("%s: %s has %s, want %s", lang, name, verbs(other), verbs(s))
			}
		}
		for name := range languages[lang] {
			if _, ok := english[name]; !ok {
				t.Errorf("%s says %s, which is not English", lang, name)
			}
		}
	}
	got := written(t, many(200))
	if m := regexp.MustCompile(`![a-z][a-z-]+[^a-z-]|%!.{9}`).FindString(strings.Split(got, "<style>")[0] + strings.Split(strings.Split(got, "</style>")[1], "<script>")[0]); m != "" {
		t.Errorf("a word is missing: %s", m)
	}
}

func TestALanguageThatIsNotThere(t *testing.T) {
	err := Write(t.Context(), io.Discard, nil, &analyzer.Report{}, Options{Language: "xx"})
	if err == nil || !strings.HasPrefix(err.Error(), `language "xx": the page can be written in en`) {
		t.Errorf("got %v", err)
	}
}
