package ablation

import (
	"context"
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
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// sample returns the captures of one small recorded run with large requests.
func sample(t *testing.T) *Captures {
	t.Helper()
	err := recordSample()
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sampled
}

var sampled *Captures

var recordSample = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "hopblame-sample-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := scenarios.Find("firewall-drops-syn")
	if err != nil {
		return err
	}
	s.F5.Serverside = bigip.Fast
	s.Faults = rare(s.Faults, 0.1)
	if err := Record(context.Background(), dir, Recording{Name: "sample", Scenario: s, Requests: 80, Large: true}, 3); err != nil {
		return err
	}
	sampled, err = Load(filepath.Join(dir, "sample"))
	for i := range sampled.Points {
		sampled.Points[i].Source = "" // gone with the folder
	}
	return err
})

const (
	f5      = "f5/0.0"
	feth11  = "firewall/feth11"
	server1 = "server1/eth0"
)

func TestAblations(t *testing.T) {
	for _, row := range []struct {
		says  string
		a     Ablation
		only  []string // points that change; nil: all
		check func(t *testing.T, before, after *Captures)
	}{
		{"a removed point is gone", RemovePoints{[]string{f5, server1}}, []string{}, func(t *testing.T, before, after *Captures) {
			if len(after.Points) != len(before.Points)-2 || after.Point(f5) != nil || after.Point(server1) != nil {
				t.Errorf("left are %d points", len(after.Points))
			}
		}},
		{"random loss takes its share, and the statistics deny it", Drop{Points: []string{feth11}, Share: 0.2}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			lost(t, before, after, feth11, 0.15, 0.25, false)
		}},
		{"random loss can own up to it, and never takes the F5's description of the file", Drop{Points: []string{f5}, Share: 0.9, Tell: true}, []string{f5}, func(t *testing.T, before, after *Captures) {
			lost(t, before, after, f5, 0.85, 0.95, true)
			if !isFileInfo(after.Point(f5).Frames[0].Data) {
				t.Error("the description is lost")
			}
		}},
		{"random loss at every point takes different packets at each", Drop{Share: 0.1}, nil, func(t *testing.T, before, after *Captures) {
			for _, p := range before.Points {
				lost(t, before, after, p.Point.Name, 0.04, 0.16, false)
			}
		}},
		{"a burst takes neighbours", Burst{Point: feth11, Count: 1, Length: 50 * time.Millisecond, Seed: 5}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			lost(t, before, after, feth11, 0.001, 0.999, false)
			gone := missing(before.Point(feth11), after.Point(feth11))
			first, last := gone[0].Time, gone[len(gone)-1].Time
			if last-first > int64(50*time.Millisecond) {
				t.Errorf("what is gone spans %v", time.Duration(last-first))
			}
			for _, f := range after.Point(feth11).Frames {
				if f.Time > first && f.Time < last {
					t.Fatal("something is left inside the burst")
				}
			}
		}},
		{"a file cut short has no statistics and is damaged", CutEnd{feth11, 0.3, true}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			p := after.Point(feth11)
			n := len(p.Frames)
			if !slices.EqualFunc(p.Frames, before.Point(feth11).Frames[:n], same) || n == len(before.Point(feth11).Frames) {
				t.Error("the frames are not the first ones")
			}
			if p.Interfaces[0].HasStatistics || !p.Torn {
				t.Error("the file ends well")
			}
		}},
		{"a file cut short between blocks is not damaged", CutEnd{f5, 0.3, false}, []string{f5}, func(t *testing.T, before, after *Captures) {
			if p := after.Point(f5); p.Torn || p.Interfaces[0].HasStatistics {
				t.Error("want whole, without statistics")
			}
		}},
		{"a capture that began late says since when", CutStart{f5, 0.5, true}, []string{f5}, func(t *testing.T, before, after *Captures) {
			p := after.Point(f5)
			first, last := before.Point(f5).Span()
			begin := first + (last-first)/2
			now, _ := p.Span()
			if now < begin || p.Interfaces[0].Statistics.Start.UnixNano() != begin || !p.Interfaces[0].HasStatistics || !isFileInfo(p.Frames[0].Data) {
				t.Errorf("it begins at %d, statistics at %v, cut at %d", now, p.Interfaces[0].Statistics.Start, begin)
			}
		}},
		{"a file without its start and statistics says nothing of it", CutStart{feth11, 0.5, false}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			if after.Point(feth11).Interfaces[0].HasStatistics {
				t.Error("there are statistics")
			}
		}},
		{"a snap length cuts bytes, not lengths, and trailers first", Snaplen{Bytes: 96}, nil, func(t *testing.T, before, after *Captures) {
			eachPacket(before, after, func(p *Capture, old, now Frame) {
				if len(now.Data) != min(96, len(old.Data)) || now.WireLength != old.WireLength || now.Time != old.Time {
					t.Fatalf("%s: %d of %d bytes", p.Point.Name, len(now.Data), now.WireLength)
				}
				if _, _, ok := f5trailer.Find(now.Data, now.WireLength); ok && len(old.Data) > 96 {
					t.Fatal("a trailer is left")
				}
			})
			if after.Point(f5).Interfaces[1].SnapLen != 96 {
				t.Error("the interface does not say so")
			}
		}},
		{"stripped of trailers, packets are as they were on the wire", StripTrailers{}, []string{f5}, func(t *testing.T, before, after *Captures) {
			if after.Point(f5).hasTrailers() || len(after.Point(f5).Frames) != len(before.Point(f5).Frames)-1 {
				t.Error("there are trailers left, or not all frames")
			}
			for i, f := range after.Point(f5).Frames {
				l, ok := locate(f.Data)
				if !ok || l.end > len(f.Data) || f.WireLength != len(f.Data) || !strings.HasPrefix(string(before.Point(f5).Frames[i+1].Data), string(f.Data)) {
					t.Fatalf("frame %d is damaged", i+1)
				}
			}
		}},
		{"the description of the file can outlive the trailers", StripTrailers{KeepFileInfo: true}, []string{f5}, func(t *testing.T, before, after *Captures) {
			if !isFileInfo(after.Point(f5).Frames[0].Data) {
				t.Error("it is gone")
			}
		}},
		{"a clock shifted by an hour shifts everything of its file", Shift{f5, -time.Hour}, []string{f5}, func(t *testing.T, before, after *Captures) {
			clock(t, before, after, f5, func(t, _, _ int64) int64 { return t - int64(time.Hour) })
		}},
		{"a clock drifting by 100 ppm gains a ten-thousandth", Drift{feth11, 100}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			clock(t, before, after, feth11, func(t, first, _ int64) int64 { return t + int64(float64(t-first)*1e-4) })
		}},
		{"a clock stepping back shows earlier times later", Step{feth11, 0.5, -30 * time.Second}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			clock(t, before, after, feth11, func(t, first, last int64) int64 {
				if t >= first+(last-first)/2 {
					t -= int64(30 * time.Second)
				}
				return t
			})
		}},
		{"duplicated frames are the same, less than a millisecond later", Duplicate{f5, 1, 1}, []string{f5}, func(t *testing.T, before, after *Captures) {
			twice(t, before.Point(f5), after.Point(f5), func(old []byte) string { return string(old) })
		}},
		{"a mirror's second copy has been through a router", Span{feth11, 1}, []string{feth11}, func(t *testing.T, before, after *Captures) {
			twice(t, before.Point(feth11), after.Point(feth11), func(old []byte) string {
				b := slices.Clone(old)
				b[22]--
				binary.BigEndian.PutUint16(b[24:], 0)
				binary.BigEndian.PutUint16(b[24:], ^sum(b[14:34]))
				return string(b)
			})
		}},
		{"merged segments hold the same bytes in fewer frames, some larger than the MSS", TSO{}, nil, func(t *testing.T, before, after *Captures) {
			for i := range before.Points {
				merged(t, &before.Points[i], &after.Points[i])
			}
		}},
		{"renumbered packets have other addresses, and checksums as right as before", Renumber{9}, nil, renumbered},
		{"unlabelled files say nothing of where they are from", Unlabel{4}, nil, func(t *testing.T, before, after *Captures) {
			for i, p := range after.Points {
				for _, in := range p.Interfaces {
					if in.Name+in.Description+in.Hardware != "" || in.Addresses != nil || in.MAC != nil {
						t.Errorf("interface %+v", in)
					}
				}
				if !slices.EqualFunc(p.Frames, before.Point(p.Point.Name).Frames, same) || strings.Contains(after.Files[i], "eth") {
					t.Errorf("point %s in file %s", p.Point.Name, after.Files[i])
				}
			}
		}},
	} {
		t.Run(row.says, func(t *testing.T) {
			before := sample(t)
			prints := fingerprint(before)
			after := before.Clone()
			for i := range after.Points {
				after.Points[i].Source = "as it was"
			}
			row.a.Apply(after)
			for i := range after.Points {
				p := &after.Points[i]
				if changed := row.only == nil || slices.Contains(row.only, p.Point.Name); changed != (p.Source == "") {
					t.Errorf("%s: changed %t, want %t", p.Point.Name, !changed, changed)
				}
				p.Source = ""
			}
			row.check(t, before, after)
			if fingerprint(before) != prints {
				t.Error("the recorded captures were changed")
			}
			again := before.Clone()
			row.a.Apply(again)
			if fingerprint(again) != fingerprint(after) {
				t.Error("applied again it does something else")
			}
			readBack(t, after, row.only)
		})
	}
}

