package observe

import "github.com/hopblame/hopblame/analyzer/f5trailer"

// StripTrailers takes the F5's trailers away, as when tcpdump was called without
// :nnn, or the proxy is nobody's F5.
type StripTrailers struct {
	KeepFileInfo bool // the first frame still says that it was an F5
}

// Name implements [Fault].
func (a StripTrailers) Name() string { return "trailers stripped" }

func (a StripTrailers) String() string {
	if a.KeepFileInfo {
		return "trailers stripped, but for the file's description"
	}
	return "trailers stripped"
}

// Apply implements [Fault].
func (a StripTrailers) Apply(c *Captures) {
	for i := range c.Points {
		p := &c.Points[i]
		if !p.HasTrailers() {
			continue
		}
		c.change([]string{p.Point.Name}, func(p *Capture) {
			p.rewrite(func(f Frame) Frame {
				if at, _, ok := f5trailer.Find(f.Data, f.WireLength); ok {
					f.Data, f.WireLength = f.Data[:at:at], at
				}
				return f
			})
			if !a.KeepFileInfo && len(p.Frames) > 0 && IsFileInfo(p.Frames[0].Data) {
				p.Frames = p.Frames[1:]
			}
		})
	}
}

// HasTrailers tells whether an F5 wrote the capture: it has trailers, or the description.
func (c *Capture) HasTrailers() bool {
	for i := range c.Frames {
		f := &c.Frames[i]
		if _, _, ok := f5trailer.Find(f.Data, f.WireLength); ok || IsFileInfo(f.Data) {
			return true
		}
	}
	return false
}
