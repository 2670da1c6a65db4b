package ladder

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// Ladder is one request's packets over all points. The zero value is an empty one.
type Ladder struct {
	Title   string    // the request, in words
	Verdict string    // what was found; "" without a verdict
	Start   time.Time // of the request, by the first point's clock
	Columns []Column  // in path order, client end first
	Flows   []Flow    // the clientside connection, if there is one, then serverside ones
	Rows    []Row     // causes before effects
	Notes   []string  // what the reader must know, such as points that could not see it
}

// Column is a point of capture.
type Column struct {
	Point string   // its name
	Hop   string   // the part before the slash
	Face  string   // the part behind it; "" if nobody named the point
	Files []string // in order of time; frame numbers are of them
	// Clock is this point's clock minus the first point's, and has been taken out of all
	// times of rows; 0 if Known is false.
	Clock time.Duration
	Known bool
}

// Flow is a TCP connection of the request.
type Flow struct {
	Side    string // [analyzer.Clientside] or [analyzer.Serverside]
	Conn    analyzer.Conn
	Columns []int // that it passes, in path order
	// Rewritten are the addresses that it has at some points, behind a box that rewrites
	// them.
	Rewritten []analyzer.Conn
}

// Row is a packet, or what stands for several that are left out.
type Row struct {
	// At is how long after [Ladder.Start] the point nearest its sender had it, by the
	// first point's clock; below zero for what was there before the request.
	At       time.Duration
	Flow     int // index into [Ladder.Flows]
	ToServer bool
	What     string // in Wireshark's words: SYN-ACK; PSH-ACK 512 B, POST /batch HTTP/1.1
	Flags    byte   // as in [analyzer.Packet]
	Len      int    // payload in bytes
	Seen     []Seen // in the direction of travel, at least one
	Fate     Fate
	// Next is the column that should have had it after the last one of Seen, where
	// Fate is not [Arrived]; Why says why that is no proof, where it is [Unknown].
	Next int
	Why  string
	// Born: the point before the first of Seen was listening and did not have it. It was
	// made in between. From is that point's column; -1 if there is none.
	Born bool
	From int
	// Spoiled is the column from which on its checksum is wrong; -1: none.
	Spoiled int
	Retry   bool   // it was sent before, all of it or in part
	Cause   string // why the proxy sent this RST, as its trailer says
	Cited   bool   // by the verdict, as evidence
	Omitted int    // > 0: so many packets that are left out, and nothing else of the row counts
}

// Seen is a frame that shows a packet.
type Seen struct {
	Column int
	File   string
	Frame  uint64    // Wireshark's number in the file
	Time   time.Time // as the file has it
	Again  []uint64  // the same packet in the same file: copies, or as a box that rewrites addresses sent it on
}

// Fate is what became of a packet behind the last point that saw it.
type Fate uint8

// Fates of packets.
const (
	Arrived Fate = iota // it came as far as anything was captured
	Died                // the next point was listening, and it never came
	Unknown             // the next point does not have it, which proves nothing
)

// Build reads the captures and makes the ladder of one request. points are those of the
// analysis, report is its result: it says in which order they are, what time each
// covers, what it loses and how its clock is off. The captures are read once, and once
// more for each end of the proxy of which only they tell the addresses. Errors are of
// type *[analyzer.InputError], or the context's.
func Build(ctx context.Context, points []analyzer.Point, report *analyzer.Report, r Request) (*Ladder, error) {
	b := newBuilder(report, r)
	if err := find(ctx, points, report, []*builder{b}); err != nil {
		return nil, err
	}
	if len(b.flows) == 0 {
		return nil, b.noPackets()
	}
	return b.draw(), nil
}