// readBack writes captures and reads them with our reader and, as it is slow, some
// of those that changed with tshark.
func readBack(t *testing.T, c *Captures, changed []string) {
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
			if now := (Frame{pk.Time, pk.Interface, pk.WireLength, pk.Data}); err != nil || !same(now, c.Points[i].Frames[k]) {
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

func same(a, b Frame) bool {
	return a.Time == b.Time && a.Interface == b.Interface && a.WireLength == b.WireLength && string(a.Data) == string(b.Data)
}

func fingerprint(c *Captures) uint64 {
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
func eachPacket(before, after *Captures, f func(p *Capture, old, now Frame)) {
	for i := range after.Points {
		p := &after.Points[i]
		for k, now := range p.Frames {
			if old := before.Point(p.Point.Name).Frames[k]; !isFileInfo(old.Data) {
				f(p, old, now)
			}
		}
	}
}

// missing returns the frames that are gone; the others must be as they were.
func missing(before, after *Capture) (gone []Frame) {
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

func lost(t *testing.T, before, after *Captures, point string, least, most float64, told bool) {
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

func clock(t *testing.T, before, after *Captures, point string, want func(t, first, last int64) int64) {
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
func twice(t *testing.T, before, after *Capture, copied func([]byte) string) {
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
		if isFileInfo(f.Data) {
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
	l, ok := locate(frame)
	if !ok || l.end > len(frame) {
		return false, false
	}
	pseudo := slices.Concat(frame[l.ip+12:l.ip+20], []byte{0, l.kind}, binary.BigEndian.AppendUint16(nil, uint16(l.end-l.next)))
	return sum(frame[l.ip:l.next]) == 0xffff, sum(append(pseudo, frame[l.next:l.end]...)) == 0xffff
}

func merged(t *testing.T, before, after *Capture) {
	t.Helper()
	if len(after.Frames) >= len(before.Frames) {
		t.Errorf("%s: %d frames of %d", before.Point.Name, len(after.Frames), len(before.Frames))
	}
	content := func(c *Capture) (streams map[string]string, large int) {
		streams = map[string]string{}
		for _, f := range c.Frames {
			s, ok := tcp(f.Data)
			if !ok {
				continue
			}
			size := s.end - s.payload
			streams[fmt.Sprint(s.src, s.dst)] += string(f.Data[s.payload:s.end])
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

func renumbered(t *testing.T, before, after *Captures) {
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
	eachPacket(before, after, func(p *Capture, old, now Frame) {
		was, ok := tcp(old.Data)
		is, _ := tcp(now.Data)
		if !ok {
			return
		}
		ip, whole := checksums(now.Data)
		oldIP, oldWhole := checksums(old.Data)
		if is.src.Addr() != known[was.src.Addr()] || is.dst.Addr() != known[was.dst.Addr()] || ip != oldIP || whole != oldWhole || !whole {
			t.Fatalf("%s: %v → %v became %v → %v, checksums %t %t", p.Point.Name, was.src, was.dst, is.src, is.dst, ip, whole)
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

func TestAblationsPutTogetherLeaveTheRecordingAlone(t *testing.T) {
	before := sample(t)
	prints := fingerprint(before)
	can := possible(before)
	if len(can) != len(kinds) {
		t.Errorf("%d of %d kinds are possible in a run that has everything", len(can), len(kinds))
	}
	rows := map[string]int{}
	for seed := range uint64(60) {
		one, two := before.Clone(), before.Clone()
		a, b := ablate(random(seed), one, can), ablate(random(seed), two, can)
		if fmt.Sprint(a) != fmt.Sprint(b) || fingerprint(one) != fingerprint(two) {
			t.Errorf("seed %d: %v, and again %v", seed, a, b)
		}
		rows[rowOf(a)]++
		if _, err := one.Write(t.TempDir(), false); err != nil {
			t.Errorf("seed %d, %v: %v", seed, a, err)
		}
	}
	if fingerprint(before) != prints {
		t.Error("the recorded captures were changed")
	}
	if len(rows) < 12 {
		t.Errorf("only %v were drawn", rows)
	}
}
