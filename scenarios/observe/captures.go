package observe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// Frame is one captured frame. Its Data is shared and must not be written to.
type Frame struct {
	Time       int64 // nanoseconds since the epoch, by the capture's own clock
	Interface  int   // index into Capture.Interfaces
	WireLength int
	Data       []byte
}

// Same says whether two frames have the same time and bytes.
func (f *Frame) Same(as *Frame) bool {
	return f.Time == as.Time && f.WireLength == as.WireLength && bytes.Equal(f.Data, as.Data)
}

// Interface is a capture interface and what it says of its own capture.
type Interface struct {
	pcapng.Interface
	HasStatistics bool
	Statistics    pcapng.Statistics
}

// Capture is what was captured at one point, frames in the file's order.
type Capture struct {
	Point      analyzer.Point
	Interfaces []Interface
	Frames     []Frame
	Torn       bool   // the file ends inside a block, as when a disk was full
	Source     string // a file that holds exactly this; "" if there is none

	clocks []func(int64) int64 // what was done to its clock, in order
}

// Clock returns what this capture's clock shows when the recorded one showed t.
func (c *Capture) Clock(t int64) int64 {
	for _, f := range c.clocks {
		t = f(t)
	}
	return t
}

// Span returns the time of the first and the last TCP segment, in nanoseconds; zeros
// without any. What IPv6 hosts have to say to each other comes seconds before and after.
func (c *Capture) Span() (first, last int64) {
	for i := range c.Frames {
		if _, ok := TCP(c.Frames[i].Data); !ok {
			continue
		}
		t := c.Frames[i].Time
		if first == 0 || t < first {
			first = t
		}
		last = max(last, t)
	}
	return first, last
}

// Captures are the captures of a run, in path order. The zero value is a run
// that nobody captured.
type Captures struct {
	Points []Capture
	// Addresses maps recorded addresses to those now in the captures; nil if
	// they are the same.
	Addresses map[netip.Addr]netip.Addr
	// Files are the file names of unlabelled captures, one a point; nil if the
	// captures are labelled by a points.json.
	Files []string
}

// Load reads the captures of a run directory.
func Load(dir string) (*Captures, error) {
	points, err := analyzer.LoadPoints(dir)
	if err != nil {
		return nil, err
	}
	c := &Captures{}
	for _, p := range points {
		one, err := Open(p)
		if err != nil {
			return nil, fmt.Errorf("captures of %s: %w", dir, err)
		}
		c.Points = append(c.Points, *one)
	}
	return c, nil
}

