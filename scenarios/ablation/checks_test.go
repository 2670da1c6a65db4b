package ablation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/scenarios/observe"
)

// readBack writes captures and reads them with our reader and, as it is slow, some
// of those that changed with tshark.
func readBack(t *testing.T, c *observe.Captures, changed []string) {
	t.Helper()
	dir := t.TempDir()
	points, err := c.Write(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "points.json")); (err == nil) != (c.Files == nil) {
		t.Errorf("points.json: %v", err)
	}
	for i, p := range points {
		f, err := os.Open(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := pcapng.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for k := range c.Points[i].Frames {
			pk, err := r.Next()
			if now := (observe.Frame{Time: pk.Time, Interface: pk.Interface, WireLength: pk.WireLength, Data: pk.Data}); err != nil || !same(now, c.Points[i].Frames[k]) {
				t.Fatalf("%s frame %d: %v", p.Name, k+1, err)
			}
		}
		_, err = r.Next()
		var torn *pcapng.TruncatedError
		if c.Points[i].Torn && !errors.As(err, &torn) || !c.Points[i].Torn && err != io.EOF {
			t.Errorf("%s ends with %v", p.Name, err)
		}
		for k, in := range r.Interfaces() {
			want := c.Points[i].Interfaces[k]
			if in.HasStatistics != want.HasStatistics || in.HasStatistics && in.Statistics != want.Statistics {
				t.Errorf("%s: statistics %+v, want %+v", p.Name, in.Statistics, want)
			}
		}
		if p.Name == f5 || slices.Contains(changed, p.Name) {
			malformed(t, p.Path, c.Points[i].Torn)
		}
	}
}

// malformed fails if tshark, where there is one, finds a frame that is no frame.
func malformed(t *testing.T, file string, torn bool) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		return
	}
	// Frame by frame: a stream with copies in it cannot be put together.
	out, err := exec.CommandContext(t.Context(), "tshark", "-n", "-o", "tcp.desegment_tcp_streams:FALSE", "-r", file, "-Y", "_ws.malformed").Output()
	if len(out) > 0 {
		t.Errorf("tshark: malformed: %.300s", out)
	}
	if (err != nil) != torn {
		t.Errorf("tshark: %v", err)
	}
}

func same(a, b observe.Frame) bool {
	return a.Time == b.Time && a.Interface == b.Interface && a.WireLength == b.WireLength && string(a.Data) == string(b.Data)
}

func fingerprint(c *observe.Captures) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, c.Files, c.Addresses)
	for _, p := range c.Points {
		fmt.Fprintln(h, p.Point, p.Interfaces, p.Torn)
		for _, f := range p.Frames {
			fmt.Fprintln(h, f.Time, f.Interface, f.WireLength)
			h.Write(f.Data)
		}
	}
	return h.Sum64()
}

// eachPacket calls f for the frames that stand in the same place before and after.
func eachPacket(before, after *observe.Captures, f func(p *observe.Capture, old, now observe.Frame)) {
	for i := range after.Points {
		p := &after.Points[i]
		for k, now := range p.Frames {
			if old := before.Point(p.Point.Name).Frames[k]; !observe.IsFileInfo(old.Data) {
				f(p, old, now)
			}
		}
	}
}

// missing returns the frames that are gone; the others must be as they were.
func missing(before, after *observe.Capture) (gone []observe.Frame) {
	left := after.Frames
	for _, f := range before.Frames {
		if len(left) > 0 && same(left[0], f) {
			left = left[1:]
			continue
		}
		gone = append(gone, f)
	}
	if len(left) > 0 {
		return nil // something is there that was not
	}
	return gone
}

func lost(t *testing.T, before, after *observe.Captures, point string, least, most float64, told bool) {
	t.Helper()
	old, now := before.Point(point), after.Point(point)
	gone := missing(old, now)
	if share := float64(len(gone)) / float64(len(old.Frames)); share < least || share > most {
		t.Errorf("%s: %.3f of the packets are gone, want %.3f to %.3f", point, share, least, most)
	}
	dropped := uint64(0)
	for _, in := range now.Interfaces {
		dropped += in.Statistics.Dropped
	}
	if want := map[bool]uint64{true: uint64(len(gone))}[told]; dropped != want {
		t.Errorf("%s: its statistics say %d dropped, want %d", point, dropped, want)
	}
}

func clock(t *testing.T, before, after *observe.Captures, point string, want func(t, first, last int64) int64) {
	t.Helper()
	old, now := before.Point(point), after.Point(point)
	first, last := old.Span()
	moved := 0
	for i := range old.Frames {
		at := want(old.Frames[i].Time, first, last)
		if now.Frames[i].Time != at || now.Clock(old.Frames[i].Time) != at {
			t.Fatalf("frame %d: %d, want %d", i+1, now.Frames[i].Time, at)
		}
		if at != old.Frames[i].Time {
			moved++
		}
	}
	if moved == 0 {
		t.Error("nothing moved")
	}
	for i := range old.Interfaces {
		s, w := now.Interfaces[i].Statistics, old.Interfaces[i].Statistics
		if s.Start.UnixNano() != want(w.Start.UnixNano(), first, last) || s.End.UnixNano() != want(w.End.UnixNano(), first, last) {
			t.Error("the statistics have another clock")
		}
	}
}

