package ladder_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/internal/tshark"
)

func build(t *testing.T, packets []packet, q ladder.Request) *ladder.Ladder {
	t.Helper()
	points := capture(t, packets)
	r, err := analyzer.Analyze(t.Context(), points, analyzer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ladder.Build(t.Context(), points, r, q)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestOfALongTransferTheMiddleIsLeftOut: also of one that is longer than what is kept of a
// connection, and then nothing is drawn dead for that.
func TestOfALongTransferTheMiddleIsLeftOut(t *testing.T) {
	for _, n := range []int{10, 2_000, 20_000} {
		packets := transfer(n)
		l := build(t, packets, ladder.Request{Client: client})
		drawn, left := 0, 0
		for _, r := range l.Rows {
			if r.Omitted > 0 {
				left += r.Omitted
				continue
			}
			drawn++
			if r.Fate != ladder.Arrived {
				t.Errorf("%d packets: %s is drawn as fate %d, %s", n, r.What, r.Fate, r.Why)
			}
		}
		if n == 10 && (drawn != len(packets) || left != 0) || n > 10 && (drawn > 60 || left < 1000) {
			t.Errorf("%d packets: %d are drawn and %d left out", n, drawn, left)
		}
		if last := l.Rows[len(l.Rows)-1]; last.What != "RST-ACK" {
			t.Errorf("%d packets: the last row is %s", n, last.What)
		}
	}
}

// TestRetriesAreNumbered in each of the ways in which bytes are sent again.
// TestWiresharkShowsTheSamePackets has tshark as its judge.
func TestWiresharkShowsTheSamePackets(t *testing.T) {
	packets := transfer(3)
	points := capture(t, packets)
	l := build(t, packets, ladder.Request{Client: client})
	var b strings.Builder
	if err := l.Text(&b, ladder.TextOptions{Filter: true}); err != nil {
		t.Fatal(err)
	}
	const want = "(ip.addr==198.18.50.88 && tcp.port==54373 && ip.addr==198.18.160.81 && tcp.port==8000)"
	if got := l.Filter(); got != want || !strings.HasSuffix(b.String(), "\nIn Wireshark: "+want+"\n") {
		t.Fatalf("the filter is %s, and the ladder is\n%s", got, b.String())
	}
	for filter, n := range map[string]int{want: len(packets), strings.Replace(want, "54373", "54374", 1): 0} {
		found, err := tshark.Frames(t.Context(), points[0].File, filter)
		if errors.Is(err, tshark.ErrMissing) {
			t.Skip(err)
		}
		if err != nil || len(found) != n {
			t.Errorf("%s finds %d frames of %d, %v; want %d", filter, len(found), len(packets), err, n)
		}
	}
	six := ladder.Ladder{Flows: []ladder.Flow{{Conn: analyzer.Conn{Client: netip.MustParseAddrPort("[2001:db8::1]:40000"), Server: netip.MustParseAddrPort("[2001:db8::2]:80")}},
		{Conn: analyzer.Conn{Client: client, Server: server}}}}
	if got, want := six.Filter(), "(ipv6.addr==2001:db8::1 && tcp.port==40000 && ipv6.addr==2001:db8::2 && tcp.port==80) || "+want; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRetriesAreNumbered(t *testing.T) {
	packets := transfer(3)
	end := packets[len(packets)-1]
	again := packets[4] // the first ten bytes of the response
	both := again
	both.payload = "01234567890123456789" // and the next ten with them
	probe := packets[3]
	probe.Seq, probe.payload = 117, "\n" // the request's last byte, RFC 9293 §3.8.4
	ack := packets[2]
	ack.Seq, ack.Ack = 118, 1030
	packets = append(packets[:len(packets)-1], again, ack, both, ack, probe, end)
	for i := range packets {
		packets[i].at = time.Duration(i) * 300 * time.Millisecond
	}
	var got []string
	for _, r := range build(t, packets, ladder.Request{Client: client}).Rows {
		got = append(got, r.What)
	}
	want := []string{"SYN", "SYN-ACK", "ACK", "PSH-ACK 18 B, GET / HTTP/1.1",
		"ACK 10 B, try 1 of 2", "ACK", "ACK 10 B", "ACK", "ACK 10 B", "ACK",
		"ACK 10 B, try 2 of 2", "ACK", "ACK 20 B, retransmission", "ACK", "PSH-ACK 1 B, keep-alive", "RST-ACK"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestOfAKeptConnectionOneRequestIsDrawn: what went before and what came after is counted.
func TestOfAKeptConnectionOneRequestIsDrawn(t *testing.T) {
	const ask, tell = "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"
	packets := transfer(0)[:3]
	for i := range uint32(3) {
		up, down := 100+i*uint32(len(ask)), 1000+i*uint32(len(tell))
		packets = append(packets,
			packet{toServer: true, TCP: layers.TCP{ACK: true, PSH: true, Seq: up, Ack: down}, payload: ask},
			packet{TCP: layers.TCP{ACK: true, PSH: true, Seq: down, Ack: up + uint32(len(ask))}, payload: tell})
	}
	for i := range packets {
		packets[i].at = time.Duration(i) * time.Millisecond
	}
	l := build(t, packets, ladder.Request{Client: client, Server: server, Start: start.Add(packets[5].at), StartPoint: "client/eth0"})
	var got []string
	for _, r := range l.Rows {
		got = append(got, fmt.Sprintf("%v %d %s", r.At, r.Omitted, r.What))
	}
	want := []string{"-5ms 5 earlier", "0s 0 PSH-ACK 18 B, GET / HTTP/1.1", "1ms 0 PSH-ACK 27 B, HTTP/1.1 204 No Content", "2ms 2 later"}
	if !slices.Equal(got, want) || !l.Start.Equal(start.Add(packets[5].at)) {
		t.Errorf("from %v\ngot  %q\nwant %q", l.Start, got, want)
	}
}

// TestWhatARouterSaysOfASYNComesBack: the error goes the other way than what it quotes.
func TestWhatARouterSaysOfASYNComesBack(t *testing.T) {
	syn := packet{toServer: true, TCP: layers.TCP{SYN: true, Seq: 99}, only: "client"}
	syn.at, syn.Seq = 500*time.Millisecond, 70_000
	refused := syn
	refused.refused, refused.at = true, syn.at+time.Millisecond
	later := transfer(3) // by which, and the one before, the server's capture is known to listen
	for i := range later {
		later[i].at += time.Second
		later[i].Seq += 500_000
		later[i].Ack += 500_000
	}
	packets := slices.Concat(transfer(3), []packet{syn, refused}, later)
	l := build(t, packets, ladder.Request{Client: client, Server: server, Start: start.Add(syn.at), StartPoint: "client/eth0"})
	if len(l.Rows) != 2 {
		t.Fatalf("got %d rows", len(l.Rows))
	}
	for i, want := range []struct {
		what     string
		toServer bool
		fate     ladder.Fate
		born     bool
	}{{"SYN", true, ladder.Died, false}, {"ICMP Destination unreachable (Host unreachable) from 198.18.60.1", false, ladder.Arrived, true}} {
		if r := l.Rows[i]; r.What != want.what || r.ToServer != want.toServer || r.Fate != want.fate || r.Born != want.born {
			t.Errorf("got %q, to server %v, fate %d (%s), born %v; want %+v", r.What, r.ToServer, r.Fate, r.Why, r.Born, want)
		}
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	points := capture(t, transfer(3))
	r, err := analyzer.Analyze(t.Context(), points, analyzer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := *r
	other.Points = append([]analyzer.PointReport{{Name: "f5/0.0", File: "f5.pcapng"}}, r.Points...)
	broken := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(broken, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		points []analyzer.Point
		report *analyzer.Report
		q      ladder.Request
		want   string
	}{
		{"nobody's", points, r, ladder.Request{Client: netip.MustParseAddrPort("198.18.1.1:1"), Server: server}, "the captures: they hold no packet of 198.18.1.1:1 → 198.18.160.81:8000; give"},
		{"of another report", points, &other, ladder.Request{Client: client}, "f5.pcapng: the report has it for point f5/0.0, and it is not among the captures; give"},
		{"of no captures", nil, r, ladder.Request{Client: client}, "points: lists no points"},
		{"of what is no capture", []analyzer.Point{points[0], {Name: "server/eth0", Hop: "server", Face: "eth0", File: broken}}, r, ladder.Request{Client: client}, broken + ": point server/eth0: not a capture file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := ladder.Build(t.Context(), row.points, row.report, row.q)
			var in *analyzer.InputError
			if !errors.As(err, &in) || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
	if _, err := ladder.Of(&analyzer.Verdict{Request: analyzer.RequestRef{Client: "here"}}); err == nil || !strings.HasPrefix(err.Error(), `verdicts: request.client is "here"; it must be`) {
		t.Errorf("got %v", err)
	}
}

// failing is a writer whose device is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	l := build(t, transfer(3), ladder.Request{Client: client})
	if err := l.Text(failing{}, ladder.TextOptions{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("text: got %v", err)
	}
	if err := l.SVG(failing{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("SVG: got %v", err)
	}
	var empty ladder.Ladder
	if err := errors.Join(empty.Text(io.Discard, ladder.TextOptions{}), empty.SVG(io.Discard)); err != nil {
		t.Errorf("an empty ladder: %v", err)
	}
}
