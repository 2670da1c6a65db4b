package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 20 * time.Second

// file is a capture file in memory that can be full.
type file struct {
	bytes.Buffer
	room   int // bytes that fit; 0 is no limit
	closed int
	gate   chan struct{} // if not nil, nothing is written before it is closed
}

var errFull = errors.New("no space left on the test's device")

func (f *file) Write(b []byte) (int, error) {
	if f.gate != nil {
		<-f.gate
	}
	if f.room > 0 && f.Len()+len(b) > f.room {
		return 0, errFull
	}
	return f.Buffer.Write(b)
}

func (f *file) Close() error { f.closed++; return nil }

// slack is how far two frames of one tap may be out of order: a processor stamps
// a frame before it queues it, and the other one may come between.
const slack = int64(2 * time.Millisecond)

const tagA, tagB = 4094, 4093

// firewall is a point with both faces of the firewall in one file.
func firewall(lab *topology.Lab) Point {
	h := lab.Host(topology.Firewall)
	return Point{Hop: topology.Firewall, Face: "both", Side: Serverside, Taps: []Tap{
		{Host: h, Interface: topology.Upstream, VLAN: tagA, Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.60.1/24")}},
		{Host: h, Interface: topology.Downstream, VLAN: tagB},
	}}
}

// one is a point with one face and one tap, untagged.
func one(lab *topology.Lab, node, face string) Point {
	return Point{Hop: node, Face: face, Side: Serverside, Taps: []Tap{{Host: lab.Host(node), Interface: face}}}
}

// exchange has n connections from the f5 to server1 carry a request and an answer.
func exchange(t *testing.T, lab *topology.Lab, family topology.Family, n, bytes int) {
	t.Helper()
	at := topology.StandardAddresses(family).Server1.String()
	l, err := lab.Host(topology.Server1).Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var servers sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				if _, err := io.Copy(c, c); err != nil {
					t.Error(err)
				}
			})
		}
	})
	for range n {
		c, err := lab.Host(topology.F5).Dial(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = c.Write(make([]byte, bytes))
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		if got, err := io.Copy(io.Discard, c); err != nil || got != int64(bytes) {
			t.Fatalf("%d of %d bytes came back, %v", got, bytes, err)
		}
		c.Close()
	}
	l.Close()
	servers.Wait()
	if err := lab.AwaitQuiet(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// start starts a session and stops it with the test if the test has not.
func start(t *testing.T, points []Point, create func(*Point) (io.WriteCloser, error)) (stop func() []Result) {
	t.Helper()
	s, err := Start(points, create, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() []Result {
		t.Helper()
		if stopped {
			return nil
		}
		stopped = true
		r, err := s.Stop()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Cleanup(func() { stop() })
	return stop
}

// contents are the frames of a file and what it says of its interfaces.
func contents(t *testing.T, data []byte) (packets []pcapng.Packet, interfaces []pcapng.InterfaceInfo) {
	t.Helper()
	r, err := pcapng.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, r.Interfaces()
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Data = bytes.Clone(p.Data)
		packets = append(packets, p)
	}
}

func TestTwoTapsAreMergedByTimeWithTheVLANOfEach(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			lab := labtest.Build(t, family)
			f := &file{}
			p := firewall(lab)
			p.FirstFrame = bytes.Repeat([]byte{0xab}, 60)
			p.AppendTrailer = func(dst []byte, f Frame) []byte {
				return fmt.Appendf(dst, "|%d %v %d|", f.VLAN, f.Outgoing, len(f.Data))
			}
			before := time.Now()
			stop := start(t, []Point{p}, func(*Point) (io.WriteCloser, error) { return f, nil })
			traffic := time.Now()
			exchange(t, lab, family, 20, 5000)
			r := stop()[0]

			packets, interfaces := contents(t, f.Bytes())
			if f.closed != 1 {
				t.Errorf("the file was closed %d times", f.closed)
			}
			if len(packets) == 0 || !bytes.Equal(packets[0].Data, p.FirstFrame) {
				t.Fatal("the first frame is not the one given")
			}
			packets = packets[1:]
			if uint64(len(packets)) != r.Packets || r.Packets < 20*8 {
				t.Errorf("%d packets in the file, the result says %d", len(packets), r.Packets)
			}
			counts := make([]Count, 2)
			last := int64(0)
			for _, x := range packets {
				if x.Time < last-slack {
					t.Errorf("frame %d is of %d, one before of %d", x.Number, x.Time, last)
				}
				last = max(last, x.Time)
				want := []uint16{tagA, tagB}[x.Interface]
				if tag := binary.BigEndian.Uint32(x.Data[12:]); tag != 0x8100<<16|uint32(want) {
					t.Fatalf("frame %d has tag %#x, want VLAN %d", x.Number, tag, want)
				}
				if x.WireLength != len(x.Data) {
					t.Errorf("frame %d has %d of %d bytes", x.Number, len(x.Data), x.WireLength)
				}
				open := bytes.LastIndexByte(x.Data[:len(x.Data)-1], '|')
				trailer := string(x.Data[open:])
				var vlan, length int
				var outgoing bool
				if _, err := fmt.Sscanf(trailer, "|%d %t %d|", &vlan, &outgoing, &length); err != nil || vlan != int(want) || length != open-4 {
					t.Fatalf("frame %d ends in %q, its plain length is %d", x.Number, trailer, open-4)
				}
				countPlain(&counts[x.Interface], append(bytes.Clone(x.Data[:12]), x.Data[16:open]...), outgoing)
			}
			for i := range counts {
				if counts[i] != r.Counts[i] {
					t.Errorf("tap %d counted %+v, the file holds %+v", i, r.Counts[i], counts[i])
				}
			}
			if up, down := counts[0], counts[1]; up.In != down.Out || up.Out != down.In || up.InSYN != 20 || down.OutSYN != 20 || up.OutSYN != 0 {
				t.Errorf("a firewall that drops nothing counted %+v and %+v, want equal ones and 20 SYNs", up, down)
			}
			for _, i := range interfaces {
				s := i.Statistics
				if !i.HasStatistics || s.Dropped != 0 || s.Received == 0 || s.Start.Before(before) || s.Start.After(traffic) || s.End.Before(traffic) {
					t.Errorf("interface %s: statistics %v %+v", i.Name, i.HasStatistics, s)
				}
			}
			if sum := interfaces[0].Statistics.Received + interfaces[1].Statistics.Received; sum != r.Packets {
				t.Errorf("the interfaces received %d frames, the file holds %d", sum, r.Packets)
			}
			if i := interfaces[0]; i.Name != "both" || i.Description != "VLAN 4094 (feth11) of firewall" || len(i.Addresses) != 1 {
				t.Errorf("the first interface is %+v", i)
			}
		})
	}
}

