package cli

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A flood of SYNs is the worst there is for an analyzer that keeps connections:
// each packet is one. What it may need is 64 MiB and twice the size of the file.
func TestAFloodOfSYNsNeedsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the race detector multiplies memory")
	}
	file := filepath.Join(t.TempDir(), "flood.pcap")
	if err := os.WriteFile(file, flood(500_000), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	c := command(t, "analyze", file)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	peak, err := peakMemory(c.Process.Pid, ended)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if peak == 0 {
		t.Fatal("the process was gone before its memory was looked at")
	}
	if allowed := int64(64<<20) + 2*st.Size(); peak > allowed {
		t.Errorf("the analysis of %d bytes took %d bytes at its peak, want at most %d", st.Size(), peak, allowed)
	}
}

// peakMemory looks at a process's own high-water mark until it ends. The one that
// wait4(2) tells has in it what the test itself had when it started the process.
func peakMemory(pid int, ended <-chan error) (bytes int64, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return bytes, err
		case <-tick.C:
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone: it has ended
		if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
			var kB int64
			if _, err := fmt.Sscan(rest, &kB); err == nil {
				bytes = max(bytes, kB<<10)
			}
		}
	}
}

// flood is a pcap file of n SYNs, each of another connection, from anywhere.
func flood(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	le, be := binary.LittleEndian, binary.BigEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0)
	for i := range n {
		b = le.AppendUint32(b, uint32(1_700_000_000+i/100_000))
		b = le.AppendUint32(b, uint32(i%100_000*10))
		b = append(b, 54, 0, 0, 0, 54, 0, 0, 0)
		b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 60, 6, 0, 0)
		b = be.AppendUint32(b, 198<<24|18<<16|r.Uint32()&0x1ffff) // 198.18.0.0/15
		b = append(b, 198, 19, 0, 1)
		b = be.AppendUint16(b, uint16(1024+r.IntN(60_000)))
		b = append(b, 0, 80)
		b = be.AppendUint32(b, r.Uint32())
		b = append(b, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0)
	}
	return b
}
