package train

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hopblame/hopblame/analyzer/ladder"
	"github.com/hopblame/hopblame/internal/tshark"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// TestEveryFrameThatProvesItIsRight asks tshark which frames those are.
func TestEveryFrameThatProvesItIsRight(t *testing.T) {
	labtest.Build(t, topology.IPv4) // which skips where there can be no labs
	for _, row := range []struct {
		name, scenario string
		filter         string // beside the connection, in the decisive frame's file
		arp            bool   // there is no connection; the last one is answered in the end
		least          int
	}{
		{"each SYN, and each SYN-ACK that is lost behind it", "link-drops-syn-ack", "tcp.flags.syn == 1", false, 4},
		{"each time the question comes in vain", "server-ignores-arp", "arp.opcode == 1", true, 2},
		{"each ACK and all data that the server never took", "server-listen-queue-full", "tcp.flags.syn == 0 && tcp.dstport == 8000", false, 3},
		{"each time the client says that its window is shut", "f5-zero-window", "tcp.window_size_value == 0 && tcp.flags.reset == 0 && tcp.dstport == 8165", false, 2},
		{"each retransmission of what the firewall rewrites", "server-drops-by-paws", "tcp.len > 0 && tcp.dstport == 8000", false, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // they wait for timers
			e, err := Start(t.Context(), Options{Scenario: find(t, row.scenario), Dir: filepath.Join(t.TempDir(), "exercise"), Requests: 800, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			proofs, filter := e.solution.Proof, row.filter
			if !row.arp {
				c, ok := ladder.ConnOf(proofs.Filter)
				if !ok {
					t.Fatalf("the decisive frame is of no connection: %+v", proofs)
				}
				filter = fmt.Sprintf("tcp.port == %d && tcp.port == %d && (%s)", c.Client.Port(), c.Server.Port(), row.filter)
			}
			file := base(proofs.File)
			frames, err := tshark.Frames(t.Context(), e.file("captures/"+file), filter)
			if row.arp && len(frames) > 0 {
				frames = frames[:len(frames)-1]
			}
			if err != nil || len(frames) < row.least {
				t.Fatalf("tshark finds %d frames by %s, want %d at least; %v", len(frames), filter, row.least, err)
			}
			for _, n := range frames {
				if is := e.solution.roleOf(file, n); is != proof {
					t.Errorf("%s:%d: role %d", file, n, is)
				}
			}
			for _, file := range e.Files {
				all, err := tshark.Frames(t.Context(), e.file("captures/"+file), "frame")
				if got := len(e.solution.Background[file]); err != nil || got != len(all) {
					t.Errorf("%s: %d frames, tshark counts %d; %v", file, got, len(all), err)
				}
			}
		})
	}
}
