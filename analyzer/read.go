package analyzer

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/hopblame/hopblame/internal/capfile"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// prepare lists the files of all points in the order in which they are read, and
// spools those that can be read only once.
func (a *analysis) prepare(ctx context.Context, spool *Spool) error {
	a.sources = make([][]source, len(a.points))
	for i := range a.points {
		p := &a.points[i]
		for _, c := range p.captures() {
			if c.spooled == nil {
				kept, err := spool.Take(ctx, c.path())
				if err != nil {
					return err
				}
				if c.spooled = kept.spooled; c.File == stdinName {
					c.File = kept.File
				}
			}
			a.sources[i] = append(a.sources[i], source{Capture: c, number: -1})
		}
		p.File = a.sources[i][0].File
	}
	if err := checkFiles(a.points, a.sources); err != nil {
		return err
	}
	for i := range a.points {
		if err := a.orderFiles(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// orderFiles puts a point's files in order of their first packets and finds out
// which of their interfaces are meant.
func (a *analysis) orderFiles(ctx context.Context, i int) error {
	sources := a.sources[i]
	first := map[string]int64{} // by file, so that equal times leave an order too
	for k := range sources {
		s := &sources[k]
		if s.Interface == "" && len(sources) == 1 {
			continue
		}
		c, err := scan(ctx, &s.Capture, func(c *contents) bool {
			// Interfaces may be described late; a name that is there needs no more.
			return len(c.found) > 0 && (s.Interface == "" || s.choose(c.interfaces) == nil && s.number < 0)
		})
		if err != nil {
			return ofPoint(err, &a.points[i])
		}
		if err := s.choose(c.interfaces); err != nil {
			return ofPoint(err, &a.points[i])
		}
		at := int64(math.MaxInt64)
		for _, f := range c.found {
			at = min(at, f.first)
		}
		first[s.File] = at
	}
	slices.SortStableFunc(sources, func(x, y source) int {
		switch p, q := first[x.File], first[y.File]; {
		case p < q || p == q && x.File < y.File:
			return -1
		case p > q || x.File > y.File:
			return 1
		}
		return 0
	})
	a.points[i].File = sources[0].File
	return nil
}

// ofPoint says for which point a file was given.
func ofPoint(err error, p *Point) error {
	var in *InputError
	if errors.As(err, &in) {
		e := *in
		switch {
		case e.Err == nil:
			e.What = "point " + p.Name + ": " + e.What
		case e.What == "":
			e.What = "point " + p.Name
		case e.What == cannotOpen:
			e.What += " for point " + p.Name
		}
		return &e
	}
	return err
}

const cannotOpen = "cannot be opened"

// openCapture opens a file and recognises its format. Errors are of type
// *[InputError].
func openCapture(c *Capture) (r *capfile.Reader, close func(), err error) {
	file, err := c.open()
	if err != nil {
		return nil, nil, &InputError{Kind: ErrIO, File: c.File, What: cannotOpen, Err: plain(err), Fix: "check that it exists and is readable"}
	}
	r, err = capfile.NewReader(file)
	if err != nil {
		file.Close()
		if errors.Is(err, pcapng.ErrFormat) {
			return nil, nil, &InputError{Kind: ErrMalformed, File: c.File, Err: err, Fix: "give a pcap or pcapng file"}
		}
		return nil, nil, &InputError{Kind: ErrIO, File: c.File, What: "cannot be read", Err: plain(err)}
	}
	return r, func() { r.Close(); file.Close() }, nil
}

// read hands f a way to stream all files of a point.
func (a *analysis) read(ctx context.Context, i int, n *counter, f func(i int, read reader) error) error {
	return f(i, func(each func(uint16, pcapng.Packet)) error {
		var base uint64
		for k := range a.sources[i] {
			s := &a.sources[i][k]
			s.base = base
			if err := a.stream(ctx, s, n, each); err != nil {
				return ofPoint(err, &a.points[i])
			}
			s.read = true
			base += s.frames
		}
		return nil
	})
}

// checkEvery is how many frames pass between looks at the context.
const checkEvery = 1 << 14

// stream reads one file. Damage ends it, and is remembered. In later passes no
// more of the file is read than in the first: it may have grown.
func (a *analysis) stream(ctx context.Context, s *source, n *counter, each func(uint16, pcapng.Packet)) error {
	r, closeFile, err := openCapture(&s.Capture)
	if err != nil {
		return err
	}
	defer closeFile()
	var offset int64
	var frames uint64
	report := func() {
		n.bytes.Add(r.Consumed() - offset)
		n.packets.Add(r.Frames() - frames)
		offset, frames = r.Consumed(), r.Frames()
		if a.o.Progress != nil {
			a.progress.Lock()
			a.o.Progress(Progress{Phase: n.phase, Bytes: n.bytes.Load(), Size: n.size, Packets: n.packets.Load()})
			a.progress.Unlock()
		}
	}
	defer report()
	last := uint64(math.MaxUint64)
	if s.read {
		last = s.frames
	}
	interfaces := r.Interfaces()
	for k := 0; r.Frames() < last; k++ {
		if k%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			report()
		}
		f, err := r.Next()
		if err != nil {
			if err != io.EOF && !errors.As(err, &s.damage) {
				return &InputError{Kind: ErrIO, File: s.File, What: "cannot be read to its end", Err: plain(err)}
			}
			break
		}
		if f.Interface >= len(interfaces) {
			interfaces = r.Interfaces()
		}
		in := &interfaces[f.Interface]
		if s.Interface != "" && (!s.wants(f.Interface, in) || !s.wantsFrame(&f)) || f.Number == 1 && fileInfo(f.Data) {
			continue
		}
		f.Number += s.base
		each(in.LinkType, f)
	}
	if !s.read {
		s.frames, s.known = r.Frames(), r.Interfaces()
	}
	return nil
}