// BuildAll makes the ladders of several requests, and reads the captures as often as
// [Build] would for one. A ladder is nil where the captures hold no packet of the request.
func BuildAll(ctx context.Context, points []analyzer.Point, report *analyzer.Report, rs []Request) ([]*Ladder, error) {
	bs := make([]*builder, len(rs))
	for i, r := range rs {
		bs[i] = newBuilder(report, r)
	}
	if err := find(ctx, points, report, bs); err != nil {
		return nil, err
	}
	out := make([]*Ladder, len(rs))
	for i, b := range bs {
		if len(b.flows) > 0 {
			out[i] = b.draw()
		}
	}
	return out, nil
}

func newBuilder(report *analyzer.Report, r Request) *builder {
	b := &builder{report: report, request: r}
	b.listColumns()
	b.readEvidence()
	return b
}

// find reads the captures until every builder has the flows of its request.
func find(ctx context.Context, points []analyzer.Point, report *analyzer.Report, bs []*builder) error {
	for len(bs) > 0 {
		if err := gather(ctx, points, report, bs); err != nil {
			return err
		}
		var open []*builder
		for _, b := range bs {
			if b.learn() {
				open = append(open, b)
			}
		}
		bs = open
	}
	return nil
}

// builder is what becomes one ladder.
type builder struct {
	report  *analyzer.Report
	request Request
	columns []Column
	cited   map[frameRef]bool
	absent  map[string][]analyzer.Conn // by point: connections that the verdict says it did not see
	wanted  map[analyzer.Conn]bool     // canonical
	seen    []*pointSeen               // by column
	flows   []*flow
	asked   bool // trailers have been asked for serverside connections
	notes   []string
	start   int64   // of the request, by the first point's clock
	spread  []int64 // by column: half the width of what is known of its clock
}

// frameRef is a frame of a point.
type frameRef struct {
	point, file string
	frame       uint64
}

// draw makes a ladder of the packets of all flows.
func (b *builder) draw() *Ladder {
	var rows []*row
	for i, f := range b.flows {
		for _, r := range b.align(f) {
			r.Flow = i
			rows = append(rows, r)
		}
	}
	b.refineClocks(rows)
	for _, f := range b.flows {
		b.findPath(f, rows)
	}
	for _, r := range rows {
		r.at = b.corrected(r.seen[0])
	}
	rows = order(rows, len(b.columns))
	rows = b.confine(rows)
	b.judge(rows)
	b.name(rows)
	b.noteCopies()
	l := &Ladder{Title: b.title(), Verdict: b.verdict(), Columns: b.columns}
	for _, f := range b.flows {
		l.Flows = append(l.Flows, f.Flow)
	}
	if b.start == 0 && len(rows) > 0 {
		b.start = rows[0].at
	}
	if b.start != 0 {
		l.Start = time.Unix(0, b.start).UTC()
	}
	for _, r := range rows {
		r.At = time.Duration(r.at - b.start)
		l.Rows = append(l.Rows, r.finish(b))
	}
	l.Rows = fold(l.Rows)
	l.dropColumns()
	l.Notes = b.notes
	return l
}

// dropColumns leaves out the points that no flow passes.
func (l *Ladder) dropColumns() {
	to := make([]int, len(l.Columns))
	var kept []Column
	for i, c := range l.Columns {
		to[i] = -1
		if slices.ContainsFunc(l.Flows, func(f Flow) bool { return slices.Contains(f.Columns, i) }) {
			to[i] = len(kept)
			kept = append(kept, c)
		}
	}
	move := func(i *int) {
		if *i >= 0 {
			*i = to[*i]
		}
	}
	for i := range l.Flows {
		for k := range l.Flows[i].Columns {
			move(&l.Flows[i].Columns[k])
		}
	}
	for i := range l.Rows {
		r := &l.Rows[i]
		for k := range r.Seen {
			move(&r.Seen[k].Column)
		}
		move(&r.Next)
		move(&r.From)
		move(&r.Spoiled)
	}
	l.Columns = kept
}

// canonical is the same for both directions of a connection.
func canonical(a, b netip.AddrPort) analyzer.Conn {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return analyzer.Conn{Client: a, Server: b}
}