func TestAFilterDecidesWhatIsInTheFileAndNotWhatIsCounted(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	all, some := &file{}, &file{}
	whole, filtered := firewall(lab), firewall(lab)
	filtered.Face = "filtered"
	filtered.FirstFrame = bytes.Repeat([]byte{0xab}, 60)
	asked := 0
	filtered.AppendTrailer = func(dst []byte, f Frame) []byte { asked++; return append(dst, "trailer"...) }
	filtered.Filter = "in VLAN 4094"
	filtered.Take = func(f Frame) bool {
		if asked != 1 {
			t.Errorf("asked for %d trailers since the last frame, want 1", asked)
		}
		asked = 0
		return f.VLAN == tagA
	}
	stop := start(t, []Point{whole, filtered}, func(p *Point) (io.WriteCloser, error) {
		if p.Take == nil {
			return all, nil
		}
		return some, nil
	})
	exchange(t, lab, topology.IPv4, 5, 1000)
	r := stop()
	for i := range r[0].Counts {
		if r[0].Counts[i] != r[1].Counts[i] {
			t.Errorf("tap %d counted %+v, with a filter %+v", i, r[0].Counts[i], r[1].Counts[i])
		}
	}
	var want uint64
	packets, _ := contents(t, all.Bytes())
	for _, p := range packets {
		if p.Interface == 0 {
			want++
		}
	}
	packets, interfaces := contents(t, some.Bytes())
	if n := uint64(len(packets)); want == 0 || n != want+1 || r[1].Packets != want {
		t.Errorf("%d packets in the file, the result says %d, want %d and one to begin with", n, r[1].Packets, want)
	}
	for _, p := range packets[1:] {
		if p.Interface != 0 || !bytes.HasSuffix(p.Data, []byte("trailer")) {
			t.Errorf("frame %d is of interface %d", p.Number, p.Interface)
		}
	}
	for _, i := range interfaces {
		if i.Filter != filtered.Filter || i.Statistics.Dropped != 0 {
			t.Errorf("interface %s: %q, %+v", i.Name, i.Filter, i.Statistics)
		}
	}
}

