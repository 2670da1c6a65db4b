package analyzer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/internal/pcapng"
)

func FuzzDecode(f *testing.F) {
	s := newStory(f)
	flow := s.clientFlow(4000)
	f.Add(uint16(linkEthernet), s.serialize(told{flow: flow, flags: flagACK, payload: post(1)}))
	s.v6 = true
	flow = s.clientFlow(4000)
	f.Add(uint16(linkEthernet), s.serialize(told{flow: flow, flags: flagSYN}))
	for _, row := range framesInEveryWrapping(f) {
		f.Add(row.link, row.data)
	}
	for _, l := range []uint16{linkRaw, linkSLL, linkSLL2, 999} {
		f.Add(l, []byte("E"))
	}
	f.Fuzz(func(t *testing.T, link uint16, frame []byte) {
		var p packet
		var c copies
		for range 2 { // what is remembered of the first must not spoil the second
			if !decode(link, frame, &p) {
				if p.unmatched && p.icmp {
					t.Fatalf("both a fragment and an ICMP error: %+v", p)
				}
				continue
			}
			if len(p.src) != len(p.dst) || len(p.src) != 4 && len(p.src) != 16 || p.length < 0 || len(p.payload) > len(frame) ||
				p.hasIPID == (len(p.src) == 16) || p.unmatched || p.fragment && p.is(flagSYN, 0) || !p.cut && len(p.payload) < p.length && !p.icmp {
				t.Fatalf("impossible packet %+v", p)
			}
			c.are(&p)
		}
	})
}

func FuzzPoints(f *testing.F) {
	f.Add([]byte(`{"schema_version":1,"points":[{"name":"a/b","hop":"a","face":"b","side":"both","file":"x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		points, err := parsePoints("points.json", raw)
		if err == nil && len(points) == 0 {
			t.Fatal("no points and no error")
		}
	})
}

// FuzzHTTP feeds both directions in pieces: no crash, and counts that add up.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte(post(1)), []byte(answer), uint8(7))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, up, down []byte, piece uint8) {
		n := int(piece)%40 + 1
		var script []string
		for len(up) > 0 || len(down) > 0 {
			if k := min(n, len(up)); k > 0 {
				script, up = append(script, ">"+string(up[:k])), up[k:]
			}
			if k := min(n, len(down)); k > 0 {
				script, down = append(script, "<"+string(down[:k])), down[k:]
			}
		}
		playScript(append(script, "<F", ">F"))
	})
}

// FuzzAnalyze damages the captures of a whole analysis: a capture overwritten in
// two places, cut off, replaced by the input as it is, compressed or not, with labels
// or without. It never crashes or hangs, says either what is wrong or what it found,
// and takes no more memory, all that it ever allocates counted, than 64 MiB and twice
// the captures' size.
func FuzzAnalyze(f *testing.F) {
	s := newStory(f)
	s.failing(0, 17, 54373, 2, "firewall/feth11", "")
	s.served(2e8, 18, 54374, 1, answer[:len(answer)-1], answer[:len(answer)-1], flagFIN)
	s.good(1e8, 19, 54375, 1)
	points := s.write()
	whole := make([][]byte, len(points))
	size := 0
	for i, p := range points {
		whole[i], _ = os.ReadFile(p.Path)
		size += len(whole[i])
	}
	f.Add(uint8(1), uint32(400), []byte{1, 2, 3}, uint32(900), []byte{4}, uint8(0))
	f.Add(uint8(2), uint32(0), []byte("\xd4\xc3\xb2\xa1"), uint32(7), []byte{}, uint8(1))
	f.Add(uint8(3), uint32(90), []byte("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"), uint32(300), []byte{255, 255}, uint8(2))
	f.Add(uint8(4), uint32(1000), []byte{}, uint32(0), []byte{}, uint8(4))
	f.Add(uint8(5), uint32(0), whole[0][:400], uint32(0), []byte{}, uint8(8|1))
	f.Fuzz(func(t *testing.T, which uint8, offset uint32, patch []byte, offset2 uint32, patch2 []byte, mode uint8) {
		dir := t.TempDir()
		mine := slices.Clone(points)
		i := int(which) % len(points)
		raw := bytes.Clone(whole[i])
		copy(raw[int(offset)%len(raw):], patch)
		copy(raw[int(offset2)%len(raw):], patch2)
		if mode&4 != 0 {
			raw = raw[:int(offset)%len(raw)]
		}
		if mode&8 != 0 {
			raw = patch
		}
		limit := uint64(64<<20 + 2*(size+len(raw)))
		if mode&2 != 0 {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(raw)
			_ = w.Close()
			raw = z.Bytes()
		}
		mine[i].Path = filepath.Join(dir, "x")
		if err := os.WriteFile(mine[i].Path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if mode&1 != 0 {
			for k, p := range mine {
				mine[k] = Point{File: p.File, Path: p.Path}
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Analyze(context.Background(), mine, Options{Workers: 1})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > limit {
			t.Errorf("%d bytes allocated, at most %d may be", got, limit)
		}
		var in *InputError
		if (err == nil) != (r != nil) || err != nil && !errors.As(err, &in) {
			t.Fatalf("report %v, error %v", r, err)
		}
	})
}

// TestHealthyPacketsDoNotAllocate measures both passes on a good connection's
// packets, once its flow is known.
func TestHealthyPacketsDoNotAllocate(t *testing.T) {
	s := newStory(t)
	flow := s.clientFlow(4000)
	ack := s.serialize(told{flow: flow, toServer: true, flags: flagACK, seq: flow.isn + 1, ack: flow.answer + 1})
	syn := s.serialize(told{flow: flow, toServer: true, flags: flagSYN, seq: flow.isn})
	sv := newSurvey(Point{Name: "a"}, 0, true)
	var p packet
	n := uint64(1)
	sv.take(linkEthernet, pcapng.Packet{Number: n, Time: 1e9, Data: syn, WireLength: len(syn)}, &p)
	step := func() {
		n = 2
		sv.take(linkEthernet, pcapng.Packet{Number: n, Time: 1e9 + 1, Data: ack, WireLength: len(ack)}, &p)
	}
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("survey: %v allocations a packet", got)
	}
	c := newCollection(sv, nil, nil)
	if got := testing.AllocsPerRun(1000, func() {
		c.take(sv, linkEthernet, pcapng.Packet{Number: 2, Time: 1e9, Data: ack, WireLength: len(ack)}, &p)
	}); got != 0 {
		t.Errorf("collect: %v allocations a packet", got)
	}
}
