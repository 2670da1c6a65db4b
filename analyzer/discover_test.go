package analyzer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// capturedFrame is one frame of a file made for discovery.
type capturedFrame struct {
	iface int
	at    time.Duration
	data  []byte
}

// writeCapture writes a file with these interfaces and frames.
func writeCapture(t *testing.T, file string, interfaces []pcapng.Interface, frames ...capturedFrame) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := pcapng.NewWriter(out, pcapng.Section{})
	for _, i := range interfaces {
		if err == nil {
			_, err = w.AddInterface(i)
		}
	}
	for _, f := range frames {
		if err == nil {
			err = w.WritePacket(f.iface, storyStart.Add(f.at).UnixNano(), 0, f.data)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// points describes what was discovered: the files of each point, and its interface.
func describe(points []Point) (out []string) {
	for _, p := range points {
		var files []string
		for _, c := range p.captures() {
			files = append(files, filepath.Base(c.File))
		}
		s := strings.Join(files, "+")
		if i := p.captures()[0].Interface; i != "" {
			s += "#" + i
		}
		if p.Name != "" || p.Hop != "" {
			s += " has a name"
		}
		out = append(out, s)
	}
	return out
}

func TestDiscover(t *testing.T) {
	eth0, eth1 := pcapng.Interface{Name: "eth0"}, pcapng.Interface{Name: "eth1"}
	frame := join(t, macs, inner4, innerTCP())
	cooked := func(ifindex uint32) []byte {
		b := binary.BigEndian.AppendUint32([]byte("\x08\x00\x00\x00"), ifindex)
		return append(append(b, "\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00"...), join(t, inner4, innerTCP())...)
	}
	type files map[string][]capturedFrame
	minute := func(n int) []capturedFrame {
		return []capturedFrame{{0, time.Duration(n) * time.Minute, frame}, {0, time.Duration(n)*time.Minute + 50*time.Second, frame}}
	}
	one := []pcapng.Interface{eth0}
	for _, row := range []struct {
		name       string
		interfaces []pcapng.Interface
		files      files
		want       []string
	}{
		{"a file of one interface is a point", one, files{"a.pcapng": minute(0)}, []string{"a.pcapng"}},
		{"a file of two interfaces is two", []pcapng.Interface{eth0, eth1}, files{"a.pcapng": {{1, 0, frame}, {0, 1, frame}}}, []string{"a.pcapng#eth1", "a.pcapng#eth0"}},
		{"an interface without packets is none", []pcapng.Interface{eth0, eth1}, files{"a.pcapng": {{1, 0, frame}}}, []string{"a.pcapng"}},
		{"interfaces without names go by their numbers", make([]pcapng.Interface, 2), files{"a.pcapng": {{0, 0, frame}, {1, 1, frame}}}, []string{"a.pcapng#0", "a.pcapng#1"}},
		{"a file without packets is a point that proves nothing", one, files{"a.pcapng": nil}, []string{"a.pcapng"}},
		{"tcpdump -i any is one point for each interface index", []pcapng.Interface{{Name: "any", LinkType: linkSLL2}},
			files{"a.pcapng": {{0, 0, cooked(3)}, {0, 1, cooked(2)}, {0, 2, cooked(3)}}}, []string{"a.pcapng#ifindex 3", "a.pcapng#ifindex 2"}},
		{"tcpdump -i any with one busy interface is one", []pcapng.Interface{{Name: "any", LinkType: linkSLL2}}, files{"a.pcapng": {{0, 0, cooked(3)}}}, []string{"a.pcapng"}},
		{"tcpdump -C", one, files{"x.pcap": minute(0), "x.pcap1": minute(1), "x.pcap2": minute(2)}, []string{"x.pcap+x.pcap1+x.pcap2"}},
		{"dumpcap -b", one, files{"x_00001_20261122205709.pcapng": minute(0), "x_00002_20261122205809.pcapng": minute(1)},
			[]string{"x_00001_20261122205709.pcapng+x_00002_20261122205809.pcapng"}},
		{"tcpdump -G", one, files{"x-2026-11-22_205709.pcap": minute(0), "x-2026-11-22_205809.pcap": minute(1)},
			[]string{"x-2026-11-22_205709.pcap+x-2026-11-22_205809.pcap"}},
		{"a rotation of two interfaces", []pcapng.Interface{eth0, eth1},
			files{"x.pcap0": {{0, 0, frame}, {1, 1, frame}}, "x.pcap1": {{0, 60e9, frame}, {1, 61e9, frame}}}, []string{"x.pcap0+x.pcap1#eth0", "x.pcap0+x.pcap1#eth1"}},
		{"two captures at the same time are two points", one, files{"x.pcap0": minute(0), "x.pcap1": minute(0)}, []string{"x.pcap0", "x.pcap1"}},
		{"one of three that overlaps leaves doubt of all", one, files{"x.pcap0": minute(0), "x.pcap1": minute(1), "x.pcap2": minute(1)}, []string{"x.pcap0", "x.pcap1", "x.pcap2"}},
		{"a number in the name may be a machine's", one, files{"server-1.pcap": minute(0), "server-2.pcap": minute(1)}, []string{"server-1.pcap", "server-2.pcap"}},
		{"other names are other captures", one, files{"x.pcap0": minute(0), "y.pcap1": minute(1)}, []string{"x.pcap0", "y.pcap1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, frames := range row.files {
				writeCapture(t, filepath.Join(dir, name), row.interfaces, frames...)
			}
			// What else lies in a folder is no capture.
			for name, text := range map[string]string{"README": "hello", ".hidden.pcap": "x", "verdicts.json": "{}"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			names, err := ListCaptures(dir)
			if err != nil {
				t.Fatal(err)
			}
			var in []Capture
			for _, n := range names {
				in = append(in, Capture{File: n})
			}
			got, err := Discover(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if d := describe(got); !slices.Equal(d, row.want) {
				t.Errorf("got %q, want %q", d, row.want)
			}
		})
	}
}

func TestFilesOfDifferentInterfacesAreNoRotation(t *testing.T) {
	dir := t.TempDir()
	frame := join(t, macs, inner4, innerTCP())
	var in []Capture
	for i, name := range []string{"eth0", "eth1"} {
		file := filepath.Join(dir, fmt.Sprintf("x.pcap%d", i))
		writeCapture(t, file, []pcapng.Interface{{Name: name}}, capturedFrame{0, time.Duration(i) * time.Minute, frame})
		in = append(in, Capture{File: file})
	}
	got, err := Discover(t.Context(), in)
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", describe(got), err)
	}
}

// TestOneCaptureOfAnyIsTheFacesOfAForwarder analyzes the firewall's two points from
// one Linux cooked v2 file, told apart by interface index.
func TestOneCaptureOfAnyIsTheFacesOfAForwarder(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 300)
	points := s.write()
	file := filepath.Join(t.TempDir(), "any.pcapng")
	var frames []capturedFrame
	for i, name := range []string{"firewall/feth11", "firewall/feth10"} {
		for _, e := range s.events[name] {
			b := binary.BigEndian.AppendUint32([]byte("\x08\x00\x00\x00"), uint32(2+i))
			b = append(b, "\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00"...)
			frames = append(frames, capturedFrame{0, e.at, append(b, e.data[14:]...)})
		}
	}
	slices.SortStableFunc(frames, func(a, b capturedFrame) int { return int(a.at - b.at) })
	writeCapture(t, file, []pcapng.Interface{{Name: "any", LinkType: linkSLL2}}, frames...)
	found, err := Discover(t.Context(), []Capture{{File: file}})
	if err != nil || len(found) != 2 {
		t.Fatalf("got %v, %v", describe(found), err)
	}
	for i, p := range found {
		points[2+i].Files = p.Files
	}
	r, err := Analyze(t.Context(), points, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Verdicts; len(v) != 1 || v[0].Hop != "firewall" || v[0].Cause != SYNDropped || len(r.Warnings) != 0 {
		t.Errorf("got %s", show(r))
	}
}

func TestFoldersWithoutCaptures(t *testing.T) {
	dir := t.TempDir()
	if _, err := ListCaptures(dir); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "holds neither a points.json nor any capture") {
		t.Errorf("an empty folder: got %v", err)
	}
	if _, err := ListCaptures(filepath.Join(dir, "no")); !errors.Is(err, ErrIO) {
		t.Errorf("no folder: got %v", err)
	}
	nested := filepath.Join(dir, "captures")
	if err := os.Mkdir(nested, 0o700); err != nil {
		t.Fatal(err)
	}
	writeCapture(t, filepath.Join(nested, "a.pcapng"), nil)
	if got, err := ListCaptures(dir); err != nil || len(got) != 1 || filepath.Dir(got[0]) != nested {
		t.Errorf("a run directory: got %v, %v", got, err)
	}
	bad := filepath.Join(nested, "b.pcap")
	if err := os.WriteFile(bad, []byte("no capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ListCaptures(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v: what is called a capture must not be passed over", got, err)
	}
	if _, err := Discover(t.Context(), []Capture{{File: got[0]}, {File: got[1]}}); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "b.pcap: not a capture file") {
		t.Errorf("got %v", err)
	}
}
