package analyzer

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
)

var benchRequests = flag.Int("bench-requests", 20000, "requests in the captures of the benchmark")

// bigCaptures writes the captures of many requests, of which every 150th fails
// in the firewall. Ports come round again as in the incident.
func bigCaptures(b *testing.B, requests int, trailers bool) []Point {
	s := newStory(b)
	s.trailers = trailers
	points := map[string]*pcapng.Writer{}
	files := map[string]*os.File{}
	dir := b.TempDir()
	var out []Point
	for _, p := range standardPoints {
		f, err := os.Create(fmt.Sprintf("%s/%s-%s.pcapng", dir, p.hop, p.face))
		s.check(err)
		w, err := pcapng.NewWriter(f, pcapng.Section{})
		s.check(err)
		_, err = w.AddInterface(pcapng.Interface{Name: p.face, Addresses: prefixes(p.addr)})
		s.check(err)
		points[p.name], files[p.name] = w, f
		out = append(out, Point{Name: p.name, Hop: p.hop, Face: p.face, Side: p.side, File: f.Name()})
	}
	flush := func(until time.Duration) {
		for name, es := range s.events {
			slices.SortStableFunc(es, func(a, b shown) int { return int(a.at - b.at) })
			n := 0
			for _, e := range es {
				if e.at >= until {
					break
				}
				s.check(points[name].WritePacket(0, s.start.Add(e.says).UnixNano(), e.wire, e.data))
				n++
			}
			s.events[name] = slices.Clone(es[n:])
		}
	}
	step := 100 * time.Microsecond
	for i := range requests {
		at := time.Duration(i) * step
		if i%150 == 149 {
			s.failing(at, i, 1024+i%50000, 1+i%2, "firewall/feth11", "")
		} else {
			s.good(at, i, 1024+i%50000, 1+i%2)
		}
		if i%2000 == 1999 {
			flush(at)
		}
	}
	flush(1 << 62)
	for name, w := range points {
		s.check(w.WriteStatistics(0, pcapng.Statistics{Start: s.start.Add(-time.Second), End: s.start.Add(s.end + time.Second)}))
		s.check(w.Flush())
		s.check(files[name].Close())
	}
	return out
}

// BenchmarkAnalyze compares a whole analysis with tcpdump copying the same
// files to /dev/null one after the other.
func BenchmarkAnalyze(b *testing.B) {
	b.Run("without trailers", func(b *testing.B) { benchAnalyze(b, bigCaptures(b, *benchRequests, false)) })
	points := bigCaptures(b, *benchRequests, true)
	var own time.Duration
	b.Run("hopblame", func(b *testing.B) { own = benchAnalyze(b, points) })
	b.Run("tcpdump", func(b *testing.B) {
		bin, err := exec.LookPath("tcpdump")
		if err != nil {
			b.Skip("tcpdump is not installed: nothing to compare with")
		}
		for b.Loop() {
			for _, p := range points {
				if out, err := exec.Command(bin, "-r", p.File, "-w", os.DevNull).CombinedOutput(); err != nil {
					b.Skipf("tcpdump: %v: %s", err, out)
				}
			}
		}
		theirs := b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(own)/float64(theirs), "hopblame/tcpdump")
	})
}

// benchAnalyze analyzes captures of bigCaptures and checks the verdicts.
func benchAnalyze(b *testing.B, points []Point) time.Duration {
	var packets uint64
	var size int64
	for _, p := range points {
		st, err := os.Stat(p.File)
		if err != nil {
			b.Fatal(err)
		}
		size += st.Size()
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := Analyze(context.Background(), points, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if want := *benchRequests / 150; len(r.Verdicts) != want || slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Hop != "firewall" }) {
			b.Fatalf("got %d verdicts, want %d for the firewall", len(r.Verdicts), want)
		}
		packets = 0
		for _, p := range r.Points {
			packets += p.Packets
		}
	}
	own := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(packets)/own.Seconds()/1e6, "Mpackets/s")
	b.ReportMetric(float64(size)/1e6, "MB")
	b.ReportMetric(float64(peakRSS())/1024, "MB-RSS")
	return own
}

// peakRSS is this process's peak memory in KiB, where the system tells.
func peakRSS() int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil || runtime.GOOS != "linux" {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	var kb int64
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}
