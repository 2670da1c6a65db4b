package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hopblame/hopblame/internal/capfile"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// Frame is a frame as one point captured it, whatever is in it.
type Frame struct {
	File       string // as in [PointReport]
	Number     uint64 // Wireshark's in it
	Time       int64  // nanoseconds since the epoch, as the file has it
	LinkType   uint16 // of the pcap link type registry
	Data       []byte // valid until the next call of Next
	WireLength int
}

// Frames reads all frames of a point, those that are no TCP and a file's first, FILEINFO,
// included. Close it.
type Frames struct {
	ctx        context.Context
	point      *Point
	sources    []source
	r          *capfile.Reader // of the first of sources; nil before it is open
	interfaces []pcapng.InterfaceInfo
	close      func()
	n          int
}

// OpenFrames returns the frames of a report's points, in its order, each to be read from
// its beginning. close ends all of them. Errors are of type *[InputError], or the
// context's.
func OpenFrames(ctx context.Context, points []Point, r *Report) (list []*Frames, close func(), err error) {
	if err := checkPoints(points); err != nil {
		return nil, nil, &InputError{Kind: ErrMalformed, File: "points", What: err.Error()}
	}
	a := &analysis{points: slices.Clone(mergePoints(points))}
	spool := &Spool{}
	if err := a.prepare(ctx, spool); err != nil {
		spool.Close()
		return nil, nil, err
	}
	close = func() {
		for _, f := range list {
			f.end()
		}
		spool.Close()
	}
	for i := range r.Points {
		at := a.pointOf(&r.Points[i])
		if at < 0 {
			close()
			return nil, nil, &InputError{Kind: ErrMalformed, File: r.Points[i].File, What: fmt.Sprintf("the report has it for point %s, and it is not among the captures", r.Points[i].Name),
				Fix: "give the captures that were analysed"}
		}
		list = append(list, &Frames{ctx: ctx, point: &a.points[at], sources: slices.Clone(a.sources[at])})
	}
	return list, close, nil
}

// Next returns the next frame, in the order of the files. At the end it is io.EOF; a file
// that is damaged ends at the damage. Other errors are of type *[InputError], or the
// context's.
func (f *Frames) Next() (Frame, error) {
	for len(f.sources) > 0 {
		if f.n++; f.n%checkEvery == 0 {
			if err := f.ctx.Err(); err != nil {
				return Frame{}, err
			}
		}
		s := &f.sources[0]
		if f.r == nil {
			r, closeFile, err := openCapture(&s.Capture)
			if err != nil {
				return Frame{}, ofPoint(err, f.point)
			}
			f.r, f.close, f.interfaces = r, closeFile, r.Interfaces()
		}
		p, err := f.r.Next()
		if err != nil {
			var damage *pcapng.TruncatedError
			if err != io.EOF && !errors.As(err, &damage) {
				return Frame{}, ofPoint(&InputError{Kind: ErrIO, File: s.File, What: "cannot be read to its end", Err: plain(err)}, f.point)
			}
			f.end()
			f.sources = f.sources[1:]
			continue
		}
		if p.Interface >= len(f.interfaces) {
			f.interfaces = f.r.Interfaces()
		}
		in := &f.interfaces[p.Interface]
		if s.Interface != "" && (!s.wants(p.Interface, in) || !s.wantsFrame(&p)) {
			continue
		}
		return Frame{File: s.File, Number: p.Number, Time: p.Time, LinkType: in.LinkType, Data: p.Data, WireLength: p.WireLength}, nil
	}
	return Frame{}, io.EOF
}

func (f *Frames) end() {
	if f.r != nil {
		f.close()
		f.r = nil
	}
}
