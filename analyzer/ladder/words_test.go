package ladder

import (
	"strings"
	"testing"
	"unicode"

	"github.com/hopblame/hopblame/analyzer"
)

func TestContent(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{"POST /batch HTTP/1.1\r\nHost: vip\r\n", "POST /batch HTTP/1.1"},
		{"HTTP/1.1 503 Service Unavailable\r\n", "HTTP/1.1 503 Service Unavailable"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0"},
		{"POST of something that is not a line", ""},
		{"GET /" + strings.Repeat("x", 600) + " HTTP/1.1\r\n", "GET /" + strings.Repeat("x", 54) + "…"},
		{"GET /\x1b[31m HTTP/1.1\r\n", "GET /\ufffd[31m HTTP/1.1"},
		{"\x16\x03\x01\x00\x40\x01", "Client Hello"},
		{"\x16\x03\x03\x00\x40\x02", "Server Hello"},
		{"\x16\x03\x03\x00\x40\x99", "Encrypted Handshake Message"},
		{"\x14\x03\x03\x00\x01\x01", "Change Cipher Spec"},
		{"\x17\x03\x03\x00\x20\x01", "Application Data"},
		{"\x15\x03\x03\x00\x02\x02\x28", "Alert (Level: Fatal, Description: Handshake Failure)"},
		{"\x15\x03\x03\x00\x13\x02\x28", "Encrypted Alert"},
		{"\x17\x03\x03\xff\xff\x01", ""},
		{"", ""},
	} {
		if got := content([]byte(c.payload)); got != c.want {
			t.Errorf("%.40q: got %q, want %q", c.payload, got, c.want)
		}
	}
}

func FuzzContent(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := content(b)
		if n := len([]rune(s)); n > maxLine || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\ufffd' }) {
			t.Fatalf("%d letters: %q", n, s)
		}
	})
}

func TestFlagsAreNamedAsWiresharkDoes(t *testing.T) {
	for flags, want := range map[byte]string{
		0: "no flags", analyzer.FlagSYN: "SYN", analyzer.FlagSYN | analyzer.FlagACK: "SYN-ACK", analyzer.FlagFIN | analyzer.FlagPSH | analyzer.FlagACK: "FIN-PSH-ACK",
		analyzer.FlagRST | analyzer.FlagACK: "RST-ACK", analyzer.FlagACK | 1<<5: "ACK-URG",
	} {
		if got := flagsOf(flags); got != want {
			t.Errorf("%#x: got %s, want %s", flags, got, want)
		}
	}
}
