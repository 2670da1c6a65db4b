package ablation

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/observe"
)

// Grade is what a verdict, or its absence, is worth.
type Grade int

// The grades, in the order of the table.
const (
	Right        Grade = iota // hop and cause are true
	Wider                     // the cause is true, the stretch holds the true place and more
	Inconclusive              // nothing is named
	Missed                    // no verdict, although start and end of the request are in the captures
	Unseen                    // no verdict, and nothing to found one on
	Doubt                     // inconclusive about a request that did not fail
	Wrong                     // a place or cause that is not true, or one that these captures cannot know
	FalseAlarm                // something is named for a request that did not fail, or for none
	grades
)

var gradeNames = [grades]string{"right", "wider", "inconclusive", "missed", "unseen", "doubt", "WRONG", "FALSE ALARM"}

func (g Grade) String() string { return gradeNames[g] }

// Bad tells whether the grade is one that an analyzer may never earn.
func (g Grade) Bad() bool { return g == Wrong || g == FalseAlarm }

// Judgement is the grade of one verdict.
type Judgement struct {
	Grade   Grade
	Verdict *analyzer.Verdict // nil for a request without one
	Truth   *scenarios.Truth  // nil if the verdict belongs to no request
	Why     string            // for bad ones
}

func (j *Judgement) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", j.Grade)
	if v := j.Verdict; v != nil {
		fmt.Fprintf(&b, "%s (id %q): said %q %s, confidence %.4f, between %v", v.Request.Client, v.Request.ID, v.Hop, v.Cause, v.Confidence, v.Between)
	}
	if t := j.Truth; t != nil {
		fmt.Fprintf(&b, "; truth: request %d, %s, %s", t.Ordinal, t.Outcome, wanted(t))
	}
	if j.Why != "" {
		b.WriteString("; " + j.Why)
	}
	return b.String()
}

func wanted(t *scenarios.Truth) string {
	if !t.Failed() {
		return "no failure"
	}
	var s []string
	for _, p := range t.Accept {
		s = append(s, fmt.Sprintf("%s %s", p.Hop, p.Cause))
	}
	return strings.Join(s, " or ")
}

// Judge grades a report on ablated captures of a run. recorded are the captures
// before the ablation, c those that the analyzer was given.
func Judge(run *Run, recorded, c *observe.Captures, report *analyzer.Report) []Judgement {
	j := &judge{run: run, now: c, names: pointNames(c, report)}
	for i := range recorded.Points {
		j.before = append(j.before, recorded.Points[i].Point)
	}
	for i := range c.Points {
		j.after = append(j.after, c.Points[i].Point)
	}
	j.old = map[netip.Addr]netip.Addr{}
	for old, now := range c.Addresses {
		j.old[now] = old
	}
	var out []Judgement
	judged := map[int]bool{}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		t := j.request(v)
		g := j.verdict(v, t)
		if t != nil && t.Failed() {
			if judged[t.Ordinal] && !g.Grade.Bad() {
				if g.Grade == Inconclusive {
					g.Grade = Doubt
				} else {
					g.Grade, g.Why = FalseAlarm, "the request has a verdict already"
				}
			}
			judged[t.Ordinal] = true
		}
		out = append(out, g)
	}
	seen := j.visible()
	for i := range run.Truths {
		t := &run.Truths[i]
		if !t.Failed() || judged[i] {
			continue
		}
		g := Unseen
		if seen[i] {
			g = Missed
		}
		out = append(out, Judgement{Grade: g, Truth: t})
	}
	return out
}

type judge struct {
	run           *Run
	now           *observe.Captures
	before, after []analyzer.Point
	names         map[string]string         // of unlabelled points: p1 … to recorded names
	old           map[netip.Addr]netip.Addr // present addresses to recorded ones
}

// pointNames tells which recorded point each of an unlabelled report's is, by the
// file that was taken there.
func pointNames(c *observe.Captures, report *analyzer.Report) map[string]string {
	if c.Files == nil {
		return nil
	}
	names := map[string]string{}
	for _, p := range report.Points {
		for i, file := range c.Files {
			if strings.HasSuffix(p.File, file) {
				names[p.Name] = c.Points[i].Point.Name
			}
		}
	}
	return names
}

// inARow is how soon behind the end of a request the next one on its connection is sent.
// A port that is taken again by another connection is free for longer before.
const inARow = 50 * time.Millisecond

