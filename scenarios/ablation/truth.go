package ablation

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// Run is a recorded run: where it is and what is true of it.
type Run struct {
	Name   string
	Dir    string
	Truths []scenarios.Truth // by ordinal
	spec   topology.Spec
	member map[int]string          // ordinal to the server its last connection went to
	ends   map[netip.AddrPort][]to // client or SNAT address to the requests it was used for
}

// to is a use of an address: by a request, at a time.
type to struct {
	ordinal int
	start   time.Time
}

// OpenRun reads the truth of a run directory. Runs that failed their own checks
// are an error: nobody is judged by them.
func OpenRun(dir string) (*Run, error) {
	var result struct {
		Valid    bool     `json:"valid"`
		Because  []string `json:"invalid_because"`
		Settings struct {
			Family topology.Family `json:"family"`
		} `json:"settings"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err == nil {
		err = json.Unmarshal(b, &result)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w; give the directory of a whole run", dir, err)
	}
	if !result.Valid {
		return nil, fmt.Errorf("run %s is invalid, because %v; record another", dir, result.Because)
	}
	r := &Run{Name: filepath.Base(dir), Dir: dir, member: map[int]string{}, ends: map[netip.AddrPort][]to{}}
	if r.spec, err = topology.Standard(result.Settings.Family); err != nil {
		return nil, fmt.Errorf("run %s: %w", dir, err)
	}
	if err := eachLine(filepath.Join(dir, "truth", "requests.ndjson"), func(t scenarios.Truth) {
		r.use(t.Client, t.Ordinal, t.Start)
		r.Truths = append(r.Truths, t)
	}); err != nil {
		return nil, err
	}
	for i := range r.Truths {
		if r.Truths[i].Ordinal != i {
			return nil, fmt.Errorf("run %s: requests.ndjson line %d is request %d; the file is not whole", dir, i+1, r.Truths[i].Ordinal)
		}
	}
	all := topology.StandardAddresses(result.Settings.Family)
	return r, eachLine(filepath.Join(dir, "truth", "flows.ndjson"), func(f flow) {
		r.use(f.SNAT, f.Ordinal, f.Opened)
		r.member[f.Ordinal] = topology.Server1
		if f.Member == all.Server2 {
			r.member[f.Ordinal] = topology.Server2
		}
	})
}

// flow is what matters of a line of flows.ndjson.
type flow struct {
	Ordinal int            `json:"ordinal"`
	SNAT    netip.AddrPort `json:"snat"`
	Member  netip.AddrPort `json:"member"`
	Opened  time.Time      `json:"opened"`
}

func (r *Run) use(a netip.AddrPort, ordinal int, start time.Time) {
	r.ends[a] = append(r.ends[a], to{ordinal, start})
}

// Failed counts the requests that failed.
func (r *Run) Failed() (n int) {
	for i := range r.Truths {
		if r.Truths[i].Failed() {
			n++
		}
	}
	return n
}

// paths are the ways that a request's packets may have gone, of nodes and links.
func (r *Run) paths(ordinal int) [][]string {
	if m, ok := r.member[ordinal]; ok {
		return [][]string{r.spec.Path(topology.Client, m)}
	}
	return [][]string{r.spec.Path(topology.Client, topology.Server1), r.spec.Path(topology.Client, topology.Server2)}
}

func eachLine[T any](file string, f func(T)) error {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("truth: %w", err)
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("truth: %s line %d: %w", file, n, err)
		}
		f(v)
	}
	return lines.Err()
}
