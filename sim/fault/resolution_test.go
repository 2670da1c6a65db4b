package fault

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestWhatWaitsForAnAnswerThatDoesNotComeIsThrownAwayAndAllOfItIsInTheLedger(t *testing.T) {
	for _, row := range []struct {
		name   string
		family topology.Family
		at     string
		match  Match
		way    Direction
	}{
		{"a server does not answer ARP", topology.IPv4, topology.Server2, WhoHas, ToServer},
		{"a server does not answer neighbour discovery", topology.IPv6, topology.Server2, WhoHas, ToServer},
		{"the question is lost", topology.IPv4, "link:switch-server2", WhoHas, ToServer},
		{"the answer is lost", topology.IPv6, "link:switch-server2", IsAt, ToClient},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var middles []string
			f := Fault{Name: "unheard", At: row.at, Direction: row.way, Match: row.match, Do: Drop, Per: PerPacket, Probability: 1, For: minFor}
			if f.IsLink() {
				middles = append(middles, row.at)
			}
			lab := labtest.Build(t, row.family, middles...)
			a := topology.StandardAddresses(row.family)
			r, err := StartResolution(lab, f, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
			r.Begin()
			resolving := func() bool {
				n, err := lab.Host(topology.Firewall).Resolving()
				if err != nil {
					t.Fatal(err)
				}
				return n > 0
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			// The first SYNs are let through until the time has begun; then all wait.
			knocked := 0
			for port := uint16(40000); !resolving(); port++ {
				knock(t, lab, netip.AddrPortFrom(a.SNAT, port), a.Server2)
				knocked++
				if !r.Pending() || ctx.Err() != nil {
					_, err := r.Report(ctx)
					t.Fatal("the firewall never asks: ", err)
				}
			}
			for port := uint16(50000); port < 50010; port++ {
				knock(t, lab, netip.AddrPortFrom(a.SNAT, port), a.Server2)
				knock(t, lab, netip.AddrPortFrom(a.SNAT, port), a.Server1) // which is not meant
			}
			for r.Pending() {
				if time.Sleep(resolutionPoll); ctx.Err() != nil {
					t.Fatal("its time is never over")
				}
			}
			knock(t, lab, netip.AddrPortFrom(a.SNAT, 60000), a.Server2) // is let through again
			if err := lab.AwaitQuiet(ctx); err != nil {
				t.Fatal(err)
			}
			report, err := r.Report(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got := sources(report)
			if got[60000] != 0 || len(got) < 10 || uint64(len(report.Entries)) != report.Counter {
				t.Errorf("the ledger is %v, the kernel counted %d", got, report.Counter)
			}
			for port := uint16(50000); port < 50010; port++ {
				if got[port] != 1 {
					t.Errorf("the SYN from port %d is there %d times", port, got[port])
				}
			}
			for _, e := range report.Entries {
				if e.Destination != a.Server2 || e.At != row.at || e.Direction != ToServer {
					t.Fatalf("the entry is %+v", e)
				}
			}
			if report.Unheard == 0 {
				t.Error("no question or answer was dropped")
			}
		})
	}
}
