package analyzer

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// source is one file of a point. The frames of a point are numbered through its
// files in the order of time; people are told file and number in it.
type source struct {
	Capture
	number  int    // of the interface in the file, from 0; -1: not chosen by number
	ifindex uint32 // of Linux cooked v2; 0: not chosen by it

	read   bool   // the first pass is through; what was not there then does not count
	base   uint64 // frames in the files before
	frames uint64
	damage *pcapng.TruncatedError
	known  []pcapng.InterfaceInfo // as the file tells at its end
}

// wants tells whether packets of an interface belong to the point.
func (s *source) wants(i int, in *pcapng.InterfaceInfo) bool {
	switch {
	case s.Interface == "":
		return true
	case s.ifindex != 0:
		return in.LinkType == linkSLL2
	case s.number >= 0:
		return i == s.number
	}
	return in.Name == s.Interface
}

// wantsFrame is the same for a frame of such an interface.
func (s *source) wantsFrame(f *pcapng.Packet) bool {
	return s.ifindex == 0 || len(f.Data) >= 8 && cookedIndex(f.Data) == s.ifindex
}

// ifindexWord begins the name of an interface that has only a number, which is
// how Linux cooked v2 (tcpdump -i any) tells interfaces apart.
const ifindexWord = "ifindex "

// choose works out what a source's Interface means in a file with these
// interfaces: a name, else a number in the file, else a Linux interface index.
func (s *source) choose(interfaces []pcapng.InterfaceInfo) error {
	s.number, s.ifindex = -1, 0
	if s.Interface == "" || slices.ContainsFunc(interfaces, func(i pcapng.InterfaceInfo) bool { return i.Name == s.Interface }) {
		return nil
	}
	if n, ok := strings.CutPrefix(s.Interface, ifindexWord); ok {
		cooked := slices.ContainsFunc(interfaces, func(i pcapng.InterfaceInfo) bool { return i.LinkType == linkSLL2 })
		if n, err := strconv.ParseUint(n, 10, 32); err == nil && n > 0 && cooked {
			s.ifindex = uint32(n)
			return nil
		}
	}
	if n, err := strconv.ParseUint(s.Interface, 10, 31); err == nil && int(n) < len(interfaces) {
		s.number = int(n)
		return nil
	}
	var names []string
	for i, in := range interfaces {
		switch {
		case in.Name == "":
			names = append(names, strconv.Itoa(i))
		case !slices.Contains(names, in.Name):
			names = append(names, in.Name)
		}
	}
	there := "none in it has a name"
	if len(names) > 0 {
		const most = 20
		if len(names) > most {
			names = append(names[:most], "…")
		}
		there = "there are " + strings.Join(names, ", ")
	}
	return &InputError{Kind: ErrMalformed, File: s.File, What: fmt.Sprintf("there is no interface %s in this file", s.Interface), Fix: there}
}

// open gives the file from its beginning.
func (c *Capture) open() (io.ReadCloser, error) {
	if c.spooled != nil {
		return io.NopCloser(io.NewSectionReader(c.spooled.file, 0, c.spooled.size)), nil
	}
	return os.Open(c.path())
}

// size is 0 if it is not known.
func (c *Capture) size() int64 {
	if c.spooled != nil {
		return c.spooled.size
	}
	st, err := os.Stat(c.path())
	if err != nil {
		return 0
	}
	return st.Size()
}

// same tells whether two captures are one file.
func (c *Capture) same(d *Capture) bool {
	if c.spooled != nil || d.spooled != nil {
		return c.spooled == d.spooled
	}
	a, err := os.Stat(c.path())
	if err != nil {
		return false // opening it says so better
	}
	b, err := os.Stat(d.path())
	return err == nil && os.SameFile(a, b)
}

// fileRange is a range of Wireshark's frame numbers in one file.
type fileRange struct {
	File     string
	From, To uint64
}

// at returns the file that a frame number of the point lies in; the last one for
// numbers beyond.
func (s *survey) at(frame uint64) *source {
	for i := range s.sources {
		if f := &s.sources[i]; frame <= f.base+f.frames {
			return f
		}
	}
	if len(s.sources) == 0 { // nothing was read
		return &source{Capture: Capture{File: s.point.File}}
	}
	return &s.sources[len(s.sources)-1]
}

// locate turns a frame number of the point into a file and Wireshark's number.
func (s *survey) locate(frame uint64) (file string, number uint64) {
	f := s.at(frame)
	return f.File, frame - f.base
}

// ranges splits a range of the point's frame numbers into those of its files. At
// least one is returned, however empty.
func (s *survey) ranges(from, to uint64) []fileRange {
	var out []fileRange
	for i := range s.sources {
		f := &s.sources[i]
		a, b := max(from, f.base+1), min(to, f.base+f.frames)
		if a <= b {
			out = append(out, fileRange{f.File, a - f.base, b - f.base})
		}
	}
	if out == nil {
		f := s.at(from)
		out = append(out, fileRange{f.File, from - min(f.base, from), to - min(f.base, to)})
	}
	return out
}

// files names the point's files in a few words.
func (s *survey) files() string {
	switch n := len(s.sources); n {
	case 0, 1:
		return s.point.File
	case 2:
		return s.point.File + " and another file"
	default:
		return fmt.Sprintf("%s and %d other files", s.point.File, n-1)
	}
}

// cite makes evidence of a frame of the point.
func (s *survey) cite(frame uint64, what string) Evidence {
	file, number := s.locate(frame)
	return Evidence{Kind: KindFrame, Point: s.point.Name, File: file, Frame: number, What: what}
}

// absent makes evidence of a range of the point's frames in which a display
// filter finds nothing, one piece a file.
func (s *survey) absent(filter, what string, from, to uint64) []Evidence {
	var out []Evidence
	for _, r := range s.ranges(from, to) {
		out = append(out, Evidence{Kind: KindAbsence, Point: s.point.Name, File: r.File, What: what, Filter: filter, FromFrame: r.From, ToFrame: r.To})
	}
	return out
}

// Size is how many bytes the captures of some points have on the disk, as far as
// that is known; a file that is given for several points counts once.
func Size(points []Point) (sum int64) {
	seen := map[string]bool{}
	for i := range points {
		for _, c := range points[i].captures() {
			if !seen[c.File] {
				seen[c.File] = true
				sum += c.size()
			}
		}
	}
	return sum
}
