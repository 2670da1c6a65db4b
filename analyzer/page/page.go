package page

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/locale"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// Options tunes Write. The zero value is English.
type Options struct {
	Language string // one of [Languages]; "" is en
}

// Validate says whether a page can be written so, for who wants to know before there is
// anything to write.
func (o Options) Validate() error {
	if _, ok := languages[o.Language]; !ok && o.Language != "" {
		return fmt.Errorf("language %q: the page can be written in %s", o.Language, strings.Join(Languages(), ", "))
	}
	return nil
}

// maxLadders is how many groups have a ladder of their own, the largest ones.
const maxLadders = 12

// Write reads the captures once more, for the ladders, and writes the page. points are
// those of the analysis, or nil for a page without ladders, and r is its result. Errors are those of w, of type
// *[analyzer.InputError], or the context's.
func Write(ctx context.Context, w io.Writer, points []analyzer.Point, r *analyzer.Report, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o.Language = cmp.Or(o.Language, locale.English)
	say := languages[o.Language]
	groups := report.Groups(r)
	var rs []ladder.Request
	for _, g := range groups[:min(len(groups), maxLadders)] {
		q, err := ladder.Of(g.Verdicts[0])
		if err != nil {
			return err
		}
		rs = append(rs, q)
	}
	var ladders []*ladder.Ladder
	if points != nil {
		var err error
		if ladders, err = ladder.BuildAll(ctx, points, r, rs); err != nil {
			return err
		}
	}
	p := &page{words: say, lang: o.Language, r: r, groups: groups, ladders: ladders}
	return p.write(w)
}

// english marks what is English in every language.
func (p *page) english(s string) template.HTML {
	if p.lang == locale.English {
		return template.HTML(esc(s))
	}
	return template.HTML("<span lang=en>" + esc(s) + "</span>")
}

// page is one that is being written.
type page struct {
	words
	lang    string
	r       *analyzer.Report
	groups  []report.Group
	ladders []*ladder.Ladder // of the first groups; nil where there is none
}

// contents is what the template shows.
type contents struct {
	Lang, Title, Policy string
	CSS                 template.CSS
	JS                  template.JS
	Answer              string
	Mark                string // beside the answer
	More                []template.HTML
	Topology, Timeline  template.HTML
	Groups              []group
	Findings, Warnings  []template.HTML
	Table               template.HTML
	Short               bool
	Columns             []string
	Points              []point
}

// point is a row of the table of files.
type point struct{ Name, Files, Packets, Covers, Clock, Misses string }

func (p *page) write(w io.Writer) error {
	css := pageCSS + ladder.SVGStyle
	short, common := len(p.r.Verdicts) > maxWide, p.client()
	columns := p.columns(common, short)
	c := contents{Lang: p.lang, CSS: template.CSS(css), JS: template.JS(pageJS), Policy: policy(css, pageJS),
		Answer: p.answer(), Mark: p.mark(), More: p.more(), Topology: p.topology(), Timeline: p.timeline(),
		Groups: p.explain(), Short: short, Columns: columns, Table: p.table(common, short, len(columns)), Points: p.points()}
	c.Title = p.say("title", c.Answer)
	for _, f := range p.r.Findings {
		c.Findings = append(c.Findings, p.english(f.What)+template.HTML(esc(p.citation(f.Evidence))))
	}
	for _, w := range p.r.Warnings {
		c.Warnings = append(c.Warnings, p.english(w))
	}
	t, err := template.New("page").Funcs(template.FuncMap{"say": p.say, "count": digits.Group, "limit": func() string { return digits.Group(maxWide) }}).Parse(pageHTML)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := t.Execute(out, &c); err != nil {
		return err
	}
	return out.Flush()
}

// policy allows the page's own style sheet and script by their hashes (CSP Level 3 §8.3)
// and nothing else from anywhere.
func policy(css, js string) string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(css) + "; script-src " + hash(js) + "; base-uri 'none'; form-action 'none'"
}

func (p *page) points() []point {
	var out []point
	for i := range p.r.Points {
		r := &p.r.Points[i]
		q := point{Name: r.Name, Files: strings.Join(filesOf(r), ", "), Packets: digits.Group(int(r.Packets)), Clock: p.say("clock-unknown"), Misses: p.say("misses-of", report.Percent(r.Loss[0]), report.Percent(r.Loss[1]))}
		if r.Packets > 0 {
			q.Covers = r.First.UTC().Format("2006-01-02 15:04:05.000") + " – " + r.Last.UTC().Format("15:04:05.000")
		}
		if o := r.ClockOffset; o != nil {
			q.Clock = p.say("clock-is", float64(o[0])/1e6, float64(o[1])/1e6)
		}
		out = append(out, q)
	}
	return out
}

// filesOf names a point's files, with the interface where one of several is meant.
func filesOf(r *analyzer.PointReport) []string {
	files := r.Files
	if files == nil {
		files = []string{r.File}
	}
	if r.Interface == "" {
		return files
	}
	var out []string
	for _, f := range files {
		out = append(out, f+"#"+r.Interface)
	}
	return out
}

// hopOf is the hop of a point: the whole name of one that nobody has named.
func hopOf(point string) string {
	hop, _, _ := strings.Cut(point, "/")
	return hop
}
