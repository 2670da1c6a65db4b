package f5trailer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// tshark writes the frames into a capture and returns the fields of each frame, as
// Wireshark shows them; of several values of a field the first.
func tshark(t *testing.T, frames []findRow, fields []string) []map[string]string {
	t.Helper()
	return tsharkValues(t, frames, fields, "f")
}

// tsharkValues does the same with the first value of each field ("f"), or all ("a"),
// separated by "|".
func tsharkValues(t *testing.T, frames []findRow, fields []string, which string) []map[string]string {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark, the judge of this test, is not installed:", err)
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgo.NewWriterNanos(out)
	if err := w.WriteFileHeader(262144, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		n := len(f.frame) - f.cut
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1_700_000_000, int64(i)), CaptureLength: n, Length: len(f.frame)}
		if err := w.WritePacket(info, f.frame[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	const separator = "\x1e"
	args := []string{"-n", "-r", file, "-T", "fields", "-E", "separator=" + separator, "-E", "occurrence=" + which, "-E", "aggregator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=") // nobody's preferences
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(frames) {
		t.Fatalf("tshark: got %d lines for %d frames: %s", len(lines), len(frames), stderr.String())
	}
	rows := make([]map[string]string, len(lines))
	for i, line := range lines {
		rows[i] = make(map[string]string)
		for j, value := range strings.Split(line, separator) {
			rows[i][fields[j]] = value
		}
	}
	return rows
}

// plain spells numbers and booleans in one way, whatever the tshark release.
func plain(s string) string {
	switch s {
	case "True":
		return "1"
	case "False":
		return "0"
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return s
}

var oracleFields = []string{
	"ingress", "flags.hwaction", "slot", "tmm", "vip", "phys_port", "trunk",
	"flowid", "peerid", "cfflags2", "cfflags", "flowtype", "haunit", "priority",
	"rstcausever", "rstcausepeer", "rstcauseval", "rstcauseline", "rstcausetxt",
	"peeripproto", "peervlan", "peerremoteport", "peerlocalport",
	"peerremoteaddr", "peerremoteaddr6", "peerremotertdom", "peerlocaladdr", "peerlocaladdr6", "peerlocalrtdom",
	"orig_fcs",
}

// expect is what Wireshark shall show of a trailer; fields not in it shall be empty.
func expect(t *Trailer) map[string]string {
	want := make(map[string]string)
	set := func(field string, value any) {
		if b, ok := value.(bool); ok {
			value = map[bool]int{true: 1}[b]
		}
		want[field] = plain(fmt.Sprint(value))
	}
	if t.HasLow {
		set("ingress", t.Low.Ingress)
		if t.Low.Version >= 3 {
			set("flags.hwaction", t.Low.HardwareAction)
		}
		set("slot", int(t.Low.Slot)+1)
		set("tmm", t.Low.TMM)
		set("vip", t.Low.VirtualServer)
		set("phys_port", t.Low.PhysicalPort)
		set("trunk", t.Low.Trunk)
	}
	if !t.HasMedium {
		return want
	}
	set("flowid", t.Medium.FlowID)
	set("peerid", t.Medium.PeerID)
	set("cfflags", t.Medium.CFFlags)
	set("flowtype", t.Medium.FlowType)
	set("haunit", t.Medium.HAUnit)
	if t.Medium.Version >= 2 {
		set("priority", t.Medium.Priority)
	}
	if t.Medium.Version >= 3 {
		set("cfflags2", t.Medium.CFFlags2)
	}
	if c := t.Medium.RSTCause; t.Medium.HasRSTCause && c.Version == 0 {
		set("rstcausever", c.Version)
		set("rstcausepeer", c.Peer)
		set("rstcauseval", c.Value)
		set("rstcauseline", c.Line)
		set("rstcausetxt", c.Text)
	}
	if t.HasHigh && t.Medium.PeerID != 0 {
		set("peeripproto", t.High.Protocol)
		set("peervlan", t.High.VLAN)
		expectAddr(set, "peerremote", t.High.Remote, t.High.RemoteRouteDomain, t.High.HasRemoteRouteDomain)
		expectAddr(set, "peerlocal", t.High.Local, t.High.LocalRouteDomain, t.High.HasLocalRouteDomain)
	}
	return want
}

func expectAddr(set func(string, any), end string, a netip.AddrPort, routeDomain uint16, has bool) {
	set(end+"port", a.Port())
	wire := appendAddr(nil, a.Addr(), routeDomain, has)
	set(end+"addr6", netip.AddrFrom16([16]byte(wire)))
	if a.Addr().Is4() {
		set(end+"addr", a.Addr())
	}
	if has {
		set(end+"rtdom", routeDomain)
	}
}

func compareWithTshark(t *testing.T, name string, got map[string]string, tr *Trailer, except ...string) {
	t.Helper()
	want := expect(tr)
	if tr.HasOrigFCS {
		want["orig_fcs"] = plain(fmt.Sprint(tr.OrigFCS))
	}
	for _, field := range oracleFields {
		if g := plain(got["f5ethtrailer."+field]); g != want[field] && !slices.Contains(except, field) {
			t.Errorf("%s: %s: tshark shows %q, want %q", name, field, g, want[field])
		}
	}
	c := tr.Medium.RSTCause
	suffix := " [F5RST: " + c.Text + "]"
	if c.Peer {
		suffix = " [F5RST(peer): " + c.Text + "]"
	}
	if info := got["_ws.col.Info"]; tr.Medium.HasRSTCause && c.Version == 0 && !strings.HasSuffix(info, suffix) {
		t.Errorf("%s: Info: got %q, want suffix %q", name, info, suffix)
	}
}

func allFields() []string {
	fields := []string{"_ws.col.Info"}
	for _, f := range oracleFields {
		fields = append(fields, "f5ethtrailer."+f)
	}
	return fields
}

func TestTsharkReadsWhatTheEncoderWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var frames []findRow
	var trailers []Trailer
	for _, v := range vectors() {
		frames, trailers = append(frames, findRow{name: v.name, frame: cat(v.packet, v.trailer)}), append(trailers, v.want)
	}
	for i := range 600 {
		tr := randomTrailer(r)
		packet := packet4
		if i%2 == 1 {
			packet = packet6
		}
		frame, err := tr.AppendTo(bytes.Clone(packet))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("random trailer %d, %s, low version %d", i, tr.Format, tr.Low.Version)
		frames, trailers = append(frames, findRow{name: name, frame: frame}), append(trailers, tr)
	}
	for i, got := range tshark(t, frames, allFields()) {
		compareWithTshark(t, frames[i].name, got, &trailers[i])
		if t.Failed() {
			t.Fatalf("%s: %x", frames[i].name, frames[i].frame)
		}
	}
}

// differences names the fields on which this package and tshark 4.0.17 differ by
// intent: it shows the slot of TMOS 9.4 as written, and less of unusual trailers.
var differences = map[string][]string{
	"low of TMOS 9.4 carries the flow ids":                  {"slot", "haunit"},
	"low and medium of TMOS 9.4 complete each other":        {"slot"},
	"and in either order":                                   {"slot"},
	"a medium block with ids outranks a low block with ids": {"slot"},
	// Its sanity test ends a legacy trailer at the first block it does not know.
	"a block of unknown version is kept and skipped": {"flowid", "peerid", "cfflags", "flowtype", "haunit"},
	"a block of unknown type is kept and skipped":    {"flowid", "peerid", "cfflags", "flowtype", "haunit"},
	// It needs the peer id before the high block.
	"high may precede medium and low": {
		"peeripproto", "peervlan", "peerremoteport", "peerlocalport",
		"peerremoteaddr", "peerremoteaddr6", "peerlocaladdr", "peerlocaladdr6",
	},
	// It reads the length as a signed byte.
	"the object list's length is unsigned": {"vip"},
}

func TestTsharkAndTheDecoderAgreeOnOldAndOddLayouts(t *testing.T) {
	var frames []findRow
	for _, row := range append(legacyRows(), dptRows()...) {
		frames = append(frames, findRow{name: row.name, frame: cat(packet4, row.in)})
	}
	for i, got := range tshark(t, frames, allFields()) {
		var tr Trailer
		if _, ok, err := DecodeFrame(frames[i].frame, len(frames[i].frame), &tr); !ok || err != nil {
			t.Errorf("%s: got %t, %v", frames[i].name, ok, err)
		}
		compareWithTshark(t, frames[i].name, got, &tr, differences[frames[i].name]...)
	}
}

// stricter names the frames in which Wireshark sees a trailer and [Find] does not,
// by intent: a wrong trailer is worse for the analyzer than none.
var stricter = map[string]bool{
	"a legacy block whose size contradicts its version": true,
	"a legacy block of unknown version":                 true,
}

func TestFindAgreesWithTshark(t *testing.T) {
	frames := append(matrixRows(), oddRows()...)
	for i, got := range tshark(t, frames, append(allFields(), "f5ethtrailer")) {
		f := frames[i]
		shown, want := got["f5ethtrailer"] != "", f.offset >= 0 || stricter[f.name]
		if shown != want {
			t.Errorf("%s: tshark shows a trailer: %t, want %t", f.name, shown, want)
		}
		if fcs := got["f5ethtrailer.orig_fcs"]; f.fcs != 0 && plain(fcs) != strconv.FormatUint(uint64(f.fcs), 10) {
			t.Errorf("%s: FCS: tshark shows %s, want %#x", f.name, fcs, f.fcs)
		}
	}
}

func TestTsharkReadsFileInfo(t *testing.T) {
	fields := []string{"_ws.col.Protocol", "f5fileinfo.cmdline", "f5fileinfo.version", "f5fileinfo.hostname", "f5fileinfo.platform", "f5fileinfo.product"}
	rows := tshark(t, []findRow{{frame: realInfo.Frame()}, {frame: cat(packet4, vectors()[0].trailer)}}, fields)
	want := []string{"FILEINFO", realInfo.Command, realInfo.Version, realInfo.Hostname, realInfo.Platform, realInfo.Product}
	for i, field := range fields {
		if got := rows[0][field]; got != want[i] {
			t.Errorf("%s: got %q, want %q", field, got, want[i])
		}
	}
}