// countPlain counts a TCP segment of an untagged frame, in the test's own way.
func countPlain(c *Count, frame []byte, outgoing bool) {
	flagsAt := 0
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == 0x0800 && frame[14+9] == 6:
		flagsAt = 14 + 20 + 13
	case kind == 0x86dd && frame[14+6] == 6:
		flagsAt = 14 + 40 + 13
	default:
		return
	}
	syn := uint64(0)
	if frame[flagsAt]&0x12 == 0x02 {
		syn = 1
	}
	if outgoing {
		c.Out, c.OutSYN = c.Out+1, c.OutSYN+syn
	} else {
		c.In, c.InSYN = c.In+1, c.InSYN+syn
	}
}

func TestABurstLosesNothing(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	points := []Point{firewall(lab), one(lab, topology.F5, topology.Internal), one(lab, topology.Server1, topology.ServerFace)}
	files := map[string]*file{}
	stop := start(t, points, func(p *Point) (io.WriteCloser, error) {
		files[p.Name()] = &file{}
		return files[p.Name()], nil
	})
	const megabytes = 2 // comes and goes: half of what a ring holds
	exchange(t, lab, topology.IPv4, 1, megabytes<<20)
	results := stop()
	var through uint64
	for i, r := range results {
		packets, _ := contents(t, files[r.Point.Name()].Bytes())
		if r.Dropped != 0 || uint64(len(packets)) != r.Packets {
			t.Errorf("%s: dropped %d, %d packets in the file, %d counted", r.Point.Name(), r.Dropped, len(packets), r.Packets)
		}
		sum := r.Counts[0].In + r.Counts[0].Out
		if i == 0 {
			through = sum
		}
		if sum != through || sum < megabytes<<20/1460 {
			t.Errorf("%s saw %d segments, the firewall %d", r.Point.Name(), sum, through)
		}
	}
}

func TestATapThatIsOverwhelmedSaysHowMuchItLostAndInventsNothing(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	f := &file{gate: make(chan struct{})} // a disk that stands still
	stop := start(t, []Point{one(lab, topology.Server1, topology.ServerFace)}, func(*Point) (io.WriteCloser, error) { return f, nil })
	const megabytes = 12 // comes and goes: three times what a ring holds
	exchange(t, lab, topology.IPv4, 1, megabytes<<20)
	close(f.gate)
	r := stop()[0]
	packets, interfaces := contents(t, f.Bytes())
	if r.Dropped == 0 || uint64(len(packets)) != r.Packets {
		t.Errorf("lost %d; %d packets in the file, %d counted", r.Dropped, len(packets), r.Packets)
	}
	if s := interfaces[0].Statistics; s.Dropped != r.Dropped || s.Received != r.Packets+r.Dropped {
		t.Errorf("the file says %d of %d were lost, the result %d of %d", s.Dropped, s.Received, r.Dropped, r.Packets+r.Dropped)
	}
	for i := 1; i < len(packets); i++ {
		if packets[i].Time < packets[i-1].Time-slack || bytes.Equal(packets[i].Data, packets[i-1].Data) && packets[i].Time == packets[i-1].Time {
			t.Fatalf("frame %d is there twice or out of order", i)
		}
	}
}

