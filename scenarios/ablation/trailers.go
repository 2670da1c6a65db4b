package ablation

import "github.com/hopblame/hopblame/analyzer/f5trailer"

// StripTrailers takes the F5's trailers away, as when tcpdump was called without
// :nnn, or the proxy is nobody's F5.
type StripTrailers struct {
	KeepFileInfo bool // the first frame still says that it was an F5
}

// Name implements [Ablation].
func (a StripTrailers) Name() string { return "trailers stripped" }

func (a StripTrailers) String() string {
	if a.KeepFileInfo {
		return "trailers stripped, but for the file's description"
	}
	return "trailers stripped"
}

// Apply implements [Ablation].
func (a StripTrailers) Apply(c *Captures) {
	for i := range c.Points {
		p := &c.Points[i]
		if !p.hasTrailers() {
			continue
		}
		c.change([]string{p.Point.Name}, func(p *Capture) {
			p.rewrite(func(f Frame) Frame {
				if at, _, ok := f5trailer.Find(f.Data, f.WireLength); ok {
					f.Data, f.WireLength = f.Data[:at:at], at
				}
				return f
			})
			if !a.KeepFileInfo && len(p.Frames) > 0 && isFileInfo(p.Frames[0].Data) {
				p.Frames = p.Frames[1:]
			}
		})
	}
}

func (c *Capture) hasTrailers() bool {
	for i := range c.Frames {
		f := &c.Frames[i]
		if _, _, ok := f5trailer.Find(f.Data, f.WireLength); ok || isFileInfo(f.Data) {
			return true
		}
	}
	return false
}