// twice checks that every frame is there and, soon after, what copied makes of it.
func twice(t *testing.T, before, after *observe.Capture, copied func([]byte) string) {
	t.Helper()
	times := map[string][]int64{}
	for i, f := range after.Frames {
		if i > 0 && i+1 < len(after.Frames) && before.Point.Name != f5 && f.Time < after.Frames[i-1].Time-int64(time.Millisecond) {
			t.Fatal("not in the order of time")
		}
		times[string(f.Data)] = append(times[string(f.Data)], f.Time)
	}
	packets := 0
	for _, f := range before.Frames {
		if observe.IsFileInfo(f.Data) {
			continue
		}
		packets++
		if !slices.Contains(times[string(f.Data)], f.Time) || !slices.ContainsFunc(times[copied(f.Data)], func(at int64) bool {
			return at > f.Time && at-f.Time < int64(time.Millisecond)
		}) {
			t.Fatal("a frame or its copy is not there")
		}
	}
	if got := len(after.Frames) - len(before.Frames); got != packets {
		t.Errorf("%d copies of %d packets", got, packets)
	}
}

// sum is the one's complement sum of RFC 1071.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// checksums tells whether a frame's IPv4 and TCP checksums are right.
func checksums(frame []byte) (ip, tcp bool) {
	l, ok := observe.Locate(frame)
	if !ok || l.End > len(frame) {
		return false, false
	}
	pseudo := slices.Concat(frame[l.IP+12:l.IP+20], []byte{0, l.Protocol}, binary.BigEndian.AppendUint16(nil, uint16(l.End-l.Next)))
	return sum(frame[l.IP:l.Next]) == 0xffff, sum(append(pseudo, frame[l.Next:l.End]...)) == 0xffff
}

func merged(t *testing.T, before, after *observe.Capture) {
	t.Helper()
	if len(after.Frames) >= len(before.Frames) {
		t.Errorf("%s: %d frames of %d", before.Point.Name, len(after.Frames), len(before.Frames))
	}
	content := func(c *observe.Capture) (streams map[string]string, large int) {
		streams = map[string]string{}
		for _, f := range c.Frames {
			s, ok := observe.TCP(f.Data)
			if !ok {
				continue
			}
			size := s.End - s.Payload
			streams[fmt.Sprint(s.Src, s.Dst)] += string(f.Data[s.Payload:s.End])
			ip, whole := checksums(f.Data)
			if size > 1448 {
				large++
				if whole {
					t.Fatal("the checksum of a merged segment is right")
				}
			}
			if !ip || f.WireLength != len(f.Data) {
				t.Fatalf("%s: bad IP header or length", c.Point.Name)
			}
			if _, _, ok := f5trailer.Find(f.Data, f.WireLength); ok != (c.Point.Name == f5) {
				t.Fatalf("%s: trailer found: %t", c.Point.Name, ok)
			}
		}
		return streams, large
	}
	old, none := content(before)
	now, large := content(after)
	if none > 0 || large == 0 {
		t.Errorf("%s: %d frames larger than the MSS before, %d after", before.Point.Name, none, large)
	}
	for k := range old {
		if old[k] != now[k] {
			t.Errorf("%s: stream %s has other bytes", before.Point.Name, k)
		}
	}
}

func renumbered(t *testing.T, before, after *observe.Captures) {
	known := after.Addresses
	if len(known) < 4 {
		t.Fatalf("%d addresses", len(known))
	}
	for old, now := range known {
		if old == now || !strings.HasPrefix(now.String(), "198.18.") && !strings.HasPrefix(now.String(), "198.19.") {
			t.Errorf("%s became %s", old, now)
		}
		for other, too := range known {
			same24 := old.As4()[2] == other.As4()[2]
			if other != old && (too == now || same24 != (now.As4()[1] == too.As4()[1] && now.As4()[2] == too.As4()[2])) {
				t.Errorf("%s and %s became %s and %s", old, other, now, too)
			}
		}
	}
	peers := 0
	eachPacket(before, after, func(p *observe.Capture, old, now observe.Frame) {
		was, ok := observe.TCP(old.Data)
		is, _ := observe.TCP(now.Data)
		if !ok {
			return
		}
		ip, whole := checksums(now.Data)
		oldIP, oldWhole := checksums(old.Data)
		if is.Src.Addr() != known[was.Src.Addr()] || is.Dst.Addr() != known[was.Dst.Addr()] || ip != oldIP || whole != oldWhole || !whole {
			t.Fatalf("%s: %v → %v became %v → %v, checksums %t %t", p.Point.Name, was.Src, was.Dst, is.Src, is.Dst, ip, whole)
		}
		var a, b f5trailer.Trailer
		_, _, _ = f5trailer.DecodeFrame(old.Data, old.WireLength, &a)
		_, _, _ = f5trailer.DecodeFrame(now.Data, now.WireLength, &b)
		if a.HasHigh != b.HasHigh || a.Medium != b.Medium || a.High.Remote.IsValid() &&
			(b.High.Remote.Addr() != known[a.High.Remote.Addr()] || b.High.Local.Addr() != known[a.High.Local.Addr()] || a.High.Local.Port() != b.High.Local.Port()) {
			t.Fatalf("trailer %+v became %+v", a, b)
		}
		if a.High.Remote.IsValid() {
			peers++
		}
	})
	if peers == 0 {
		t.Error("no trailer names a peer")
	}
	for i := range before.Points {
		for k, in := range before.Points[i].Interfaces {
			for n, x := range in.Addresses {
				if now := after.Points[i].Interfaces[k].Addresses[n]; now.Addr() != known[x.Addr()] || now.Bits() != x.Bits() {
					t.Errorf("interface address %s became %s", x, now)
				}
			}
		}
	}
}