func TestAFrameOnOneTapDoesNotWaitForeverForASilentOne(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	f := &file{}
	h := lab.Host(topology.Server2)
	p := one(lab, topology.Server1, topology.ServerFace)
	p.Taps = append(p.Taps, Tap{Host: h, Interface: topology.ServerFace, VLAN: 7}) // nobody talks to server2
	seen := make(chan struct{}, 1<<16)
	p.Taps[0].VLAN = 5
	p.AppendTrailer = func(dst []byte, _ Frame) []byte { seen <- struct{}{}; return dst }
	stop := start(t, []Point{p}, func(*Point) (io.WriteCloser, error) { return f, nil })
	exchange(t, lab, topology.IPv4, 1, 10)
	select {
	case <-seen:
	case <-time.After(patience):
		t.Error("a frame was held back until the end")
	}
	stop()
}

func TestAFullDiskReachesTheRunAndStopNamesThePoint(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	failed := make(chan error, 2)
	good, bad := &file{}, &file{room: 300 << 10}
	points := []Point{one(lab, topology.F5, topology.Internal), one(lab, topology.Server1, topology.ServerFace)}
	s, err := Start(points, func(p *Point) (io.WriteCloser, error) {
		if p.Hop == topology.Server1 {
			return bad, nil
		}
		return good, nil
	}, func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, lab, topology.IPv4, 1, 1<<20)
	select {
	case err := <-failed:
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "capture at server1/eth0") {
			t.Errorf("told %v", err)
		}
	case <-time.After(patience):
		t.Error("nobody was told that the disk is full")
	}
	_, err = s.Stop()
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "capture at server1/eth0") || strings.Contains(err.Error(), "f5") {
		t.Errorf("Stop returns %v", err)
	}
	if len(failed) > 0 {
		t.Error("told twice")
	}
	if good.closed != 1 || bad.closed != 1 {
		t.Errorf("the files were closed %d and %d times", good.closed, bad.closed)
	}
}

