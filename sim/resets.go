package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// joinFlows finds the request of every flow of which the proxy, which has not read it,
// does not know it: by the client's address and the time.
func (f *Facts) joinFlows() {
	if f.rsts == nil {
		return // somebody else's proxy tells what it knows
	}
	at := f.requestAt()
	for _, flow := range f.Flows {
		if flow.Ordinal < 0 {
			flow.Ordinal = at(flow.Client, flow.Opened)
		}
	}
}

// joinResets does the same for every RST that the f5 made. One that answers what a
// client had sent before it heard of an earlier one is no matter of the request's.
func (f *Facts) joinResets() {
	at := f.requestAt()
	slices.SortStableFunc(f.Resets, func(a, b bigip.Reset) int { return a.Time.Compare(b.Time) })
	over := map[int]bool{}
	for i := range f.Resets {
		r := &f.Resets[i]
		if r.Ordinal < 0 {
			if r.Ordinal = at(r.Client, r.Time); over[r.Ordinal] {
				r.Ordinal = -1
			}
		}
		over[r.Ordinal] = over[r.Ordinal] || !r.Serverside
	}
}

// requestAt finds the request that a client's address was used for at a time; -1 if
// there is none.
func (f *Facts) requestAt() func(client netip.AddrPort, at time.Time) int {
	byClient := f.byClient()
	return func(client netip.AddrPort, at time.Time) int {
		ordinal := -1
		for _, n := range byClient[client] {
			if q := &f.Requests[n]; !q.Start.After(at) && !q.End.Before(at) {
				ordinal = q.Ordinal
			}
		}
		return ordinal
	}
}

// byClient indexes the requests by where they came from.
func (f *Facts) byClient() map[netip.AddrPort][]int {
	all := map[netip.AddrPort][]int{}
	for i, r := range f.Requests {
		all[r.Local] = append(all[r.Local], i)
	}
	return all
}

// checkResets compares the f5's ledger of RSTs with its capture, cause by cause, and the
// number of all RSTs with the kernel's counter.
func (f *Facts) checkResets(bad func(string, ...any)) {
	if f.rsts == nil {
		return // somebody else's proxy
	}
	made := map[bigip.Reset]int{}
	for _, r := range f.rsts.Of(f.made) {
		made[r.Kind()]++
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

// rstsOut reads how many RSTs the f5's kernel has sent.
func (r *run) rstsOut() (uint64, error) {
	counters, err := r.lab.Host(topology.F5).SNMP()
	return counters["Tcp.OutRsts"], err
}
