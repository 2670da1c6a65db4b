package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// contents is what a file turns out to hold.
type contents struct {
	interfaces []pcapng.InterfaceInfo
	found      []found
}

// found is an interface with packets.
type found struct {
	index       int
	ifindex     uint32 // of Linux cooked v2; 0: not told
	packets     uint64
	first, last int64 // of the packets that have a time; 0: none has
}

// scan reads a file without decoding it, until enough says so; nil means all of
// it. Damage ends it without an error: the analysis will tell.
func scan(ctx context.Context, c *Capture, enough func(*contents) bool) (*contents, error) {
	r, closeFile, err := openCapture(c)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	out := &contents{interfaces: r.Interfaces()}
	last := &found{index: -1}
	for k := 0; ; k++ {
		if k%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f, err := r.Next()
		out.interfaces = r.Interfaces()
		if err != nil {
			var cut *pcapng.TruncatedError
			if err == io.EOF || errors.As(err, &cut) {
				return out, nil
			}
			return nil, &InputError{Kind: ErrIO, File: c.File, What: "cannot be read to its end", Err: plain(err)}
		}
		if f.Number == 1 && fileInfo(f.Data) {
			continue
		}
		ifindex := uint32(0)
		if out.interfaces[f.Interface].LinkType == linkSLL2 && len(f.Data) >= 8 {
			ifindex = cookedIndex(f.Data)
		}
		if last.index != f.Interface || last.ifindex != ifindex {
			last = out.of(f.Interface, ifindex)
		}
		last.packets++
		if f.Time != 0 {
			if last.first == 0 || f.Time < last.first {
				last.first = f.Time
			}
			last.last = max(last.last, f.Time)
		}
		if enough != nil && enough(out) {
			return out, nil
		}
	}
}

// maxVirtual bounds how many interface indices are told apart in a file.
const maxVirtual = 1024

func (c *contents) of(index int, ifindex uint32) *found {
	for i := range c.found {
		if f := &c.found[i]; f.index == index && f.ifindex == ifindex {
			return f
		}
	}
	if len(c.found) >= maxVirtual {
		return &c.found[maxVirtual-1]
	}
	c.found = append(c.found, found{index: index, ifindex: ifindex})
	return &c.found[len(c.found)-1]
}

// part is the packets of one interface in one file.
type part struct {
	Capture
	about       string // what the file tells of the interface
	first, last int64
}

// parts splits a file into its interfaces. A file of a single one is taken whole.
func (c *contents) parts(file Capture) []part {
	var out []part
	at := map[string]int{}
	for _, f := range c.found {
		in := &c.interfaces[f.index]
		name := in.Name
		switch {
		case f.ifindex != 0:
			name = ifindexWord + strconv.FormatUint(uint64(f.ifindex), 10)
		case name == "":
			name = strconv.Itoa(f.index)
		}
		i, again := at[name]
		if !again {
			i = len(out)
			at[name] = i
			p := part{Capture: file, first: f.first, last: f.last,
				about: fmt.Sprint(in.Name, in.Description, in.Hardware, in.MAC, in.Addresses, in.LinkType, in.Filter, f.ifindex)}
			p.Interface = name
			out = append(out, p)
			continue
		}
		out[i].first, out[i].last = min(out[i].first, f.first), max(out[i].last, f.last)
	}
	if len(out) == 0 { // a point that proves nothing, which the analysis says
		out = append(out, part{Capture: file})
	}
	if len(out) == 1 {
		out[0].Interface = ""
	}
	return out
}

