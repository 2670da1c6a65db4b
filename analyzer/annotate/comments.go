package annotate

import (
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/report"
)

// maxComments is how many verdicts a frame speaks of in full; a RST that ends a
// connection of HTTP/2 may be evidence of a hundred.
const maxComments = 16

// maxText bounds somebody else's text in a comment, in letters.
const maxText = 200

// comments are the citations of a report, by frame.
type comments struct {
	r  *analyzer.Report
	at map[frame][]citation
}

type frame struct {
	point, file string
	number      uint64
}

// citation is a piece of a verdict's evidence, and how many after it are absences, which
// have no frame to stand on and are told with it.
type citation struct{ verdict, evidence, absences int32 }

// collect finds out which frames are cited. An absence is told at the frame cited before
// it: where the packet was seen last.
func collect(r *analyzer.Report) comments {
	c := comments{r: r, at: map[frame][]citation{}}
	for i := range r.Verdicts {
		es := r.Verdicts[i].Evidence
		for k := range es {
			if es[k].Kind != analyzer.KindFrame {
				continue
			}
			n := 0
			for k+1+n < len(es) && es[k+1+n].Kind == analyzer.KindAbsence {
				n++
			}
			at := frame{es[k].Point, es[k].File, es[k].Frame}
			c.at[at] = append(c.at[at], citation{int32(i), int32(k), int32(n)})
		}
	}
	return c
}

// of is what is said of a frame, one comment a verdict.
func (c *comments) of(point, file string, number uint64) []string {
	var out []string
	cited := c.at[frame{point, file, number}]
	for i, x := range cited {
		if i == maxComments {
			return append(out, fmt.Sprintf("and evidence of %d more requests", len(cited)-i))
		}
		out = append(out, c.sentence(x))
	}
	return out
}

// sentence says whose evidence a frame is, what it shows, and what that proves.
func (c *comments) sentence(x citation) string {
	v := &c.r.Verdicts[x.verdict]
	es := v.Evidence[x.evidence:]
	s := name(&v.Request) + ": " + clip(es[0].What)
	for _, e := range es[1 : 1+x.absences] {
		s += fmt.Sprintf("; at %s, %s in frames %d–%d of %s", e.Point, clip(e.What), e.FromFrame, e.ToFrame, e.File)
	}
	if v.Hop != "" {
		s += fmt.Sprintf(". Verdict: %s, %s: %s", v.Hop, v.Cause, report.Sentence(v))
	} else {
		s += ". Verdict: not decided"
		if v.WouldSettle != "" {
			s += "; to settle it: " + clip(v.WouldSettle)
		}
	}
	return fmt.Sprintf("%s. (frame %d of %s)", s, es[0].Frame, es[0].File)
}

func name(q *analyzer.RequestRef) string {
	s := q.Client
	if q.ID != "" {
		s = "id " + clip(q.ID) + ", " + s
	}
	return "request " + s
}

func clip(s string) string { return report.Clip(strings.ToValidUTF8(s, "\uFFFD"), maxText) }
