package ladder

import (
	"slices"

	"github.com/hopblame/hopblame/analyzer"
)

// row is a packet while it is worked on.
type row struct {
	Row
	flow *flow
	seen []*sight // in the direction of travel
	at   int64    // by the first point's clock
}

// kind is what all sightings of a packet have in common, and of its retransmissions.
type kind struct {
	toServer bool
	seq, ack uint32 // relative
	flags    byte
	length   int
	icmp     bool
	icmpWhat [2]byte
}

func (f *flow) kindOf(g *sight) kind {
	k := kind{toServer: f.toServer(g), flags: g.flags, length: g.length, icmp: g.icmp, icmpWhat: g.icmpWhat}
	n := &f.bases[g.column]
	up, down := n.up, n.down
	if k.toServer == k.icmp { // what an error quotes went the other way
		up, down = down, up
	}
	k.seq = g.seq - up
	if g.flags&analyzer.FlagACK != 0 {
		k.ack = g.ack - down
	}
	return k
}

// align makes rows of a flow's sightings: for each kind of packet, it follows those that
// one point saw to the next.
func (b *builder) align(f *flow) []*row {
	kinds := map[kind][][]*sight{} // by column
	var list []kind
	for i := range f.sights {
		for j := range f.sights[i] {
			g := &f.sights[i][j]
			k := f.kindOf(g)
			if kinds[k] == nil {
				kinds[k] = make([][]*sight, len(b.columns))
				list = append(list, k)
			}
			kinds[k][i] = append(kinds[k][i], g)
		}
	}
	var out []*row
	for _, k := range list {
		var rows []*row
		for n := range b.columns {
			i := n
			if !k.toServer {
				i = len(b.columns) - 1 - n
			}
			rows = b.extend(rows, kinds[k][i])
		}
		for _, r := range rows {
			r.flow, r.ToServer, r.Flags, r.Len = f, k.toServer, k.flags, k.length
		}
		out = append(out, rows...)
	}
	return out
}

// extend adds the packets of the next point to the rows that the points before it have
// made. Each packet is taken for the one with the same print, if that decides, else for
// the one nearest in time; what fits none is new here.
func (b *builder) extend(rows []*row, next []*sight) []*row {
	known := len(rows)
	taken := make([]bool, known)
	rest := make([]*sight, 0, len(next))
	for _, g := range next {
		if i := b.nearest(rows[:known], taken, g, true); i >= 0 {
			taken[i] = true
			rows[i].seen = append(rows[i].seen, g)
			continue
		}
		rest = append(rest, g)
	}
	for _, g := range rest {
		if i := b.nearest(rows[:known], taken, g, false); i >= 0 {
			taken[i] = true
			rows[i].seen = append(rows[i].seen, g)
			continue
		}
		rows = append(rows, &row{seen: []*sight{g}})
	}
	return rows
}

// nearest finds the row that a packet at a further point continues; -1 if there is none.
// Where only one has its print, it is that one however long it took. Otherwise it must
// have come within the time that two points' sightings are apart.
func (b *builder) nearest(rows []*row, taken []bool, g *sight, print bool) int {
	best, apart, alike := -1, int64(0), 0
	for _, r := range rows {
		if r.seen[len(r.seen)-1].print == g.print {
			alike++
		}
	}
	for i, r := range rows {
		last := r.seen[len(r.seen)-1]
		d := abs(b.corrected(g) - b.corrected(last))
		timed := b.columns[g.column].Known && b.columns[last.column].Known
		switch {
		case taken[i], print && last.print != g.print:
		case !(print && alike == 1) && timed && d > nearby+b.spread[g.column]+b.spread[last.column]:
		case best < 0 || d < apart:
			best, apart = i, d
		}
	}
	return best
}

// order puts causes before effects: what a point was the first to see comes behind all
// that it had seen by then, which holds whatever is known of clocks. Apart from that, time
// decides.
func order(rows []*row, columns int) []*row {
	queues := make([][]*row, columns)
	place := make([]map[*row]int, columns)
	for i := range queues {
		place[i] = map[*row]int{}
	}
	for _, r := range rows {
		for _, g := range r.seen {
			queues[g.column] = append(queues[g.column], r)
			place[g.column][r] = g.n
		}
	}
	for i, q := range queues {
		slices.SortFunc(q, func(x, y *row) int { return place[i][x] - place[i][y] })
	}
	out := make([]*row, 0, len(rows))
	latest := make([]int64, columns) // what each point has seen happen
	placed := map[*row]bool{}
	for len(out) < len(rows) {
		var next *row
		for i := range queues {
			for len(queues[i]) > 0 && placed[queues[i][0]] {
				queues[i] = queues[i][1:]
			}
			// Of all heads the earliest in truth is where it was seen first, so that one always is.
			if len(queues[i]) > 0 && queues[i][0].seen[0].column == i && (next == nil || queues[i][0].at < next.at) {
				next = queues[i][0]
			}
		}
		if next == nil { // captures out of order
			next = rows[slices.IndexFunc(rows, func(r *row) bool { return !placed[r] })]
		}
		placed[next] = true
		out = append(out, next)
		next.at = max(next.at, latest[next.seen[0].column])
		for _, g := range next.seen {
			latest[g.column] = max(latest[g.column], next.at)
		}
	}
	return out
}
