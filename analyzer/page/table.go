package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
	"github.com/hopblame/hopblame/internal/digits"
)

// maxWide is how many failed requests have a row with all columns, of some 110 bytes.
// With more, a row is some 40 bytes, so that 100,000 stay below 5 MB.
const maxWide = 20_000

// maxText bounds a client's own text in a cell, in letters.
const maxText = 60

// columns are those of the table. common is the address of all clients, if they have one.
func (p *page) columns(common string, short bool) []string {
	client := p.say("client")
	if common != "" {
		client = p.say("client-of", common)
	}
	out := []string{p.say("begun"), client, p.say("id")}
	if !short {
		out = append(out, p.say("request"), p.say("confidence"), p.say("proof"))
	}
	return out
}

// client is the address of all clients; "" if there are several.
func (p *page) client() string {
	common := ""
	for i := range p.r.Verdicts {
		a, _, ok := cutPort(p.r.Verdicts[i].Request.Client)
		if !ok || i > 0 && a != common {
			return ""
		}
		common = a
	}
	return common
}

// cutPort splits address:port or [address]:port; the port keeps its colon.
func cutPort(s string) (addr, port string, ok bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at:], true
}

// table has the rows of all failed requests, those of a kind together: hop, cause and
// outcome stand once, above them, over all columns.
func (p *page) table(common string, short bool, columns int) template.HTML {
	var out strings.Builder
	for i := range p.groups {
		g := &p.groups[i]
		for _, outcome := range outcomes(g) {
			var rows strings.Builder
			n := 0
			for _, v := range g.Verdicts {
				if v.Outcome == outcome {
					n++
					row(&rows, v, common, short)
				}
			}
			kind := p.say("kind", g.Hop, g.Cause, p.outcome(outcome), digits.Group(n))
			if g.Hop == "" {
				kind = p.say("kind-open", p.outcome(outcome), digits.Group(n))
				if b := g.Verdicts[0].Between; len(b) > 0 {
					kind += p.say("bracket", strings.Join(b, " … "))
				}
			}
			fmt.Fprintf(&out, "<tbody><tr><th colspan=%d scope=rowgroup>%s\n%s</tbody>\n", columns, esc(kind), rows.String())
		}
	}
	return template.HTML(out.String())
}

// outcomes are those of a group, in order of appearance.
func outcomes(g *report.Group) (out []analyzer.Outcome) {
	for _, v := range g.Verdicts {
		if !slices.Contains(out, v.Outcome) {
			out = append(out, v.Outcome)
		}
	}
	return out
}

// row writes a request. HTML needs no end tags of rows and cells (§13.1.2.4 of the
// standard), which would be a third of the table.
func row(out *strings.Builder, v *analyzer.Verdict, client string, short bool) {
	q := &v.Request
	who := q.Client
	if client != "" {
		who = strings.TrimPrefix(who, client)
	}
	fmt.Fprintf(out, "<tr><td>%s<td>%s<td>%s", clockTime(q.Start), esc(who), esc(clip(q.ID)))
	if !short {
		sure := ""
		if v.Hop != "" {
			sure = fmt.Sprintf("%.4g", v.Confidence)
		}
		fmt.Fprintf(out, "<td>%s<td>%s<td>%s", esc(clip(strings.TrimSpace(q.Method+" "+q.Target))), sure, esc(proof(v)))
	}
	out.WriteByte('\n')
}

// proof is the frame to open first: the packet where it was last seen, else the first that
// is cited.
func proof(v *analyzer.Verdict) string {
	var first *analyzer.Evidence
	for i := range v.Evidence {
		e := &v.Evidence[i]
		if e.Kind != analyzer.KindFrame {
			continue
		}
		if len(v.Between) > 0 && e.Point == v.Between[0] {
			first = e
			break
		}
		if first == nil {
			first = e
		}
	}
	if first == nil {
		return ""
	}
	return fmt.Sprintf("%s %d", first.Point, first.Frame)
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }

func clip(s string) string { return report.Clip(s, maxText) }

func esc(s string) string { return template.HTMLEscapeString(s) }
