package ladder

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// flow is a connection over all points.
type flow struct {
	Flow
	sights [][]sight // by column
	bases  []numbers // by column
	isn    uint32
	known  bool // isn is
	// from and to are when the request was under way, by the first point's clock; the
	// connection may have been there before.
	from, to int64
}

// numbers are a connection's initial sequence numbers at a point. A box on the way may
// move them.
type numbers struct {
	up, down       uint32
	hasUp, hasDown bool
}

// epoch is one connection of a pair of addresses at one point.
type epoch struct {
	isn    uint32
	known  bool
	sights []sight
}

// orient tells which end opened the connection: by its SYNs, else by the smaller port,
// which is the server's.
func (b *builder) orient(c analyzer.Conn) analyzer.Conn {
	swapped := analyzer.Conn{Client: c.Server, Server: c.Client}
	for _, given := range append(slices.Clone(b.request.Serverside), analyzer.Conn{Client: b.request.Client, Server: b.request.Server}) {
		if given == c || given == swapped {
			return given
		}
	}
	for _, p := range b.seen {
		for k := range p.conns[c] {
			g := &p.conns[c][k]
			if g.is(analyzer.FlagSYN, 0) {
				opens := g.flags&analyzer.FlagACK == 0
				if opens == (g.src == c.Client) {
					return c
				}
				return swapped
			}
		}
	}
	if c.Client.Port() < c.Server.Port() {
		return swapped
	}
	return c
}

// split cuts the packets of a pair of addresses at one point into connections: at SYNs
// with another initial sequence number, since addresses come round again.
func split(all []sight, c analyzer.Conn) []epoch {
	var out []epoch
	for i := range all {
		g := &all[i]
		isn, syn := g.seq, g.is(analyzer.FlagSYN, analyzer.FlagACK) && g.src == c.Client
		if g.is(analyzer.FlagSYN|analyzer.FlagACK, 0) && g.src == c.Server {
			isn, syn = g.ack-1, true
		}
		last := len(out) - 1
		if last < 0 || syn && (!out[last].known || out[last].isn != isn) {
			out = append(out, epoch{isn: isn, known: syn})
			last++
		}
		out[last].sights = append(out[last].sights, *g)
	}
	return out
}

func (e *epoch) first() int64 { return e.sights[0].time }
func (e *epoch) last() int64  { return e.sights[len(e.sights)-1].time }

// epochs splits a connection's packets at all points.
func (b *builder) epochs(c analyzer.Conn) [][]epoch {
	out := make([][]epoch, len(b.seen))
	for i, p := range b.seen {
		out[i] = split(p.conns[canonical(c.Client, c.Server)], c)
	}
	return out
}

// clientside finds the client's connection; nil if no point has it.
func (b *builder) clientside() *flow {
	c := analyzer.Conn{Client: b.request.Client, Server: b.request.Server}
	all := b.epochs(c)
	start := b.request.Start
	at := slices.IndexFunc(b.columns, func(c Column) bool { return c.Point == b.request.StartPoint })
	exact := at >= 0 && len(all[at]) > 0
	if !exact {
		at = slices.IndexFunc(all, func(es []epoch) bool { return len(es) > 0 })
	}
	if at < 0 {
		return nil
	}
	chosen := &all[at][0]
	began := start.UnixNano() // by the clock of column at
	if !start.IsZero() {
		slack := int64(time.Millisecond)
		if !exact {
			began += int64(b.columns[at].Clock)
			slack += b.spread[at] + nearby
		}
		for k := range all[at] {
			if e := &all[at][k]; e.first() <= began+slack {
				chosen = e
			}
		}
	}
	f := b.assemble(c, all, at, chosen)
	f.Side = analyzer.Clientside
	if at := began - int64(b.columns[at].Clock); !start.IsZero() && at > f.from {
		f.from = at
	}
	return f
}

// nearby is how far apart two points see the same thing, generously.
const nearby = int64(250 * time.Millisecond)

// assemble makes a flow of the connection that an epoch of one column is of.
func (b *builder) assemble(c analyzer.Conn, all [][]epoch, at int, chosen *epoch) *flow {
	f := &flow{Flow: Flow{Conn: c}, sights: make([][]sight, len(b.columns)), bases: make([]numbers, len(b.columns)), isn: chosen.isn, known: chosen.known}
	for i := range all {
		f.sights[i] = slices.Clone(b.same(all, i, at, chosen, c))
	}
	b.measure(f)
	return f
}

