package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// refusals is a capture of connections that are refused, one a second from the
// given second on, as somebody's tcpdump would have written it.
func refusals(t *testing.T, face string, from, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	if err == nil {
		_, err = w.AddInterface(pcapng.Interface{Name: face})
	}
	frame := func(tcp layers.TCP, back bool) []byte {
		a, b := net.IP{198, 18, 50, 88}, net.IP{198, 18, 50, 67}
		if back {
			a, b = b, a
			tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
		}
		buf := gopacket.NewSerializeBuffer()
		eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: a, DstIP: b}
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, eth, ip, &tcp); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	start := time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
	for i := from; i < from+n; i++ {
		port, isn, at := layers.TCPPort(40000+i), uint32(1000*i), start.Add(time.Duration(i)*time.Second).UnixNano()
		if err == nil {
			err = w.WritePacket(0, at, 0, frame(layers.TCP{SrcPort: port, DstPort: 8165, Seq: isn, SYN: true}, false))
		}
		if err == nil {
			err = w.WritePacket(0, at+1e6, 0, frame(layers.TCP{SrcPort: port, DstPort: 8165, Ack: isn + 1, RST: true, ACK: true}, true))
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func inGzip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func inZstd(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// TestWhatPeopleMailIsAnalyzed gives captures in every way there is. Each row has
// 40 connections that were refused, whatever they come in.
func TestWhatPeopleMailIsAnalyzed(t *testing.T) {
	whole := refusals(t, "eth0", 0, 40)
	early, late := refusals(t, "eth0", 0, 25), refusals(t, "eth0", 25, 15)
	const point = "--point=client/eth0="
	for _, row := range []struct {
		name   string
		files  map[string][]byte
		stdin  []byte
		args   []string
		points string // name=file of each
	}{
		{"a file without a label", map[string][]byte{"a.pcapng": whole}, nil, []string{"a.pcapng"}, "p1=a.pcapng"},
		{"a folder", map[string][]byte{"x/a.pcapng": whole, "x/note.txt": []byte("hello")}, nil, []string{"x"}, "p1=x/a.pcapng"},
		{"gzip, whatever its name", map[string][]byte{"a.pcapng": inGzip(t, whole)}, nil, []string{point + "a.pcapng"}, "client/eth0=a.pcapng"},
		{"zstd", map[string][]byte{"a.zst": inZstd(t, whole)}, nil, []string{point + "a.zst"}, "client/eth0=a.zst"},
		{"standard input", nil, whole, []string{"-"}, "p1=stdin"},
		{"standard input with a label, in gzip", nil, inGzip(t, whole), []string{point + "-"}, "client/eth0=stdin"},
		{"one interface of standard input", nil, whole, []string{point + "-#eth0"}, "client/eth0=stdin"},
		{"one interface by its number", map[string][]byte{"a.pcapng": whole}, nil, []string{point + "a.pcapng#0"}, "client/eth0=a.pcapng"},
		{"a rotation, the last file first", map[string][]byte{"late": late, "early": inGzip(t, early)}, nil, []string{point + "late", point + "early"}, "client/eth0=early"},
		{"a rotation without labels", map[string][]byte{"a.pcap0": early, "a.pcap1": late}, nil, []string{"a.pcap1", "a.pcap0"}, "p1=a.pcap0"},
		{"a rotation in points.json", map[string][]byte{"x/late": late, "x/early": early, "x/points.json": []byte(`{"schema_version":1,"points":[
			{"name":"client/eth0","hop":"client","face":"eth0","file":"late"},{"name":"client/eth0","hop":"client","face":"eth0","file":"early"}]}`)},
			nil, []string{"x"}, "client/eth0=early"},
		{"a label and none", map[string][]byte{"a.pcapng": whole, "b.pcapng": whole}, nil, []string{point + "a.pcapng", "b.pcapng"}, "client/eth0=a.pcapng p2=b.pcapng"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := command(t, append([]string{"analyze", "--json"}, row.args...)...)
			for name, b := range row.files {
				path := filepath.Join(c.Dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before, err := os.ReadDir(c.Dir)
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(row.stdin), &stdout, &stderr
			if code := exitCodeOf(t, c.Run()); code != exitOK || stderr.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			var r analyzer.Report
			if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			var points []string
			for _, p := range r.Points {
				points = append(points, p.Name+"="+filepath.ToSlash(p.File))
				if p.Packets != 80 {
					t.Errorf("%s has %d packets, want 80", p.Name, p.Packets)
				}
			}
			if got := strings.Join(points, " "); got != row.points {
				t.Errorf("got points %s, want %s", got, row.points)
			}
			if r.Requests.Failed != 40 || len(r.Verdicts) != 40 || len(r.Warnings) != len(points)-1 { // the second point of "a label and none" is the first one again
				t.Errorf("%d failed with %d verdicts, want 40; warnings %q", r.Requests.Failed, len(r.Verdicts), r.Warnings)
			}
			if after, err := os.ReadDir(c.Dir); err != nil || len(after) != len(before) {
				t.Errorf("left behind: %v, %v", after, err)
			}
		})
	}
}

func TestAPipeGivenAsAFile(t *testing.T) {
	c := command(t, "analyze", "--json", "pipe")
	pipe := filepath.Join(c.Dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	capture := refusals(t, "eth0", 0, 3)
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, capture, 0) }()
	out, err := c.Output()
	if code := exitCodeOf(t, err); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte(`"packets": 6`)) {
		t.Errorf("got %s", out)
	}
}

// TestWhatCannotBeReadIsOneLine has a good capture beside each bad one: nothing is
// passed over.
func TestWhatCannotBeReadIsOneLine(t *testing.T) {
	good := refusals(t, "eth0", 0, 40)
	for _, row := range []struct {
		name string
		file []byte // of bad.pcapng; nil: there is none
		args []string
		code int
		want string
	}{
		{"a file that is not there", nil, []string{"bad.pcapng"}, exitInvalid, "bad.pcapng: no such file or folder; give the captures, or the folder that holds them"},
		{"one with a label that is not there", nil, []string{"--point=a/b=bad.pcapng"}, exitInvalid, "bad.pcapng: cannot be opened for point a/b: no such file or directory; check that it exists and is readable"},
		{"text", []byte("hello"), []string{"bad.pcapng"}, exitUsage, `bad.pcapng: not a capture file: it starts with 68 65 6c 6c 6f "hello"; give a pcap or pcapng file`},
		{"nothing", []byte{}, []string{"--point=a/b=bad.pcapng"}, exitUsage, "bad.pcapng: point a/b: not a capture file: it is empty; give a pcap or pcapng file"},
		{"xz", []byte("\xfd7zXZ\x00"), []string{"bad.pcapng"}, exitUsage, "bad.pcapng: not a capture file: it starts with fd 37 7a 58 (xz; decompress it first); give a pcap or pcapng file"},
		{"gzip of text", inGzip(t, []byte("hello")), []string{"bad.pcapng"}, exitUsage, `bad.pcapng: not a capture file: it starts with 68 65 6c 6c 6f "hello"; give a pcap or pcapng file`},
		{"standard input that is empty", nil, []string{"-"}, exitUsage, "stdin: not a capture file: it is empty; give a pcap or pcapng file"},
		{"an interface that is not there", good, []string{"--point=a/b=bad.pcapng#eth9"}, exitUsage, "bad.pcapng: point a/b: there is no interface eth9 in this file; there are eth0"},
		{"a key log that is not there", nil, []string{"--keylog=bad.pcapng"}, exitInvalid, "bad.pcapng: cannot be opened: no such file or directory; give the file that SSLKEYLOGFILE named when the requests were sent"},
		{"a key log that is none", []byte("secret\n"), []string{"--keylog=bad.pcapng"}, exitUsage, "bad.pcapng: no line of it is a key: want LABEL CLIENT_RANDOM SECRET, as SSLKEYLOGFILE makes them; give the file that SSLKEYLOGFILE named when the requests were sent"},
		{"one file twice", good, []string{"good.pcapng", "good.pcapng"}, exitUsage, "good.pcapng: is given twice; give each point its own capture, or its own interface as FILE#INTERFACE"},
		{"one file with a label and without", good, []string{"good.pcapng", "--point=a/b=good.pcapng"}, exitUsage, "good.pcapng: is given twice; give each point its own capture, or its own interface as FILE#INTERFACE"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := command(t, append([]string{"analyze", "good.pcapng"}, row.args...)...)
			if row.args[0] == "good.pcapng" {
				c.Args = append([]string{c.Args[0], "analyze"}, row.args...)
			}
			if err := os.WriteFile(filepath.Join(c.Dir, "good.pcapng"), good, 0o600); err != nil {
				t.Fatal(err)
			}
			if row.file != nil {
				if err := os.WriteFile(filepath.Join(c.Dir, "bad.pcapng"), row.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if code := exitCodeOf(t, c.Run()); code != row.code || stderr.String() != "hopblame: "+row.want+"\n" || stdout.Len() > 0 {
				t.Errorf("got %d %s%s\nwant %d %s", code, stderr.String(), stdout.String(), row.code, row.want)
			}
		})
	}
}

// TestADamagedFileIsReadUpToTheDamage cuts captures: what is before counts, the
// rest is a warning, and the exit code is 0.
func TestADamagedFileIsReadUpToTheDamage(t *testing.T) {
	whole := refusals(t, "eth0", 0, 4000)
	for name, file := range map[string][]byte{
		"plain": whole[:len(whole)*3/4+1],
		"gzip":  inGzip(t, whole)[:len(inGzip(t, whole))*3/4],
		"zstd":  inZstd(t, whole)[:len(inZstd(t, whole))*3/4],
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, "analyze", "--json", "-")
			var stderr bytes.Buffer
			c.Stdin, c.Stderr = bytes.NewReader(file), &stderr
			out, err := c.Output()
			if code := exitCodeOf(t, err); code != exitOK || stderr.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			var r analyzer.Report
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatal(err)
			}
			packets := r.Points[0].Packets
			if packets < 2000 || packets > 7000 || r.Requests.Failed < int(packets)/2 {
				t.Errorf("%d packets and %d failures were read of 8000 and 4000", packets, r.Requests.Failed)
			}
			want := fmt.Sprintf("stdin: damaged after frame %d at byte", packets)
			if len(r.Warnings) == 0 || !strings.HasPrefix(r.Warnings[0], want) {
				t.Errorf("warnings %q, want %q", r.Warnings, want)
			}
		})
	}
}
