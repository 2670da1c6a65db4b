package client

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
)

// told is what hooks were told of one connection.
type told struct{ dialing, dialed int }

func TestHooksAreToldOfEveryConnectionOnceBeforeAndOnceAfter(t *testing.T) {
	for _, row := range []struct {
		protocol    Protocol
		per         int
		connections int
		elsewhere   bool // every second request goes to another port
	}{
		{HTTP, 0, 40, false}, {HTTP, 0, 40, true}, {HTTPS, 1, 40, false}, {HTTPS, 4, 10, false}, {HTTP2, 8, 5, false},
	} {
		t.Run(fmt.Sprintf("%s, %d a connection, elsewhere %v", row.protocol, row.per, row.elsewhere), func(t *testing.T) {
			f5 := bigip.Config{}
			if row.protocol.Secure() {
				f5.VirtualServer.Profiles = http2Profiles
			}
			host, b, end := behindF5(t, f5)
			b.Requests, b.Concurrency, b.Protocol, b.PerConnection = 40, 8, row.protocol, row.per
			if row.elsewhere {
				b.Moods = []*fault.Mood{fault.NewMood(fault.Fault{Name: "x", At: "client", Do: fault.ConnectElsewhere, Port: 8166, Per: fault.PerConnection, Probability: 0.5}, 7)}
			}
			var mu sync.Mutex
			seen := map[Dial]told{}
			b.Hooks = Hooks{
				Dialing: func(d Dial) {
					mu.Lock()
					defer mu.Unlock()
					n := seen[d]
					n.dialing++
					seen[d] = n
				},
				Dialed: func(d Dial) {
					mu.Lock()
					defer mu.Unlock()
					n := seen[d]
					if n.dialing == 0 {
						t.Errorf("%+v ended before it began", d)
					}
					n.dialed++
					seen[d] = n
				},
			}
			if _, err := Run(t.Context(), host, b); err != nil {
				t.Fatal(err)
			}
			end()
			if len(seen) != row.connections {
				t.Errorf("%d connections were told of, want %d", len(seen), row.connections)
			}
			for d, n := range seen {
				server := b.Server
				if row.elsewhere && b.Moods[0].Strikes(d.Ordinal, 0) {
					server = netip.AddrPortFrom(server.Addr(), 8166)
				}
				if n != (told{1, 1}) || d.Local != netip.AddrPortFrom(b.Local, Port(d.Ordinal)) || d.Server != server {
					t.Errorf("%+v was told of %+v times", d, n)
				}
			}
		})
	}
}