// Open reads the capture of one point, from its Path.
func Open(p analyzer.Point) (*Capture, error) {
	f, err := os.Open(p.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pcapng.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	c := &Capture{Point: p, Source: p.Path}
	var arena []byte // one allocation for thousands of frames
	for {
		pk, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
		if cap(arena)-len(arena) < len(pk.Data) {
			arena = make([]byte, 0, max(1<<20, len(pk.Data)))
		}
		n := len(arena)
		arena = append(arena, pk.Data...)
		c.Frames = append(c.Frames, Frame{pk.Time, pk.Interface, pk.WireLength, arena[n:len(arena):len(arena)]})
	}
	for _, i := range r.Interfaces() {
		c.Interfaces = append(c.Interfaces, Interface{i.Interface, i.HasStatistics, i.Statistics})
	}
	return c, nil
}

// Clone returns a copy that a fault may be applied to.
func (c *Captures) Clone() *Captures {
	out := &Captures{Points: slices.Clone(c.Points), Addresses: c.Addresses, Files: c.Files}
	for i := range out.Points {
		p := &out.Points[i]
		p.Interfaces, p.clocks = slices.Clone(p.Interfaces), slices.Clip(p.clocks)
	}
	return out
}

// Point returns the capture of a point for reading; nil if there is none.
func (c *Captures) Point(name string) *Capture {
	i := slices.IndexFunc(c.Points, func(p Capture) bool { return p.Point.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Points[i]
}

// change calls f for each of the named points that there is, all of them if none
// is named; their files must be written anew.
func (c *Captures) change(names []string, f func(*Capture)) {
	for i := range c.Points {
		if p := &c.Points[i]; len(names) == 0 || slices.Contains(names, p.Point.Name) {
			p.Source = ""
			f(p)
		}
	}
}

// keep removes the frames for which want is false. The description that F5's
// tcpdump begins a file with is no packet, and stays.
func (c *Capture) keep(want func(*Frame) bool) {
	kept := make([]Frame, 0, len(c.Frames))
	for i := range c.Frames {
		if i == 0 && IsFileInfo(c.Frames[i].Data) || want(&c.Frames[i]) {
			kept = append(kept, c.Frames[i])
		}
	}
	c.Frames = kept
}

// filter removes them as a capture filter does, whose statistics count what is left, for
// that is what was asked for.
func (c *Capture) filter(want func(*Frame) bool) {
	c.keep(func(f *Frame) bool {
		if want(f) {
			return true
		}
		if s := &c.Interfaces[f.Interface].Statistics; s.Received > 0 {
			s.Received--
		}
		return false
	})
}

// rewrite replaces each packet by what f makes of it.
func (c *Capture) rewrite(f func(Frame) Frame) {
	out := slices.Clone(c.Frames)
	for i := range out {
		if i > 0 || !IsFileInfo(out[i].Data) {
			out[i] = f(out[i])
		}
	}
	c.Frames = out
}

// IsFileInfo tells whether a frame is no packet but the description that F5's tcpdump
// begins a file with.
func IsFileInfo(frame []byte) bool {
	_, ok := f5trailer.ParseFileInfo(frame)
	return ok
}

// forgetStatistics leaves out what only a capture that ended well can say.
func (c *Capture) forgetStatistics() {
	for i := range c.Interfaces {
		c.Interfaces[i].HasStatistics = false
	}
}

// Write writes the captures into a folder, with a points.json unless they are
// unlabelled, and returns the points with Path set. Files that a fault left
// as they were are linked to, or copied if the folder is to stand on its own.
func (c *Captures) Write(dir string, standalone bool) ([]analyzer.Point, error) {
	var points []analyzer.Point
	for i := range c.Points {
		p := c.Points[i].Point
		p.File = filepath.Base(filepath.FromSlash(p.File))
		if c.Files != nil {
			p.File = c.Files[i]
		}
		p.Path = filepath.Join(dir, p.File)
		if err := c.Points[i].write(p.Path, standalone); err != nil {
			return nil, fmt.Errorf("captures: %w", err)
		}
		points = append(points, p)
	}
	if c.Files != nil {
		return points, nil
	}
	b, err := json.MarshalIndent(analyzer.PointsFile{SchemaVersion: analyzer.SchemaVersion, Points: points}, "", " ")
	if err != nil {
		return nil, err
	}
	return points, os.WriteFile(filepath.Join(dir, "points.json"), b, 0o644)
}

func (c *Capture) write(path string, standalone bool) (err error) {
	if c.Source != "" && !standalone {
		// A second name, not a symbolic link: verify opens nothing outside its folder.
		if os.Link(c.Source, path) == nil {
			return nil
		} // else it is on another file system
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = c.Encode(buffered)
	return errors.Join(err, buffered.Flush(), f.Close())
}

// Encode writes the capture as a pcapng file.
func (c *Capture) Encode(to io.Writer) error {
	w, err := pcapng.NewWriter(to, pcapng.Section{})
	if err != nil {
		return err
	}
	for _, i := range c.Interfaces {
		if _, err := w.AddInterface(i.Interface); err != nil {
			return err
		}
	}
	for i := range c.Frames {
		f := &c.Frames[i]
		if err := w.WritePacket(f.Interface, f.Time, f.WireLength, f.Data); err != nil {
			return err
		}
	}
	for i := range c.Interfaces {
		if c.Interfaces[i].HasStatistics {
			if err := w.WriteStatistics(i, c.Interfaces[i].Statistics); err != nil {
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c.Torn {
		_, err = io.WriteString(to, tornBlock)
	}
	return err
}

// tornBlock is the head of an enhanced packet block of 96 bytes (pcapng §4.3),
// little endian, of which no more was written.
var tornBlock = "\x06\x00\x00\x00\x60\x00\x00\x00" + strings.Repeat("\x00", 12)
