package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// joinResets finds the request of every RST that the f5 made: by the ordinal that the
// proxy knows, else by the client's address and the time.
func (f *Facts) joinResets() {
	byClient := map[netip.AddrPort][]int{}
	for i, r := range f.Requests {
		byClient[r.Local] = append(byClient[r.Local], i)
	}
	for i := range f.Resets {
		r := &f.Resets[i]
		if r.Ordinal >= 0 {
			continue
		}
		for _, n := range byClient[r.Client] {
			// The client may hear of it a moment after it was sent.
			if q := &f.Requests[n]; !q.Start.After(r.Time) && !q.End.Before(r.Time) {
				r.Ordinal = q.Ordinal
			}
		}
	}
	slices.SortStableFunc(f.Resets, func(a, b bigip.Reset) int { return a.Time.Compare(b.Time) })
}

// checkResets compares the f5's ledger of RSTs with its capture, cause by cause, and the
// number of all RSTs with the kernel's counter.
func (f *Facts) checkResets(bad func(string, ...any)) {
	if f.rsts == nil {
		return // somebody else's proxy
	}
	made := map[bigip.Reset]int{}
	for _, r := range f.made {
		made[bigip.Reset{Serverside: r.Serverside, Cause: r.Cause, Peer: r.Peer}]++
	}
	var wrong []string
	for k := range made {
		if made[k] != f.rsts.ByCause[k] {
			wrong = append(wrong, fmt.Sprintf("the f5 says that it reset %d %s for %q, its capture shows %d", made[k], sideOf(k), k.Cause.Text, f.rsts.ByCause[k]))
		}
	}
	slices.Sort(wrong)
	for _, w := range wrong {
		bad("%s", w)
	}
	if f.rsts.Sent != f.rstsCounted {
		bad("the f5's kernel has sent %d RSTs, its capture shows %d", f.rstsCounted, f.rsts.Sent)
	}
}

func sideOf(r bigip.Reset) string {
	if r.Serverside {
		return "serverside connections"
	}
	return "clientside connections"
}

// rstsOut reads how many RSTs a node's kernel has sent.
func (r *run) rstsOut() (uint64, error) {
	counters, err := r.lab.Host(topology.F5).SNMP()
	return counters["Tcp.OutRsts"], err
}
