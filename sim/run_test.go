package sim_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) { topology.Main(m) }

func TestDbg(t *testing.T) {
	dir := os.Getenv("DBGDIR")
	n, _ := strconv.Atoi(os.Getenv("DBGN"))
	if n == 0 {
		n = 2000
	}
	c, _ := strconv.Atoi(os.Getenv("DBGC"))
	if c == 0 {
		c = 256
	}
	cfg := sim.Config{Requests: n, Concurrency: c, Seed: 7, Serverside: bigip.Fast,
		Faults: []fault.Fault{{Name: "syn-drop", At: "firewall", Direction: "to-server", Match: "syn", Do: "drop", Per: "connection", Probability: 0.0065}},
		Create: func(p *capture.Point) (io.WriteCloser, error) {
			return os.Create(filepath.Join(dir, p.Hop+"-"+p.Face+".pcapng"))
		},
	}
	if os.Getenv("DBGSLOW") != "" {
		cfg.Serverside = bigip.Incident
	}
	f, err := sim.Run(t.Context(), cfg)
	var u *topology.UnsupportedError
	if errors.As(err, &u) {
		t.Skip(u)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("planned", len(f.Planned), "ledger", len(f.Ledger), f.Timing, time.Now())
	out := map[string]int{}
	for _, r := range f.Requests {
		out[string(r.Outcome)]++
	}
	fmt.Println(out)
	for _, b := range f.Balances {
		fmt.Println(b)
	}
	for _, c := range f.Captures {
		fmt.Println(c.Point.Name(), c.Packets, c.Dropped, c.Counts)
	}
	for _, p := range f.Check() {
		fmt.Println("INVALID:", p)
	}
}
