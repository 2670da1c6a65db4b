package verify

import (
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
)

// exhibit is a piece of evidence under examination.
type exhibit struct {
	*analyzer.Evidence
	where  string // in the verdict: evidence[2], eliminated[0].evidence[1]
	iface  string // of the point, where several share a file
	filter *Filter
	frame  *Frame // of a frame that is confirmed
	around *[2]int64
	why    string // it does not hold; "" while nothing is against it
}

func (x *exhibit) refuse(format string, args ...any) {
	if x.why == "" {
		x.why = fmt.Sprintf(format, args...)
	}
}

// holds tells whether it is confirmed.
func (x *exhibit) holds() bool { return x.why == "" }

func (x *exhibit) is(kind string) bool { return x.Kind == kind }

// label names it for people.
func (x *exhibit) label() string {
	if x.is(analyzer.KindAbsence) {
		return fmt.Sprintf("%s: absence in frames %d–%d of %s", x.where, x.FromFrame, x.ToFrame, x.File)
	}
	return fmt.Sprintf("%s: frame %d of %s", x.where, x.Frame, x.File)
}

// inspect checks what needs no capture: that nothing is missing, and that nothing is
// said that cannot be.
func (x *exhibit) inspect() {
	switch x.Kind {
	case analyzer.KindFrame:
		switch {
		case x.Frame == 0:
			x.refuse("no frame number")
		case x.FromFrame != 0 || x.ToFrame != 0:
			x.refuse("a frame has no range")
		case x.Digest == "":
			x.refuse("cannot be confirmed: no digest")
		case x.Time.IsZero():
			x.refuse("cannot be confirmed: no time")
		}
	case analyzer.KindAbsence:
		switch {
		case x.Frame != 0 || x.Digest != "" || !x.Time.IsZero():
			x.refuse("an absence has no frame, time or digest")
		case x.FromFrame == 0 || x.FromFrame > x.ToFrame || x.ToFrame+1 == 0:
			x.refuse("no range: %d to %d", x.FromFrame, x.ToFrame)
		}
	default:
		x.refuse("kind %s is neither frame nor absence", clip(x.Kind))
	}
	if x.Filter == "" {
		x.refuse("cannot be confirmed: no filter")
		return
	}
	f, err := Parse(x.Filter)
	if err != nil {
		x.refuse("%v", err)
		return
	}
	x.filter = f
	if x.Kind != analyzer.KindAbsence {
		return
	}
	for _, name := range f.fields() {
		if !Fields[name].travel {
			x.refuse("an absence cannot be asked for by %s, which differs from point to point", name)
		}
	}
}

// compare holds it against what was found in the file.
func (x *exhibit) compare(p *plan) {
	if x.why != "" {
		return
	}
	if x.is(analyzer.KindAbsence) {
		if x.ToFrame > p.frames {
			x.refuse("the file has %d frames", p.frames)
			return
		}
		x.around = &[2]int64{p.times[x.FromFrame-1], p.times[x.ToFrame+1]}
		return
	}
	s := p.cited[x.Frame]
	switch {
	case s == nil:
		x.refuse("the file has %d frames", p.frames)
	case s.digest != x.Digest:
		x.refuse("its bytes have digest %s, not %s", s.digest, clip(x.Digest))
	case !s.Time.Equal(x.Time):
		x.refuse("its time is %s, not %s", s.Time.Format(stampFormat), x.Time.Format(stampFormat))
	case !slices.Contains(s.of, x.iface):
		x.refuse("it is not of interface %s", clip(x.iface))
	default:
		ok, err := x.filter.Match(s.Frame)
		if err != nil {
			x.refuse("%v", err)
		} else if !ok {
			x.refuse("its filter does not find it")
		}
		x.frame = s.Frame
	}
}

const stampFormat = "2006-01-02T15:04:05.999999999Z07:00"