// request finds the request that a verdict is about: by id, else by address and
// the nearest start; nil if there is none. Where a request cannot be read, in TLS without
// keys or with a short snap length, it may seem to begin with one before it on its
// connection, and is the first that fails from there on.
func (j *judge) request(v *analyzer.Verdict) *scenarios.Truth {
	if v.Request.ID != "" {
		for i := range j.run.Truths {
			if j.run.Truths[i].ID == v.Request.ID {
				return &j.run.Truths[i]
			}
		}
		return nil
	}
	client, err := netip.ParseAddrPort(v.Request.Client)
	if err != nil {
		return nil
	}
	if a, ok := j.old[client.Addr()]; ok {
		client = netip.AddrPortFrom(a, client.Port())
	}
	clock := func(t int64) int64 { return t }
	name := v.Request.StartPoint
	if recorded, ok := j.names[name]; ok {
		name = recorded
	}
	if p := j.now.Point(name); p != nil {
		clock = p.Clock
	}
	var best *scenarios.Truth
	from, nearest := 0, math.Inf(1)
	uses := j.run.ends[client]
	for i, use := range uses {
		if d := math.Abs(float64(v.Request.Start.UnixNano() - clock(use.start.UnixNano()))); d < nearest && use.ordinal < len(j.run.Truths) && use.ordinal >= 0 {
			best, nearest, from = &j.run.Truths[use.ordinal], d, i
		}
	}
	if best == nil || best.Failed() {
		return best
	}
	t := best
	for _, next := range uses[from+1:] {
		if next.ordinal < 0 || next.ordinal >= len(j.run.Truths) || next.start.Sub(ended(t)) > inARow {
			break
		}
		if t = &j.run.Truths[next.ordinal]; t.Failed() {
			return t
		}
	}
	return best
}

// ended is when a client had done with a request.
func ended(t *scenarios.Truth) time.Time {
	return t.Start.Add(time.Duration(t.Duration * float64(time.Second)))
}

func (j *judge) verdict(v *analyzer.Verdict, t *scenarios.Truth) Judgement {
	g := Judgement{Verdict: v, Truth: t}
	failed := t != nil && t.Failed()
	switch {
	case v.Cause == analyzer.Inconclusive && v.Hop == "" && failed:
		g.Grade = Inconclusive
	case v.Cause == analyzer.Inconclusive && v.Hop == "":
		g.Grade = Doubt
	case !failed:
		g.Grade = FalseAlarm
	default:
		g.Grade, g.Why = Wrong, ""
		for _, path := range j.run.paths(t.Ordinal) {
			if grade, why := j.place(v, t, path); grade < g.Grade || g.Why == "" {
				g.Grade, g.Why = grade, why
			}
		}
	}
	return g
}

// place compares what a verdict names with the truth, on one path.
func (j *judge) place(v *analyzer.Verdict, t *scenarios.Truth, path []string) (Grade, string) {
	full := newWay(&j.run.spec, path, j.before)
	left := newWay(&j.run.spec, path, j.after)
	said, licensed, ok := left.named(v.Hop, j.names)
	if !ok {
		return Wrong, "that names no place on the request's way " + strings.Join(path, " ")
	}
	grade, why := Wrong, "the cause is another"
	for _, p := range t.Accept {
		if p.Cause != v.Cause {
			continue
		}
		truth, _, ok := full.named(p.Hop, nil)
		switch {
		case ok && said == truth:
			grade = Right
		case ok && said.contains(truth):
			grade = min(grade, Wider)
		case grade == Wrong:
			why = "the place is another"
		}
	}
	if grade != Wrong && !licensed {
		return Wrong, "true, but not to be known: the faces that would tell are not captured"
	}
	if grade != Wrong {
		why = ""
	}
	return grade, why
}

// visible tells which failed requests have both their SYN and their end in one of
// the captures on the client's side.
func (j *judge) visible() map[int]bool {
	type ends struct{ syn, end bool }
	out := map[int]bool{}
	for i := range j.now.Points {
		p := &j.now.Points[i]
		if p.Point.Side == analyzer.Serverside {
			continue
		}
		seen := map[int]*ends{}
		for k := range p.Frames {
			s, ok := observe.TCP(p.Frames[k].Data)
			if !ok || s.Flags&(observe.SYN|observe.RST|observe.FIN) == 0 {
				continue
			}
			toServer := j.failing(p, s.Src, p.Frames[k].Time)
			n := toServer
			if n < 0 {
				n = j.failing(p, s.Dst, p.Frames[k].Time)
			}
			if n < 0 {
				continue
			}
			if seen[n] == nil {
				seen[n] = &ends{}
			}
			e := seen[n]
			e.syn = e.syn || toServer >= 0 && s.Flags&(observe.SYN|observe.ACK) == observe.SYN
			e.end = e.end || toServer < 0 && s.Flags&(observe.RST|observe.FIN) != 0
			out[n] = out[n] || e.syn && e.end
		}
	}
	return out
}

// failing returns the failed request whose client used an address at a time, -1
// if there is none.
func (j *judge) failing(p *observe.Capture, client netip.AddrPort, at int64) int {
	if a, ok := j.old[client.Addr()]; ok {
		client = netip.AddrPortFrom(a, client.Port())
	}
	const slack = int64(1e9)
	for _, use := range j.run.ends[client] {
		if use.ordinal < 0 || use.ordinal >= len(j.run.Truths) {
			continue
		}
		t := &j.run.Truths[use.ordinal]
		begin, end := p.Clock(t.Start.UnixNano()), p.Clock(ended(t).UnixNano())
		if t.Failed() && t.Client == client && at >= min(begin, end)-slack && at <= max(begin, end)+slack {
			return use.ordinal
		}
	}
	return -1
}
