package ladder

import (
	"fmt"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
)

// findPath works out which points a flow passes: those that have packets of it, and those
// that should have, because they have others between the two hosts or because the
// verdict misses the flow there. A point that all packets went around is not on the path.
func (b *builder) findPath(f *flow, rows []*row) {
	for i := range b.columns {
		up, down := b.traffic(f, i)
		expected := up+down > 0 || b.missed(f, i)
		around := slices.ContainsFunc(rows, func(r *row) bool {
			return r.flow == f && r.spans(i) && b.listening(i, r) == ""
		})
		switch {
		case len(f.sights[i]) > 0 || expected && !around:
			f.Columns = append(f.Columns, i)
		case expected:
			b.notes = append(b.notes, fmt.Sprintf("%s has nothing of %s, which went around it, or was missed there", b.columns[i].Point, f.Conn))
		}
	}
}

// conns are all addresses of a flow.
func (f *flow) conns() []analyzer.Conn { return append([]analyzer.Conn{f.Conn}, f.Rewritten...) }

// traffic counts the packets of all connections that a point has between a flow's hosts,
// by direction.
func (b *builder) traffic(f *flow, column int) (up, down int) {
	for _, c := range f.conns() {
		n := b.seen[column].pairs[pairOf(c)]
		switch {
		case n == nil:
		case c.Client.Addr().Less(c.Server.Addr()):
			up, down = up+n[0], down+n[1]
		default:
			up, down = up+n[1], down+n[0]
		}
	}
	return up, down
}

// missed tells whether the verdict misses a flow at a point: it has looked for it there,
// or a packet that another point has may have been lost before it came there.
func (b *builder) missed(f *flow, column int) bool {
	name := b.columns[column].Point
	if slices.ContainsFunc(f.conns(), func(c analyzer.Conn) bool { return slices.Contains(b.absent[name], canonical(c.Client, c.Server)) }) {
		return true
	}
	v := b.request.Verdict
	if v == nil || len(v.Between) != 2 || v.Between[1] != name {
		return false
	}
	last := slices.IndexFunc(b.columns, func(c Column) bool { return c.Point == v.Between[0] })
	if last < 0 || len(f.sights[last]) == 0 {
		return false
	}
	// A proxy has both connections: the one that goes on that way is meant.
	return !slices.ContainsFunc(b.flows, func(o *flow) bool {
		return len(o.sights[column]) > 0 || o.Side != f.Side && len(o.sights[last]) > 0 && (f.Side == analyzer.Clientside) == (column > last)
	})
}

// spans tells whether a packet was seen on both sides of a column.
func (r *row) spans(i int) bool {
	low, high := false, false
	for _, g := range r.seen {
		low, high = low || g.column < i, high || g.column > i
	}
	return low && high
}

// judge says of each row what became of the packet behind the last point that saw it, and
// whether it was made in front of the first.
func (b *builder) judge(rows []*row) {
	doubts := map[int]string{}
	for _, r := range rows {
		r.Next, r.From, r.Spoiled = -1, -1, -1
		if r.Omitted > 0 {
			continue
		}
		r.judge(b)
		if r.Fate == Unknown && doubts[r.Next] == "" {
			doubts[r.Next] = r.Why
		}
	}
	for i := range b.columns {
		if doubts[i] != "" {
			b.notes = append(b.notes, fmt.Sprintf("%s %s: what it does not have may have been there", b.columns[i].Point, doubts[i]))
		}
	}
}

func (r *row) judge(b *builder) {
	path := r.flow.Columns
	after := func(column int) int { // the next column on the path, in the direction of travel
		k := slices.Index(path, column)
		if r.ToServer {
			k++
		} else {
			k--
		}
		if k < 0 || k >= len(path) {
			return -1
		}
		return path[k]
	}
	if r.Next = after(r.seen[len(r.seen)-1].column); r.Next >= 0 {
		r.Fate = Died
		if r.Why = b.listening(r.Next, r); r.Why != "" {
			r.Fate = Unknown
		}
	}
	r.ToServer = !r.ToServer
	before := after(r.seen[0].column)
	r.ToServer = !r.ToServer
	if before >= 0 && b.listening(before, r) == "" {
		r.Born, r.From = true, before
	}
	for _, g := range r.seen {
		if g.spoiled {
			r.Spoiled = g.column
			break
		}
	}
}

