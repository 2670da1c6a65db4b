package ablation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// sample returns the captures of one small recorded run with large requests.
func sample(t *testing.T) *observe.Captures {
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

var sampled *observe.Captures

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
	sampled, err = observe.Load(filepath.Join(dir, "sample"))
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
		a     observe.Fault
		only  []string // points that change; nil: all
		check func(t *testing.T, before, after *observe.Captures)
	}{
		{"a removed point is gone", observe.RemovePoints{Points: []string{f5, server1}}, []string{}, func(t *testing.T, before, after *observe.Captures) {
			if len(after.Points) != len(before.Points)-2 || after.Point(f5) != nil || after.Point(server1) != nil {
				t.Errorf("left are %d points", len(after.Points))
			}
		}},
		{"random loss takes its share, and the statistics deny it", observe.Drop{Points: []string{feth11}, Share: 0.2}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			lost(t, before, after, feth11, 0.15, 0.25, false)
		}},
		{"random loss can own up to it, and never takes the F5's description of the file", observe.Drop{Points: []string{f5}, Share: 0.9, Tell: true}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			lost(t, before, after, f5, 0.85, 0.95, true)
			if !observe.IsFileInfo(after.Point(f5).Frames[0].Data) {
				t.Error("the description is lost")
			}
		}},
		{"random loss at every point takes different packets at each", observe.Drop{Share: 0.1}, nil, func(t *testing.T, before, after *observe.Captures) {
			for _, p := range before.Points {
				lost(t, before, after, p.Point.Name, 0.04, 0.16, false)
			}
		}},
		{"a burst takes neighbours", observe.Burst{Point: feth11, Count: 1, Length: 50 * time.Millisecond, Seed: 5}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
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
		{"a file cut short has no statistics and is damaged", observe.CutEnd{Point: feth11, Share: 0.3, Torn: true}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			p := after.Point(feth11)
			n := len(p.Frames)
			if !slices.EqualFunc(p.Frames, before.Point(feth11).Frames[:n], same) || n == len(before.Point(feth11).Frames) {
				t.Error("the frames are not the first ones")
			}
			if p.Interfaces[0].HasStatistics || !p.Torn {
				t.Error("the file ends well")
			}
		}},
		{"a file cut short between blocks is not damaged", observe.CutEnd{Point: f5, Share: 0.3}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			if p := after.Point(f5); p.Torn || p.Interfaces[0].HasStatistics {
				t.Error("want whole, without statistics")
			}
		}},
		{"a capture that began late says since when", observe.CutStart{Point: f5, Share: 0.5, Tell: true}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			p := after.Point(f5)
			first, last := before.Point(f5).Span()
			begin := first + (last-first)/2
			now, _ := p.Span()
			if now < begin || p.Interfaces[0].Statistics.Start.UnixNano() != begin || !p.Interfaces[0].HasStatistics || !observe.IsFileInfo(p.Frames[0].Data) {
				t.Errorf("it begins at %d, statistics at %v, cut at %d", now, p.Interfaces[0].Statistics.Start, begin)
			}
		}},
		{"a file without its start and statistics says nothing of it", observe.CutStart{Point: feth11, Share: 0.5}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			if after.Point(feth11).Interfaces[0].HasStatistics {
				t.Error("there are statistics")
			}
		}},
		{"a snap length cuts bytes, not lengths, and trailers first", observe.Snaplen{Bytes: 96}, nil, func(t *testing.T, before, after *observe.Captures) {
			eachPacket(before, after, func(p *observe.Capture, old, now observe.Frame) {
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
		{"stripped of trailers, packets are as they were on the wire", observe.StripTrailers{}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			if after.Point(f5).HasTrailers() || len(after.Point(f5).Frames) != len(before.Point(f5).Frames)-1 {
				t.Error("there are trailers left, or not all frames")
			}
			for i, f := range after.Point(f5).Frames {
				l, ok := observe.Locate(f.Data)
				if !ok || l.End > len(f.Data) || f.WireLength != len(f.Data) || !strings.HasPrefix(string(before.Point(f5).Frames[i+1].Data), string(f.Data)) {
					t.Fatalf("frame %d is damaged", i+1)
				}
			}
		}},
		{"the description of the file can outlive the trailers", observe.StripTrailers{KeepFileInfo: true}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			if !observe.IsFileInfo(after.Point(f5).Frames[0].Data) {
				t.Error("it is gone")
			}
		}},
		{"a clock shifted by an hour shifts everything of its file", observe.Shift{Point: f5, By: -time.Hour}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			clock(t, before, after, f5, func(t, _, _ int64) int64 { return t - int64(time.Hour) })
		}},
		{"a clock drifting by 100 ppm gains a ten-thousandth", observe.Drift{Point: feth11, PPM: 100}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			clock(t, before, after, feth11, func(t, first, _ int64) int64 { return t + int64(float64(t-first)*1e-4) })
		}},
		{"a clock stepping back shows earlier times later", observe.Step{Point: feth11, At: 0.5, By: -30 * time.Second}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			clock(t, before, after, feth11, func(t, first, last int64) int64 {
				if t >= first+(last-first)/2 {
					t -= int64(30 * time.Second)
				}
				return t
			})
		}},
		{"duplicated frames are the same, less than a millisecond later", observe.Duplicate{Point: f5, Share: 1, Seed: 1}, []string{f5}, func(t *testing.T, before, after *observe.Captures) {
			twice(t, before.Point(f5), after.Point(f5), func(old []byte) string { return string(old) })
		}},
		{"a mirror's second copy has been through a router", observe.Span{Point: feth11, Seed: 1}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			twice(t, before.Point(feth11), after.Point(feth11), func(old []byte) string {
				b := slices.Clone(old)
				b[22]--
				binary.BigEndian.PutUint16(b[24:], 0)
				binary.BigEndian.PutUint16(b[24:], ^sum(b[14:34]))
				return string(b)
			})
		}},
		{"merged segments hold the same bytes in fewer frames, some larger than the MSS", observe.TSO{}, nil, func(t *testing.T, before, after *observe.Captures) {
			for i := range before.Points {
				merged(t, &before.Points[i], &after.Points[i])
			}
		}},
		{"renumbered packets have other addresses, and checksums as right as before", observe.Renumber{Seed: 9}, nil, renumbered},
		{"a tap of one fibre has all of one direction and none of the other", observe.OneDirection{Points: []string{feth11}, ToServer: true}, []string{feth11}, func(t *testing.T, before, after *observe.Captures) {
			ways := map[bool]int{}
			for _, f := range before.Point(feth11).Frames {
				if s, ok := observe.TCP(f.Data); ok {
					ways[s.Dst.Port() == 8000]++
				}
			}
			for _, f := range after.Point(feth11).Frames {
				if s, ok := observe.TCP(f.Data); ok && s.Dst.Port() == 8000 {
					ways[true]--
				} else if ok {
					t.Fatalf("%v to %v is left", s.Src, s.Dst)
				}
			}
			if ways[true] != 0 || ways[false] == 0 {
				t.Errorf("%d packets to the servers are gone; %d to the client were there", ways[true], ways[false])
			}
		}},
		{"unlabelled files say nothing of where they are from", observe.Unlabel{Seed: 4}, nil, func(t *testing.T, before, after *observe.Captures) {
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
		a, b := ablate(observe.Random(seed), one, can), ablate(observe.Random(seed), two, can)
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
