package client

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// behindF5 builds a lab with our own f5 and one server behind it, and returns a batch of
// one request for it. What the f5 did is known once it has ended.
func behindF5(t *testing.T, f5 bigip.Config) (host *topology.Host, b Batch, end func() (flows []*bigip.Flow, resets []bigip.Reset)) {
	t.Helper()
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	server, err := backend.Start(t.Context(), lab.Host(topology.Server1), a.Server1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	f5.VirtualServer.Name, f5.VirtualServer.Destination, f5.SNAT.SelfIP = "/Common/vs", a.VIP, a.SNAT
	f5.Pool.Members = []bigip.Member{{Name: topology.Server1, Address: a.Server1}}
	proxy, err := bigip.Start(lab.Host(topology.F5), f5, bigip.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() ([]*bigip.Flow, []bigip.Reset) {
		if ended {
			return nil, nil
		}
		ended = true
		flows, err := proxy.Close()
		if err != nil {
			t.Error(err)
		}
		return flows, proxy.Resets()
	}
	t.Cleanup(func() { end() })
	return lab.Host(topology.Client), Batch{Server: a.VIP, Local: a.Client, Requests: 1, Concurrency: 1, Timeout: patience}, end
}

var (
	httpsProfiles = []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL}
	http2Profiles = append(slices.Clone(httpsProfiles), bigip.ProfileHTTP2)
)

func TestRequestsInARowShareAConnectionFromThePortOfTheFirst(t *testing.T) {
	for _, row := range []struct {
		protocol    Protocol
		per         int
		concurrency int
	}{
		{HTTPS, 0, 1}, {HTTPS, 1, 16}, {HTTPS, 4, 1}, {HTTPS, 4, 16}, {HTTPS, 100, 3},
		{HTTP2, 0, 1}, {HTTP2, 1, 16}, {HTTP2, 0, 3}, {HTTP2, 8, 64}, {HTTP2, 100, 256},
	} {
		t.Run(fmt.Sprintf("%s, %d a connection, %d at once", row.protocol, row.per, row.concurrency), func(t *testing.T) {
			host, b, end := behindF5(t, bigip.Config{VirtualServer: bigip.VirtualServer{Profiles: http2Profiles}})
			b.Protocol, b.PerConnection, b.Concurrency, b.Requests = row.protocol, row.per, row.concurrency, 203
			last := 0
			b.Progress = func(done, failed int) {
				if last++; done != last || failed != 0 {
					t.Errorf("progress %d, %d failed", done, failed)
				}
			}
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			per := row.per
			if per == 0 {
				per = map[Protocol]int{HTTPS: 1, HTTP2: 8}[row.protocol]
			}
			want := map[netip.AddrPort]int{}
			for i, r := range records {
				local := netip.AddrPortFrom(b.Local, Port(i/per*per))
				want[local]++
				if r.Ordinal != i || r.Outcome != OK || r.Status != 200 || r.Local != local || r.End.Before(r.Start) {
					t.Errorf("the record is %+v, want it from %v", r, local)
				}
			}
			got := map[netip.AddrPort]int{}
			flows, resets := end()
			for _, f := range flows {
				got[f.Client]++
			}
			if !maps.Equal(got, want) || len(resets) > 0 || last != b.Requests {
				t.Errorf("the f5 had %d connections with %d requests and made %d RSTs, want %d with %d; %d reports", len(got), len(flows), len(resets), len(want), len(records), last)
			}
		})
	}
}
