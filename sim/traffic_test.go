package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

var (
	tlsProfiles   = []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL}
	http2Profiles = append(slices.Clone(tlsProfiles), bigip.ProfileHTTP2)
)

func TestWhatFailsIsTheSameWhateverTheClientSpeaks(t *testing.T) {
	t.Parallel()
	syns := drop("x", "firewall", fault.PerConnection, 0.1)
	plain := config(100, 16, syns)
	want, _, err := plain.Plan()
	if err != nil || len(want) == 0 {
		t.Fatalf("%d planned, %v", len(want), err)
	}
	for _, row := range []struct {
		name     string
		protocol client.Protocol
		per      int
		family   topology.Family
	}{
		{"https", client.HTTPS, 0, topology.IPv4},
		{"https, seven requests a connection, in IPv6", client.HTTPS, 7, topology.IPv6},
		{"h2", client.HTTP2, 0, topology.IPv4},
		{"h2, a hundred streams at once, in IPv6", client.HTTP2, 100, topology.IPv6},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var keys bytes.Buffer
			c := config(100, 16, syns)
			c.Family, c.Protocol, c.RequestsPerConnection, c.KeyLog, c.F5.VirtualServer.Profiles = row.family, row.protocol, row.per, &keys, http2Profiles
			f := checked(t, play(t, c))
			if got := failing(f); !slices.Equal(got, plannedOrdinals(want)) {
				t.Errorf("requests %v failed, planned were %v", got, plannedOrdinals(want))
			}
			for _, r := range f.Requests {
				if r.Outcome != client.OK && r.Outcome != client.Reset {
					t.Errorf("the record is %+v", r)
				}
			}
			if !strings.HasPrefix(keys.String(), "CLIENT_") || len(f.Flows) != c.Requests {
				t.Errorf("%d flows; the key log is %q", len(f.Flows), keys.String()[:min(keys.Len(), 100)])
			}
		})
	}
}

func TestAFaultPerTupleIsNotPredictedWhereRequestsShareAPort(t *testing.T) {
	c := config(60, 16, drop("x", "firewall", fault.PerTuple, 0.2))
	c.Protocol, c.F5.VirtualServer.Profiles = client.HTTP2, http2Profiles
	if planned, predictable, err := c.Plan(); err != nil || predictable || len(planned) > 0 {
		t.Fatalf("%d planned, predictable %v, %v", len(planned), predictable, err)
	}
	f := checked(t, play(t, c))
	if got := failing(f); len(got) == 0 || !slices.Equal(got, plannedOrdinals(f.Planned)) {
		t.Errorf("requests %v failed, %v had to", got, plannedOrdinals(f.Planned))
	}
}

func TestClientsMisdeedsAreAccountedFor(t *testing.T) {
	t.Parallel()
	impatient := bigip.Fast
	impatient.IdleTimeout, impatient.ZeroWindowTimeout = 2*time.Second, 500*time.Millisecond
	for _, protocol := range []client.Protocol{client.HTTP, client.HTTPS, client.HTTP2} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			c := config(120, 16)
			c.Protocol, c.F5.Clientside = protocol, impatient
			if protocol.Secure() {
				c.F5.VirtualServer.Profiles, c.F5.ClientSSL.HandshakeTimeout = http2Profiles, time.Second
			}
			for i, do := range fault.Behaviours(topology.Client) {
				x := act(fmt.Sprint("f", i), topology.Client, do, 0.1)
				switch do {
				case fault.Pause:
					x.After = 4 * time.Second
				case fault.GiveUp:
					continue // on what comes at once nobody gives up: see clientside_test.go
				case fault.ConnectElsewhere:
					x.Port = 8166
				}
				if client.Check(&x, protocol) == nil {
					c.Faults = append(c.Faults, x)
				}
			}
			c.Faults = append(c.Faults, drop("syn", "firewall", fault.PerConnection, 0.1), act("late", "server1", fault.Reset, 0.2))
			f := checked(t, play(t, c))
			if got := failing(f); !slices.Equal(got, plannedOrdinals(f.Planned)) {
				t.Errorf("requests %v failed, planned were %v", got, plannedOrdinals(f.Planned))
			}
			done := map[string]bool{}
			for _, h := range f.Ledger {
				done[h.Fault] = true
				if h.At == topology.Client && (h.Source != f.Requests[h.Ordinal].Local || h.Time.Before(f.Requests[h.Ordinal].Start)) {
					t.Errorf("the ledger holds %+v of %+v", h, f.Requests[h.Ordinal])
				}
			}
			if len(done) != len(c.Faults) {
				t.Errorf("the seed shows only %v", done)
			}
		})
	}
}