func TestADiskThatIsFullAtTheVeryEndIsAnErrorOfStop(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	bad := &file{room: 10}
	s, err := Start([]Point{one(lab, topology.F5, topology.Internal)}, func(*Point) (io.WriteCloser, error) { return bad, nil }, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stop(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "capture at f5/internal") {
		t.Errorf("Stop returns %v", err)
	}
}

func TestACaptureThatCannotStartSaysWhyAndLeavesNothing(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	errNo := errors.New("no such folder")
	for _, row := range []struct {
		name   string
		second Point
		create func(n int) error
		want   string
	}{
		{"the second file cannot be made", one(lab, topology.F5, topology.Internal),
			func(n int) error { return []error{nil, errNo}[n] }, "capture at f5/internal: no such folder"},
		{"the second interface is not there", one(lab, topology.F5, "eth9"),
			func(int) error { return nil }, "capture at f5/eth9: tap on eth9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := labtest.Descriptors(t)
			n := 0
			var files []*file
			s, err := Start([]Point{one(lab, topology.F5, topology.External), row.second}, func(*Point) (io.WriteCloser, error) {
				if err := row.create(n); err != nil {
					return nil, err
				}
				n++
				files = append(files, &file{})
				return files[len(files)-1], nil
			}, func(err error) { t.Error(err) })
			if s != nil || err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, %v; want %q", s, err, row.want)
			}
			for i, f := range files {
				if f.closed != 1 {
					t.Errorf("file %d was closed %d times", i, f.closed)
				}
			}
			if after := labtest.Descriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestARingThatCannotBeOpenedLeavesNoDescriptor(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	before := labtest.Descriptors(t)
	err := lab.Host(topology.F5).Run(func() error {
		r, err := openRing("a-name-of-more-than-fifteen-bytes")
		if r != nil {
			t.Error("a ring was returned")
		}
		return err
	})
	if err == nil {
		t.Error("an interface there is not was opened")
	}
	if after := labtest.Descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAStoppedSessionLeavesNoDescriptorAndNoGoroutine(t *testing.T) {
	lab := labtest.Build(t, topology.IPv4)
	round := func() {
		s, err := Start([]Point{firewall(lab)}, func(*Point) (io.WriteCloser, error) { return &file{}, nil }, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	round()
	before, goroutines := labtest.Descriptors(t), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	if after := labtest.Descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}

func TestWiresharkReadsTheFileAsItIsMeant(t *testing.T) {
	for _, tool := range []string{"capinfos", "tshark"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	lab := labtest.Build(t, topology.IPv4)
	path := filepath.Join(t.TempDir(), "f.pcapng")
	stop := start(t, []Point{firewall(lab)}, func(*Point) (io.WriteCloser, error) { return os.Create(path) })
	exchange(t, lab, topology.IPv4, 5, 3000)
	r := stop()[0]
	out, err := exec.CommandContext(t.Context(), "capinfos", "-M", path).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	squeezed := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		fmt.Sprintf("Number of packets: %d ", r.Packets), "Number of interfaces in file: 2",
		"Name = both", "Time precision = nanoseconds (9)", "Number of stat entries = 1",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, out)
		}
	}
	out, err = exec.CommandContext(t.Context(), "tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE",
		"-Y", "_ws.malformed || tcp.checksum.status == 0 || tcp.analysis.lost_segment || !(vlan.id == 4094 || vlan.id == 4093)").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("tshark objects to: %v\n%s", err, out)
	}
}

func TestCountingIsNotLedAstrayByWhatItSees(t *testing.T) {
	ip4 := func(size int, edit func(b []byte)) []byte {
		b := make([]byte, size)
		b[12], b[13], b[14], b[23] = 0x08, 0x00, 0x45, 6
		edit(b)
		return b
	}
	for _, row := range []struct {
		name string
		data []byte
		want Count
	}{
		{"a SYN", ip4(54, func(b []byte) { b[14+20+13] = 0x02 }), Count{In: 1, InSYN: 1}},
		{"a SYN with explicit congestion notification", ip4(54, func(b []byte) { b[14+20+13] = 0xc2 }), Count{In: 1, InSYN: 1}},
		{"a SYN-ACK", ip4(54, func(b []byte) { b[14+20+13] = 0x12 }), Count{In: 1}},
		{"a RST that ends a connection", ip4(54, func(b []byte) { b[14+20+13] = 0x14 }), Count{In: 1, InRST: 1}},
		{"a RST that answers a stray segment", ip4(54, func(b []byte) { b[14+20+13] = 0x04 }), Count{In: 1}},
		{"a SYN behind IP options", ip4(58, func(b []byte) { b[14], b[14+24+13] = 0x46, 0x02 }), Count{In: 1, InSYN: 1}},
		{"an IP header longer than its frame", ip4(54, func(b []byte) { b[14] = 0x4f }), Count{}},
		{"UDP", ip4(54, func(b []byte) { b[23] = 17 }), Count{}},
		{"ARP", func() []byte { b := make([]byte, 60); b[12], b[13] = 0x08, 0x06; return b }(), Count{}},
		{"next to nothing", []byte{1, 2, 3}, Count{}},
		{"nothing", nil, Count{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &tapState{}
			s.count(packet{data: row.data})
			if s.counts != row.want {
				t.Errorf("got %+v, want %+v", s.counts, row.want)
			}
		})
	}
}

func FuzzCountingSurvivesAnyFrame(f *testing.F) {
	f.Add([]byte{}, true)
	b := make([]byte, 54)
	b[12], b[14], b[23] = 0x08, 0x4f, 6
	f.Add(b, false)
	f.Fuzz(func(t *testing.T, data []byte, outgoing bool) {
		s := &tapState{}
		s.count(packet{data: data, outgoing: outgoing})
		if c := s.counts; c.In+c.Out > 1 || c.InSYN > c.In || c.OutSYN > c.Out {
			t.Fatalf("%+v", c)
		}
	})
}
