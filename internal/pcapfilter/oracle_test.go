package pcapfilter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// expressions are such as people write, and such as they should not.
var expressions = []string{
	"host 198.18.50.88", "tcp port 8165 and not host 198.18.160.81", "src host 198.18.50.88 or dst port 8000",
	"tcp[tcpflags] & (tcp-syn|tcp-rst) != 0", "tcp[13] & 2 = 2 and not (tcp[13] & 16 = 16)", "tcp[13]=0x12", "tcp[tcpflags]==tcp-syn",
	"net 198.18.0.0/15", "net 198.18", "net 10", "src net 198.18.50", "ip6 net 2001:db8::/32", "net ::/0", "net 0.0.0.0/0", "arp net 0.0.0.0/0", "net 2001:db8:50::88", "net ::1",
	"src or dst host 198.18.50.88", "src and dst net 198.18.50.0/24", "dst and src net 198.18.0.0/16", "dst or src 198.18.50.88", "src || dst port 81",
	"port 80 or 443", "tcp port 80 or 8165", "port (80 or 8165)", "port not 80", "host not 198.18.50.88", "not port 80 or 8165", "port 80 or not 8165", "port (80 or not (81 or 8165))",
	"host 198.18.50.88 and not 198.18.50.67", "host 198.18.50.88 or 198.18.160.81 or 10.1.2.3", "port 81 or (8165)", "ip host 198.18.50.88 or 198.18.160.81",
	"udp or tcp and host 198.18.60.247", "tcp or (udp and not port 53)", "not tcp and not udp", "not (tcp or udp)", "! tcp and udp or arp", "!!tcp", "not not arp",
	"portrange 80-90", "tcp portrange 8000-8200", "src portrange 81 or 443-8165", "udp portrange 0-65535", "port 0x50", "port 010", "portrange 0080-99 or 443",
	"ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "arp host 198.18.50.88", "arp src 198.18.50.88", "arp dst host 198.18.50.67", "ip6 host ::1", "host ::1", "src 2001:db8:50::88",
	"ip[9] = 6 && ip[8] > 1", "ip[0] & 0xf > 5", "ip[6:2] & 0x1fff = 0", "ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) != 0",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354", "(tcp[12] & 0xf0) >> 2 > 20", "((tcp[13])) = 2", "tcp[2:2] = 8165", "udp[0:2] < 100", "icmp[icmptype] == icmp-echo", "icmp[icmptype] != icmp-echoreply",
	"icmp6[icmp6type] = 135", "icmp6[0] >= 1", "ip6[6] = 6", "arp[6:2] = 1", "tcp[-1] = 1", "tcp[13] + - 3 = 4", "tcp[0] / ip[8] = 0", "tcp[0:2] * 2 < 1000", "tcp[13] << 31 = 0", "tcp[4:4] - 1 > 5",
	"1 = 1", "2 | 1 & 2 = 2", "8 - 2 - 1 = 5", "12 / 3 / 2 = 2", "1 + 2 * 3 = 7", "tcp[200] = 1", "not tcp[200] = 1", "tcp or tcp[200] = 1", "tcp[200] = 1 or tcp",
	"tcp[200] = udp[0]", "not udp[0] = 1", "ip[ip[0]] = 1", "tcp [ 13 ] = 2", "host 198.18.50.88&&port 8165", "(tcp or arp) and (host 198.18.50.88 or host 198.18.50.67)",
	"tcp src port 8165 or dst port 53", "tcp dst port 8165 and src 198.18.50.88", "src host 198.18.50.88 and dst host 198.18.50.67 and tcp port 8165",
}

// tcpdump returns which of some frames tcpdump takes by a filter, or why it refuses
// the filter. It does not optimize: where both answers lead to the same end it would
// not ask for a byte, and not notice that it is missing.
func tcpdump(t *testing.T, file, expression string) (taken []int, refused string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "tcpdump", "-n", "-O", "-r", file, "-w", "-", "--", expression)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && strings.Contains(stderr.String(), "expression rejects all packets"):
		return nil, ""
	case errors.As(err, &exit):
		return nil, stderr.String()
	case err != nil:
		t.Fatal(err)
	}
	r, err := pcapng.NewReader(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return taken, ""
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, int(p.Time/1e9))
	}
}

