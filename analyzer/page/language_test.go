package page

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/locale"
	"golang.org/x/net/html"
)

// everyKind is a report that has something to say in every part of the page: a verdict of
// each cause and outcome, open ones, findings, warnings, and a point that nobody named.
func everyKind() *analyzer.Report {
	r := many(120)
	causes := slices.Sorted(func(yield func(analyzer.Cause) bool) {
		for c := range analyzer.Causes {
			if c != analyzer.Inconclusive && !yield(c) {
				return
			}
		}
	})
	outcomes := []analyzer.Outcome{analyzer.Reset, analyzer.Refused, analyzer.Timeout, analyzer.Truncated, analyzer.Error, analyzer.TLSError, analyzer.Unknown}
	r.Requests.Seen = 5000
	r.Points = append(r.Points, analyzer.PointReport{Name: "p7", File: "p7.pcapng"})
	r.Findings = []analyzer.Finding{{What: "they all went to one server", Evidence: r.Verdicts[0].Evidence}}
	r.Warnings = []string{"a clock was set"}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		v.Outcome = outcomes[i%len(outcomes)]
		v.Evidence[0].What = "the SYN, going in"
		v.Evidence = append(v.Evidence, analyzer.Evidence{Kind: analyzer.KindAbsence, Point: "firewall/feth10", File: "firewall-feth10.pcapng", FromFrame: 1, ToFrame: 9, What: "no SYN", Filter: "tcp.flags.syn==1"})
		v.Eliminated = []analyzer.Hypothesis{{Hypothesis: "f5 never sent the SYN", Why: "it was seen beyond it", Evidence: v.Evidence}}
		if v.Hop == "" {
			continue
		}
		v.Cause = causes[i%len(causes)]
		switch i % 3 {
		case 1:
			v.Hop = "link:f5-firewall"
			v.Between = []string{"f5/0.0", "firewall/feth11"}
		case 2:
			v.Between = v.Between[:1]
		}
	}
	r.Verdicts[0].Hop, r.Verdicts[0].Cause, r.Verdicts[0].Between = "", analyzer.Inconclusive, nil
	r.Verdicts[0].WouldSettle = "a capture at the client"
	return r
}

// notWords is what no language has other words for: names of the captures, causes, numbers
// with units, what is typed.
var notWords = regexp.MustCompile(`link:[\w-]+|[\w.-]+\.(pcapng|json)|\b(client|f5|firewall|server[12])(/[\w.]+)?\b|POST /batch|hopblame ladder --request|` +
	`\b(hopblame|Wireshark|UTC|SYN|SYN-ACK|ACK|RST|TTL|TLS|p7|eth0|feth1[01]|5xx|\d*ms)\b|[\d.]+(s|ms|m)\b`)

var latin = regexp.MustCompile(`[A-Za-z]{2,}`)

// TestNoEnglishIsLeftInAnotherLanguage walks all that a reader of the page sees or hears.
func TestNoEnglishIsLeftInAnotherLanguage(t *testing.T) {
	unsettled := many(3)
	for i := range unsettled.Verdicts {
		v := &unsettled.Verdicts[i]
		v.Hop, v.Cause, v.WouldSettle = "", analyzer.Inconclusive, "a capture at the server"
	}
	var causes []string
	for c := range analyzer.Causes {
		causes = append(causes, regexp.QuoteMeta(string(c)))
	}
	slices.SortFunc(causes, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	cause := regexp.MustCompile(strings.Join(causes, "|"))
	for name, r := range map[string]*analyzer.Report{"every kind": everyKind(), "one": many(1), "many alike": many(12), "more than is shown in full": many(maxWide + 1),
		"nothing decided": unsettled, "none failed": {Requests: analyzer.RequestCounts{Seen: 7, OK: 7}}, "no requests": {}} {
		t.Run(name, func(t *testing.T) {
			for _, lang := range Languages() {
				if lang == locale.English {
					continue
				}
				var out strings.Builder
				p := &page{words: languages[lang], lang: lang, r: r, groups: report.Groups(r)}
				if err := p.write(&out); err != nil {
					t.Fatal(err)
				}
				said := heard(t, out.String(), lang)
				for _, s := range said {
					plain := notWords.ReplaceAllString(cause.ReplaceAllString(s, ""), "")
					if latin.MatchString(plain) || strings.Contains(s, "!") {
						t.Errorf("%s: %q is not in its language", lang, s)
					}
				}
			}
		})
	}
}

// heard is the text of a page, and of its attributes that are read out, without what is
// marked as English or as code.
func heard(t *testing.T, text, lang string) (out []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			for _, a := range n.Attr {
				switch {
				case n.Data == "html" && a.Key == "lang" && a.Val != lang:
					t.Errorf("the page is said to be in %s", a.Val)
				case a.Key == "lang" && a.Val == locale.English:
					return
				case a.Key == "aria-label", a.Key == "placeholder", a.Key == "title", strings.HasPrefix(a.Key, "data-"):
					out = append(out, a.Val)
				}
			}
			if slices.Contains([]string{"script", "style", "code"}, n.Data) {
				return
			}
		}
		if s := strings.TrimSpace(n.Data); n.Type == html.TextNode && s != "" {
			out = append(out, s)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	return out
}

func TestEnglishIsMarkedOnlyWhereItIsForeign(t *testing.T) {
	if got := written(t, everyKind()); strings.Contains(got, "<span lang") {
		t.Error("English is marked in an English page")
	}
}

func TestThePageSpeaksEveryLanguage(t *testing.T) {
	if got, want := Languages(), slices.Sorted(slices.Values(locale.Tags)); !slices.Equal(got, want) {
		t.Errorf("the page speaks %q, want %q", got, want)
	}
}
