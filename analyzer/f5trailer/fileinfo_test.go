package f5trailer

import (
	"strings"
	"testing"
)

// realInfo is the description in a public capture of TMOS 13.1.0.3, with a documentation host name.
var realInfo = FileInfo{
	Command:  "tcpdump -s0 -w/var/tmp/hackazon.pcap -nni 0.0:nnn host 10.1.10.201",
	Version:  "13.1.0.3 0.0.5",
	Hostname: "bigip.example.com",
	Platform: "Z100",
	Product:  "BIG-IP",
	Session:  "0",
}

const realInfoFrame = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\xff" + "F5-Pseudo-pkt\x00" +
	"CMD: tcpdump -s0 -w/var/tmp/hackazon.pcap -nni 0.0:nnn host 10.1.10.201\x00" +
	"VER: 13.1.0.3 0.0.5\x00HOST: bigip.example.com\x00PLAT: Z100\x00PROD: BIG-IP\x00SESS: 0\x00"

func TestFileInfoIsWrittenAsTheBoxDoes(t *testing.T) {
	if got := string(realInfo.Frame()); got != realInfoFrame {
		t.Errorf("got  %q\nwant %q", got, realInfoFrame)
	}
	if got := string(FileInfo{Command: "tcpdump\x00-i", Product: "BIG-IP"}.Frame()); !strings.HasSuffix(got, "pkt\x00CMD: tcpdump\x00PROD: BIG-IP\x00") {
		t.Errorf("empty fields and NUL: got %q", got)
	}
}

func TestParseFileInfo(t *testing.T) {
	head := realInfoFrame[:28]
	tests := []struct {
		name, frame string
		want        FileInfo
		ok          bool
	}{
		{"a real description", realInfoFrame, realInfo, true},
		{"a description without fields", head, FileInfo{}, true},
		{"a last field cut short", head + "VER: 17.1", FileInfo{Version: "17.1"}, true},
		{"unknown fields are skipped, order does not matter", head + "NEW: x\x00PROD: P\x00\x00VER: 1\x00", FileInfo{Version: "1", Product: "P"}, true},
		{"the first of two counts", head + "VER: 1\x00VER: 2\x00", FileInfo{Version: "1"}, true},
		{"an ordinary packet", string(packet4), FileInfo{}, false},
		{"another pseudo packet", "\x00" + realInfoFrame, FileInfo{}, false},
		{"nothing", "", FileInfo{}, false},
	}
	for _, tt := range tests {
		if got, ok := ParseFileInfo([]byte(tt.frame)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %+v, %t, want %+v, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestFileInfoIsNotTakenForAPacketWithATrailer(t *testing.T) {
	if _, _, ok := Find([]byte(realInfoFrame), len(realInfoFrame)); ok {
		t.Error("found a trailer")
	}
}