// oracle writes all frames into a file, one a second, and compares.
func oracle(t *testing.T) (compare func(expression string)) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed (Debian: apt-get install tcpdump)")
	}
	all := slices.Concat(lab, odd)
	var b bytes.Buffer
	w, err := pcapng.NewWriter(&b, pcapng.Section{})
	check(t, err)
	id, err := w.AddInterface(pcapng.Interface{Name: "0.0"})
	check(t, err)
	for i, f := range all {
		check(t, w.WritePacket(id, int64(i)*1e9, len(f.data), f.data))
	}
	check(t, w.Flush())
	file := filepath.Join(t.TempDir(), "frames.pcapng")
	check(t, os.WriteFile(file, b.Bytes(), 0o600))
	return func(expression string) {
		t.Helper()
		want, refused := tcpdump(t, file, expression)
		f, err := Parse(expression)
		if refused != "" || err != nil {
			t.Errorf("%s: refused by tcpdump: %q; here: %v", expression, refused, err)
			return
		}
		for i, x := range all {
			if got := f.Match(x.data); got != slices.Contains(want, i) {
				t.Errorf("%s: takes %s: %v, tcpdump says %v", expression, x.name, got, !got)
			}
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTcpdumpTakesTheSameFrames(t *testing.T) {
	compare := oracle(t)
	for _, x := range expressions {
		compare(x)
	}
}

func TestTcpdumpTakesTheSameFramesByFiltersThatNobodyWouldWrite(t *testing.T) {
	compare := oracle(t)
	g := &writer{rand.New(rand.NewPCG(4, 5))}
	n := 300
	if testing.Short() {
		n = 30
	}
	for range n {
		compare(g.expression(3))
	}
}

func TestTcpdumpAcceptsWhatIsAcceptedHere(t *testing.T) {
	compare := oracle(t)
	g := &writer{rand.New(rand.NewPCG(6, 7))}
	words := strings.Fields("tcp udp ip ip6 arp icmp icmp6 host net port portrange src dst and or not ( ) ! && || 80 8165 10 80-90 " +
		"198.18.50.88 198.18.0.0/15 198.18 2001:db8:50::88 [ ] : 2 & = != < - tcp-syn tcpflags tcp[13] tcp[tcpflags] and or = port 80")
	want := 200
	if testing.Short() {
		want = 20
	}
	for accepted := 0; accepted < want; {
		var soup []string
		for range 3 + g.IntN(6) {
			soup = append(soup, g.one(words...))
		}
		expression := strings.Join(soup, " ")
		if _, err := Parse(expression); err == nil {
			accepted++
			compare(expression)
		}
	}
}

// writer makes up expressions.
type writer struct{ *rand.Rand }

func (w *writer) one(all ...string) string { return all[w.IntN(len(all))] }

func (w *writer) expression(depth int) string {
	s := w.term(depth)
	for range w.IntN(3) {
		s += w.one(" and ", " or ", " && ", "||") + w.term(depth)
	}
	return s
}

func (w *writer) term(depth int) string {
	if depth > 0 && w.IntN(3) == 0 {
		return w.one("", "not ", "! ", "!") + "(" + w.expression(depth-1) + ")"
	}
	way := w.one("", "src ", "dst ", "src or dst ", "src and dst ", "dst and src ")
	four := func() string { return w.one(client, vip, snat, server1, "10.1.2.3") }
	six := func() string { return w.one("2001:db8:50::88", "2001:db8:60::67", "::1") }
	port := func() string { return w.one("80", "81", "443", "8165", "8000", "54373", "0x35") }
	condition := w.one(
		way+"host "+four(), w.one("", "ip ", "arp ")+way+"host "+four()+w.one("", " or "+four(), " and not "+four()),
		w.one("", "ip6 ")+way+"host "+six(), way+"net "+w.one("198.18.50.0/24", "198.18.48.0/20", "10", "198.18", "0.0.0.0/0", "2001:db8:50::/44", "::/1"),
		w.one("", "tcp ", "udp ")+way+"port "+port()+w.one("", " or "+port(), " or not "+port()), way+"port ("+port()+" or "+port()+")",
		w.one("", "tcp ", "udp ")+way+"portrange "+w.one("0-100", "80-443", "8000-9000", "443"),
		w.one("ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6"), w.arithmetic(1)+w.one(" = ", " != ", " < ", ">=", "<=", " > ")+w.arithmetic(2))
	return w.one("", "", "", "not ") + condition
}

func (w *writer) arithmetic(depth int) string {
	if depth > 0 && w.IntN(2) == 0 {
		left := w.one("(", "(", "-(") + w.arithmetic(depth-1)
		if w.IntN(3) == 0 { // tcpdump refuses many a divisor that is none of its business
			return left + w.one(" << ", " >> ", " / ") + w.one("1", "2", "7") + ")"
		}
		return left + w.one(" + ", " - ", " & ", " | ", " * ") + w.arithmetic(depth-1) + ")"
	}
	return w.one("tcp[13]", "tcp[tcpflags]", "ip[9]", "ip[2:2]", "tcp[0:2]", "udp[2:2]", "icmp[0]", "icmp6[0]", "ip6[6]", "arp[7]", "tcp[60]",
		"tcp[(tcp[12] >> 2):1]", "2", "6", "0x12", "tcp-syn", fmt.Sprint(w.Uint32()>>w.IntN(32)))
}
