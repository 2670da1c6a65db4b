package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// A server that may never read takes its connections in another way than others do, and
// has to end them as they do.
func TestAServerThatAtTimesNeverReadsHasItsOtherMoodsToo(t *testing.T) {
	t.Parallel()
	moods := []struct {
		do      fault.Do
		outcome client.Outcome
	}{{fault.Reset, client.Reset}, {fault.Die, client.Reset}, {fault.CutResponse, client.Truncated}, {fault.StaySilent, client.Timeout}, {fault.AnswerError, client.Error}}
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			var faults []fault.Fault
			want := map[string]client.Outcome{"never": client.Reset}
			for i, m := range moods {
				name := fmt.Sprint("mood", i)
				faults, want[name] = append(faults, act(name, "server2", m.do, 0.2)), m.outcome
			}
			faults = append(faults, act("never", "server2", fault.NeverRead, 0.5))
			c := config(200, 16, faults...)
			c.Family, c.LargeRequests, c.Timeout = family, 0.3, 3*time.Second
			c.F5.Serverside.ZeroWindowTimeout = time.Second
			f := checked(t, play(t, c))
			struck := map[string]int{}
			for _, h := range f.Ledger {
				struck[h.Fault]++
				if got := f.Requests[h.Ordinal].Outcome; got != want[h.Fault] {
					t.Errorf("request %d, at which %s struck: %s, want %s", h.Ordinal, h.Fault, got, want[h.Fault])
				}
			}
			for name := range want {
				if struck[name] == 0 {
					t.Errorf("%s never struck: the seed shows nothing", name)
				}
			}
		})
	}
}