// same returns the packets at column i of the connection that chosen is of column at.
func (b *builder) same(columns [][]epoch, i, at int, chosen *epoch, c analyzer.Conn) []sight {
	if i == at {
		return chosen.sights
	}
	all := columns[i]
	if chosen.known {
		for k := range all {
			if all[k].known && all[k].isn == chosen.isn {
				return all[k].sights
			}
		}
	}
	shift := int64(b.columns[i].Clock - b.columns[at].Clock)
	slack := nearby + b.spread[i] + b.spread[at]
	from, to := chosen.first()+shift-slack, chosen.last()+shift+slack
	var out []sight
	for k := range all {
		for _, g := range all[k].sights {
			if g.time >= from && g.time <= to && (!chosen.known || g.follows(chosen.isn, c)) {
				out = append(out, g)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for k := range all { // a box has moved its numbers
		there := func(e epoch) bool { return e.known && e.isn == all[k].isn }
		if e := &all[k]; e.known && !slices.ContainsFunc(columns[at], there) && abs(e.first()-chosen.first()-shift) < slack {
			return e.sights
		}
	}
	return nil
}

// follows tells whether a packet's numbers are those of a connection.
func (g *sight) follows(isn uint32, c analyzer.Conn) bool {
	const window = 1 << 24
	n := g.seq
	if g.src == c.Server && !g.icmp {
		n = g.ack
	}
	return n-isn < window
}

func abs(n int64) int64 { return max(n, -n) }

// measure works out when the flow was there, and its initial sequence numbers at each
// point; where a point did not see them, they are taken to be those of another.
func (b *builder) measure(f *flow) {
	f.from, f.to = 0, 0
	var any numbers
	for i := range f.sights {
		n := &f.bases[i]
		for k := range f.sights[i] {
			g := &f.sights[i][k]
			t := b.corrected(g)
			if f.from == 0 || t < f.from {
				f.from = t
			}
			f.to = max(f.to, t)
			switch toServer := f.toServer(g); {
			case g.is(analyzer.FlagSYN, analyzer.FlagACK) && toServer && !n.hasUp:
				n.up, n.hasUp = g.seq, true
			case g.is(analyzer.FlagSYN|analyzer.FlagACK, 0) && !toServer:
				if !n.hasUp {
					n.up, n.hasUp = g.ack-1, true
				}
				if !n.hasDown {
					n.down, n.hasDown = g.seq, true
				}
			}
		}
		if n.hasUp && !any.hasUp {
			any.up, any.hasUp = n.up, true
		}
		if n.hasDown && !any.hasDown {
			any.down, any.hasDown = n.down, true
		}
	}
	for i := range f.bases {
		if n := &f.bases[i]; !n.hasUp {
			n.up = any.up
		}
		if n := &f.bases[i]; !n.hasDown {
			n.down = any.down
		}
	}
}

// toServer tells which way a packet went; an ICMP error comes back from where the
// segment that it quotes was going.
func (f *flow) toServer(g *sight) bool {
	own := g.src == f.Conn.Client
	if g.rewritten != nil {
		own = g.src == g.rewritten.Client
	}
	return own != g.icmp
}

// serverside finds the connections behind the proxy.
func (b *builder) serverside(front *flow) {
	own := canonical(b.request.Client, b.request.Server)
	wanted := slices.SortedFunc(maps.Keys(b.wanted), func(x, y analyzer.Conn) int {
		return cmp.Or(x.Client.Compare(y.Client), x.Server.Compare(y.Server))
	})
	var found []*flow
	for _, key := range wanted {
		if key == own {
			continue
		}
		c := b.orient(key)
		all := b.epochs(c)
		if at, e := b.during(all, front); e != nil {
			f := b.assemble(c, all, at, e)
			f.Side = analyzer.Serverside
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(x, y *flow) int { return cmp.Compare(x.from, y.from) })
	for _, f := range found {
		if !b.merge(f) {
			b.flows = append(b.flows, f)
		}
	}
}

// during finds the connection of a pair of addresses that was there while the request
// was: the one with most of the verdict's evidence, else the latest.
func (b *builder) during(all [][]epoch, front *flow) (at int, found *epoch) {
	best := -1
	for i := range all {
		for k := range all[i] {
			e := &all[i][k]
			cited := 0
			for n := range e.sights {
				if b.cites(&e.sights[n]) {
					cited++
				}
			}
			if front != nil && cited == 0 {
				slack := int64(time.Millisecond) + b.spread[i]
				from, to := e.first()-int64(b.columns[i].Clock), e.last()-int64(b.columns[i].Clock)
				if from > front.to+nearby+slack || to < front.from-slack {
					continue
				}
			}
			if cited > best || cited == best && at == i {
				at, found, best = i, e, cited
			}
		}
	}
	return at, found
}

// merge adds a connection to another that it is, with addresses that a box on the way
// has rewritten: it has the same initial sequence number. The box itself may have both.
func (b *builder) merge(f *flow) bool {
	for _, o := range b.flows {
		if !f.known || !o.known || f.isn != o.isn {
			continue
		}
		for i := range f.sights {
			for k := range f.sights[i] {
				f.sights[i][k].rewritten = &f.Conn
			}
			if len(o.sights[i]) == 0 {
				o.sights[i], o.bases[i] = f.sights[i], f.bases[i]
				continue
			}
			o.absorb(i, f.sights[i])
		}
		o.Rewritten = append(o.Rewritten, f.Conn)
		o.to = max(o.to, f.to)
		return true
	}
	return false
}

// absorb adds to what a point has of a flow what it has of it under other addresses: the
// same packets, on their way out, and those that the point's own host made.
func (f *flow) absorb(column int, others []sight) {
	own := len(f.sights[column])
	taken := make([]bool, own)
	for _, g := range others {
		same := -1
		for k := range own {
			h := &f.sights[column][k]
			if !taken[k] && f.kindOf(h) == f.kindOf(&g) && abs(h.time-g.time) < nearby && (same < 0 || abs(h.time-g.time) < abs(f.sights[column][same].time-g.time)) {
				same = k
			}
		}
		if same >= 0 {
			taken[same] = true
			f.sights[column][same].passed = append(f.sights[column][same].passed, g.frame)
			continue
		}
		f.sights[column] = append(f.sights[column], g)
	}
	slices.SortFunc(f.sights[column], func(x, y sight) int { return x.n - y.n })
}

// cites tells whether the verdict has a frame as evidence.
func (b *builder) cites(g *sight) bool {
	point := b.columns[g.column].Point
	return b.cited[frameRef{point, g.file, g.frame}] || slices.ContainsFunc(g.passed, func(n uint64) bool { return b.cited[frameRef{point, g.file, n}] })
}
