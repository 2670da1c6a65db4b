package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/capfile"
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

	frames     uint64
	interfaces []pcapng.InterfaceInfo
	tallies    map[string]*tally // of the points' interfaces; "" is all
}

// sight is a cited frame as it is in the file.
type sight struct {
	*Frame
	digest string
	of     []string // the points' interfaces that it is of
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
	r, err := capfile.NewReader(in)
	if errors.Is(err, pcapng.ErrFormat) {
		return &analyzer.InputError{Kind: analyzer.ErrMalformed, File: p.file, What: "is no capture", Err: err}
	}
	if err != nil {
		return &analyzer.InputError{Kind: analyzer.ErrIO, File: p.file, What: "cannot be read", Err: plain(err)}
	}
	defer r.Close()
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
		if f.Interface >= len(p.interfaces) {
			p.interfaces = r.Interfaces()
		}
		p.take(&d, f, &x)
	}
	p.frames, p.interfaces = r.Frames(), r.Interfaces()
	for name, t := range p.tallies {
		t.interruption = damaged
		for i := range p.interfaces {
			in := &p.interfaces[i]
			if name != "" && !p.is(name, i, nil) {
				continue
			}
			t.dropped += in.Lost()
			if in.HasStatistics {
				t.start, t.end = earliest(t.start, in.Statistics.Start.UnixNano(), in.Statistics.Start.IsZero()), max(t.end, in.Statistics.End.UnixNano())
			}
		}
	}
	return nil
}

// is tells whether a packet, or without one an interface, is of the interface that
// a point names: by name, else by number, else by Linux's own number.
func (p *plan) is(name string, i int, f *pcapng.Packet) bool {
	if slices.ContainsFunc(p.interfaces, func(in pcapng.InterfaceInfo) bool { return in.Name == name }) {
		return p.interfaces[i].Name == name
	}
	if n, ok := strings.CutPrefix(name, "ifindex "); ok {
		const cooked2, index = 276, 4 // LINKTYPE_LINUX_SLL2, and where its interface index is
		return p.interfaces[i].LinkType == cooked2 &&
			(f == nil || len(f.Data) >= index+4 && strconv.FormatUint(uint64(binary.BigEndian.Uint32(f.Data[index:])), 10) == n)
	}
	return strconv.Itoa(i) == name
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
func (p *plan) take(d *decoder, f pcapng.Packet, x *Frame) {
	if _, info := f5trailer.ParseFileInfo(f.Data); f.Number != 1 || !info {
		for name, t := range p.tallies {
			if name == "" || p.is(name, f.Interface, &f) {
				t.count(f)
			}
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
	d.decode(p.interfaces[f.Interface].LinkType, f, x)
	mine := func(iface string) bool { return iface == "" || p.is(iface, f.Interface, &f) }
	if wanted {
		s := &sight{Frame: x.keep(), digest: digest(f.Data)}
		for name := range p.tallies {
			if mine(name) {
				s.of = append(s.of, name)
			}
		}
		p.cited[f.Number] = s
	}
	if !covered {
		return
	}
	for _, a := range p.broad {
		a.refute(x, mine)
	}
	for i := range x.tcp {
		for j := range x.tcp {
			for _, a := range p.byPort[uint32(x.tcp[i].src)<<16|uint32(x.tcp[j].dst)] {
				a.refute(x, mine)
			}
		}
	}
}

func (t *tally) count(f pcapng.Packet) {
	t.packets++
	if f.Time != 0 {
		t.first, t.last = min(t.first, f.Time), max(t.last, f.Time)
	}
}

// refute notes a frame that was said to be absent.
func (x *exhibit) refute(f *Frame, mine func(iface string) bool) {
	if x.why != "" || f.Number < x.FromFrame || f.Number > x.ToFrame || !mine(x.iface) {
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
