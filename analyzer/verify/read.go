package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// plan is what is to be looked for in one capture file, and what was found. What it
// holds is bounded by the citations, whatever the file's size.
type plan struct {
	file   string
	cited  map[uint64]*sight // by frame number; nil until found
	times  map[uint64]int64  // of the frames around absences; 0 until found
	byPort map[uint32][]*exhibit
	broad  []*exhibit // absences that ask for no particular ports
	from   uint64     // of all absences
	to     uint64

	frames  uint64
	tallies map[string]*tally // by interface name; "" is all
}

// sight is a cited frame as it is in the file.
type sight struct {
	*Frame
	digest string
	iface  string
}

// tally counts the packets of an interface.
type tally struct {
	packets      uint64
	first, last  int64
	start, end   int64 // of its statistics; 0 if unknown
	dropped      uint64
	hasFileInfo  bool
	interruption bool // the file is damaged at its end
}

func newPlan(file string) *plan {
	return &plan{file: file, cited: map[uint64]*sight{}, times: map[uint64]int64{}, byPort: map[uint32][]*exhibit{},
		from: math.MaxUint64, tallies: map[string]*tally{}}
}

// add notes what an exhibit needs of the file.
func (p *plan) add(x *exhibit) {
	switch {
	case x.why != "":
	case x.Kind == analyzer.KindFrame:
		p.cited[x.Frame] = nil
	default:
		p.from, p.to = min(p.from, x.FromFrame), max(p.to, x.ToFrame)
		p.times[x.FromFrame-1], p.times[x.ToFrame+1] = 0, 0
		if key, ok := portKey(x.filter); ok {
			p.byPort[key] = append(p.byPort[key], x)
		} else {
			p.broad = append(p.broad, x)
		}
	}
}

// portKey is the pair of ports that a filter insists on, so that a frame need be
// held against the few absences that could mean it.
func portKey(f *Filter) (uint32, bool) {
	var src, dst uint64
	var found int
	for _, t := range f.terms() {
		if t.op != "==" {
			continue
		}
		switch t.name {
		case "tcp.srcport":
			src = t.want.number
			found |= 1
		case "tcp.dstport":
			dst = t.want.number
			found |= 2
		}
	}
	return uint32(src<<16 | dst), found == 3
}

// checkEvery is how many frames pass between looks at the context.
const checkEvery = 1 << 14

// read goes through the file once.
func (p *plan) read(ctx context.Context, in *os.File) error {
	r, err := pcapng.NewReader(in)
	if errors.Is(err, pcapng.ErrFormat) {
		return &analyzer.InputError{Kind: analyzer.ErrMalformed, File: p.file, What: "is no capture", Err: err}
	}
	if err != nil {
		return &analyzer.InputError{Kind: analyzer.ErrIO, File: p.file, What: "cannot be read", Err: plain(err)}
	}
	var d decoder
	var x Frame
	damaged := false
	for {
		if r.Frames()%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		f, err := r.Next()
		var cut *pcapng.TruncatedError
		if err == io.EOF || errors.As(err, &cut) {
			damaged = err != io.EOF
			break
		}
		if err != nil {
			return &analyzer.InputError{Kind: analyzer.ErrIO, File: p.file, What: "cannot be read to its end", Err: plain(err)}
		}
		p.take(&d, r.Interfaces()[f.Interface], f, &x)
	}
	p.frames = r.Frames()
	for _, in := range r.Interfaces() {
		for _, name := range []string{"", in.Name} {
			if t := p.tally(name); in.HasStatistics && !(name == "" && in.Name == "" && t.start != 0) {
				t.dropped += in.Statistics.Dropped
				t.start, t.end = earliest(t.start, in.Statistics.Start.UnixNano(), in.Statistics.Start.IsZero()), max(t.end, in.Statistics.End.UnixNano())
			}
			p.tally(name).interruption = damaged
			if in.Name == "" {
				break
			}
		}
	}
	return nil
}

func earliest(have, next int64, none bool) int64 {
	if none || have != 0 && have < next {
		return have
	}
	return next
}

func (p *plan) tally(name string) *tally {
	t := p.tallies[name]
	if t == nil {
		t = &tally{first: math.MaxInt64, last: math.MinInt64}
		p.tallies[name] = t
	}
	return t
}

// take looks at one frame.
func (p *plan) take(d *decoder, in pcapng.InterfaceInfo, f pcapng.Packet, x *Frame) {
	if _, info := f5trailer.ParseFileInfo(f.Data); f.Number != 1 || !info {
		p.count("", f)
		if in.Name != "" {
			p.count(in.Name, f)
		}
	}
	if _, wanted := p.times[f.Number]; wanted {
		p.times[f.Number] = f.Time
	}
	_, wanted := p.cited[f.Number]
	covered := f.Number >= p.from && f.Number <= p.to
	if !wanted && !covered {
		return
	}
	d.decode(in.LinkType, f, x)
	if wanted {
		p.cited[f.Number] = &sight{x.keep(), digest(f.Data), in.Name}
	}
	if !covered {
		return
	}
	for _, a := range p.broad {
		a.refute(x, in.Name)
	}
	for i := range x.tcp {
		for j := range x.tcp {
			for _, a := range p.byPort[uint32(x.tcp[i].src)<<16|uint32(x.tcp[j].dst)] {
				a.refute(x, in.Name)
			}
		}
	}
}

func (p *plan) count(name string, f pcapng.Packet) {
	t := p.tally(name)
	t.packets++
	if f.Time != 0 {
		t.first, t.last = min(t.first, f.Time), max(t.last, f.Time)
	}
}

// refute notes a frame that was said to be absent.
func (x *exhibit) refute(f *Frame, iface string) {
	if x.why != "" || f.Number < x.FromFrame || f.Number > x.ToFrame || x.iface != "" && iface != "" && iface != x.iface {
		return
	}
	there, err := x.filter.Match(f)
	switch {
	case err != nil:
		x.why = fmt.Sprintf("frame %d: %v", f.Number, err)
	case there:
		x.why = fmt.Sprintf("frame %d is there and matches", f.Number)
	}
}