// Discover finds out which points there are in files that nobody has labelled:
// one for each interface that has packets, and one for each interface index of a
// Linux cooked v2 capture. Files that continue each other, as rotation names them,
// are one point. The points have neither name nor hop, and are in the order of
// files. Errors are of type *[InputError], or the context's.
func Discover(ctx context.Context, files []Capture) ([]Point, error) {
	var all []part
	for _, f := range files {
		if f.Interface != "" { // somebody has chosen
			all = append(all, part{Capture: f})
			continue
		}
		c, err := scan(ctx, &f, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, c.parts(f)...)
	}
	groups := map[string][]int{}
	for i := range all {
		if key, ok := all[i].series(); ok {
			groups[key] = append(groups[key], i)
		}
	}
	head := make([]int, len(all)) // the part whose point each one belongs to
	for i := range all {
		head[i] = i
	}
	for _, g := range groups {
		if !follow(all, g) {
			continue
		}
		for _, i := range g {
			head[i] = slices.Min(g)
		}
	}
	var out []Point
	at := map[int]int{}
	for i := range all {
		c := all[i].Capture
		if head[i] == i {
			at[i] = len(out)
			out = append(out, Point{File: c.File, Interface: c.Interface, Path: c.Path, Files: []Capture{c}})
			continue
		}
		p := &out[at[head[i]]]
		p.Files = append(p.Files, c)
	}
	return out, nil
}

// follow tells whether there are several parts, one after the other in time.
func follow(all []part, g []int) bool {
	g = slices.Clone(g)
	slices.SortStableFunc(g, func(i, j int) int {
		if all[i].first < all[j].first {
			return -1
		}
		return 1
	})
	for k := 1; k < len(g); k++ {
		if all[g[k]].first < all[g[k-1]].last {
			return false
		}
	}
	return len(g) > 1
}

// How tcpdump and dumpcap name the files of a rotation. A counter in any other
// place may as well tell two machines apart, so that it proves nothing.
var (
	compressed = regexp.MustCompile(`(?i)\.(gz|zst|zstd)$`)
	extension  = regexp.MustCompile(`(?i)\.(pcapng|pcap|cap|dmp)(\.?[0-9]+)?$`)                 // tcpdump -C: x.pcap, x.pcap1; -W: x.pcap00; logrotate: x.pcap.1
	ringBuffer = regexp.MustCompile(`_[0-9]{5}_[0-9]{14}$`)                                     // dumpcap -b: x_00001_20261122205709
	timeStamp  = regexp.MustCompile(`[-_.]?20[0-9]{2}([-_.:T ]?[0-9]{2}){4,5}([-_][0-9]+)?Z?$`) // tcpdump -G: x-%Y-%m-%d_%H:%M:%S
)

// series is the same for parts that a rotation could have made of one capture; ok
// is false for those that surely are alone.
func (p *part) series() (key string, ok bool) {
	if p.spooled != nil || p.first == 0 {
		return "", false
	}
	dir, name := filepath.Split(p.path())
	name = compressed.ReplaceAllString(name, "")
	ext := extension.FindStringSubmatch(name)
	if ext == nil {
		return "", false
	}
	stem := strings.TrimSuffix(name, ext[0])
	style := "count"
	if cut := ringBuffer.ReplaceAllString(stem, ""); cut != stem {
		stem, style = cut, "ring"
	} else if cut := timeStamp.ReplaceAllString(stem, ""); cut != stem {
		stem, style = cut, "time"
	}
	return strings.Join([]string{dir, stem, ext[1], style, p.Interface, p.about}, "\x00"), true
}

// ListCaptures returns the capture files in a folder, in the order of their names,
// by what they begin with. It looks into the subfolder captures if there are none in
// the folder itself, and into no other.
func ListCaptures(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &InputError{Kind: ErrIO, File: dir, What: "cannot be read", Err: plain(err), Fix: "give the folder that holds the captures"}
	}
	var out []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		_, closeFile, err := openCapture(&Capture{File: name})
		switch {
		case err == nil:
			closeFile()
		case errors.Is(err, ErrMalformed) && !extension.MatchString(compressed.ReplaceAllString(name, "")):
			continue // a note that was mailed along
		}
		out = append(out, name) // one that cannot be read is an error, later
	}
	nested := filepath.Join(dir, "captures")
	if st, err := os.Stat(nested); len(out) == 0 && err == nil && st.IsDir() {
		return ListCaptures(nested)
	}
	if len(out) == 0 {
		return nil, &InputError{Kind: ErrMalformed, File: dir, What: "holds neither a points.json nor any capture", Fix: "give the folder that holds the captures, or name each file with --point HOP/FACE=FILE"}
	}
	return out, nil
}
