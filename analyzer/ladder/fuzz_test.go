package ladder_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
)

// FuzzConnOf finds in a filter what was written into it, whatever stands around it.
func FuzzConnOf(f *testing.F) {
	f.Add("", " && tcp.flags.syn==1", []byte{198, 18, 50, 88}, uint16(54373))
	f.Add("ip.src==198.18.50.88 && tcp.srcport==7 && ", "", []byte{32, 1, 13, 184, 15: 1}, uint16(1))
	f.Fuzz(func(t *testing.T, before, behind string, addr []byte, port uint16) {
		if c, ok := ladder.ConnOf(before + behind); ok && (c.Client.Port() == 0 || !c.Server.IsValid()) {
			t.Fatalf("half a connection: %v", c)
		}
		a, ok := netip.AddrFromSlice(addr)
		if !ok || port == 0 || a.Is4In6() {
			return
		}
		ip := "ip"
		if a.Is6() {
			ip = "ipv6"
		}
		want := analyzer.Conn{Client: netip.AddrPortFrom(a, port), Server: netip.AddrPortFrom(a.Next(), 80)}
		if !want.Server.IsValid() {
			return
		}
		filter := fmt.Sprintf("%[1]s.src==%[2]s && tcp.srcport==%[3]d && %[1]s.dst==%[4]s && tcp.dstport==80", ip, a, port, a.Next())
		if c, ok := ladder.ConnOf(filter); !ok || c != want {
			t.Fatalf("%s: got %v, %v", filter, c, ok)
		}
		ladder.ConnOf(before + filter + behind)
	})
}

// FuzzLadder draws all that fails in whatever a file holds. It never crashes, and what it
// draws is what is in the capture.
func FuzzLadder(f *testing.F) {
	f.Add(frames(f, "client", transfer(5)), uint16(0), byte(0))
	f.Add(frames(f, "server", transfer(60)), uint16(400), byte(0x16))
	f.Fuzz(func(t *testing.T, file []byte, at uint16, b byte) {
		if len(file) > 1<<16 {
			return
		}
		if file = bytes.Clone(file); len(file) > 0 {
			file[int(at)%len(file)] = b
		}
		name := filepath.Join(t.TempDir(), "x.pcapng")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		points := []analyzer.Point{{Name: "client/eth0", Hop: "client", Face: "eth0", File: name}}
		r, err := analyzer.Analyze(t.Context(), points, analyzer.Options{})
		if err != nil {
			return
		}
		requests := []ladder.Request{{Client: client}}
		for i := range min(3, len(r.Verdicts)) {
			q, err := ladder.Of(&r.Verdicts[i])
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, q)
		}
		for i, q := range requests {
			l, err := ladder.Build(t.Context(), points, r, q)
			if err != nil {
				if i > 0 {
					t.Fatalf("a verdict of which there is no packet: %v", err)
				}
				continue
			}
			for _, row := range l.Rows {
				for _, s := range row.Seen {
					if s.Frame == 0 || s.Frame > r.Points[0].Packets+1 || s.Column != 0 {
						t.Fatalf("frame %d of %d at column %d", s.Frame, r.Points[0].Packets, s.Column)
					}
				}
			}
			if err := l.Text(io.Discard, ladder.TextOptions{Width: 40, Color: true}); err != nil {
				t.Fatal(err)
			}
			if err := l.SVG(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}