// listening tells why a point proves nothing by not having a packet; "" if it does. The
// verdict has looked closer: where it names the hop between two points, it has found
// them to be worth that.
func (b *builder) listening(column int, r *row) string {
	p := &b.report.Points[column]
	v := b.request.Verdict
	trusted := v != nil && v.Hop != "" && slices.Contains(v.Between, p.Name)
	if trusted && (v.Direction == "" || (v.Direction == analyzer.ToServer) == r.ToServer) {
		return ""
	}
	t := r.seen[len(r.seen)-1]
	now := b.corrected(t) + int64(b.columns[column].Clock)
	slack := b.spread[column] + b.spread[t.column]
	s := b.seen[column]
	here, back := b.traffic(r.flow, column)
	if !r.ToServer {
		here, back = back, here
	}
	switch {
	case p.Packets == 0:
		return "captured nothing at all"
	case here == 0 && back > 0:
		return "captures only the other direction"
	case here == 0:
		return "has nothing between these hosts"
	case !b.columns[column].Known:
		return "has a clock that nothing compares with the others'"
	case now-slack < p.First.UnixNano() || now+slack > p.Last.UnixNano():
		return "does not cover this time"
	case p.Dropped > 0:
		return fmt.Sprintf("lost %s packets while it captured", digits.Group(int(p.Dropped)))
	case p.Loss[0] > 0:
		return "is known to miss packets"
	case s.full != 0 && now >= s.full-slack && r.Flags&(analyzer.FlagSYN|analyzer.FlagFIN|analyzer.FlagRST) == 0:
		return "has more packets of this connection than are kept"
	case !trusted && slices.ContainsFunc(s.gaps, func(g pause) bool { return g.from < now-slack && now+slack < g.to }):
		return fmt.Sprintf("pauses for more than %v at this time", time.Duration(longPause))
	}
	return ""
}

// confine leaves out what went over the request's connections before it and after it, but
// for what the verdict cites.
func (b *builder) confine(rows []*row) []*row {
	front := b.flows[0]
	if front.Side != analyzer.Clientside {
		return rows
	}
	begin := slices.IndexFunc(rows, func(r *row) bool {
		return r.flow == front && slices.ContainsFunc(r.seen, func(g *sight) bool { return b.corrected(g) >= front.from })
	})
	slack := int64(time.Millisecond)
	var out []*row
	leave := func(r *row, what string) {
		if n := len(out); n > 0 && out[n-1].Omitted > 0 && out[n-1].What == what {
			out[n-1].Omitted++
			return
		}
		out = append(out, &row{flow: r.flow, at: r.at, Row: Row{Flow: r.Flow, Omitted: 1, What: what}})
	}
	asked, answered, ended := false, false, false
	for i, r := range rows {
		before := i < begin && (r.flow == front || r.at < front.from-slack)
		if !before && r.flow == front && r.Len > 0 {
			ended = ended || asked && answered && r.ToServer && isRequest(r.seen[0].content)
			asked, answered = asked || r.ToServer, answered || !r.ToServer
		}
		switch cited := slices.ContainsFunc(r.seen, b.cites); {
		case before && !cited:
			leave(r, "earlier")
		case ended && !cited:
			leave(r, "later")
		default:
			out = append(out, r)
			if !before && b.start == 0 {
				b.start = r.at
			}
		}
	}
	return out
}

// finish makes the row that others see.
func (r *row) finish(b *builder) Row {
	for _, g := range r.seen {
		r.Seen = append(r.Seen, Seen{Column: g.column, File: g.file, Frame: g.frame, Time: time.Unix(0, g.time).UTC(), Again: append(slices.Clone(g.again), g.passed...)})
		r.Cited = r.Cited || b.cites(g)
		if r.Flags&analyzer.FlagRST != 0 && g.note.RSTCause != "" {
			r.Cause = printable(g.note.RSTCause)
		}
	}
	return r.Row
}
