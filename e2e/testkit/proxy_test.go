package testkit

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hopblame/hopblame/sim/bigip"
)

func TestReadFlows(t *testing.T) {
	const log = `[NOTICE]   (5) : New worker (7) forked
{"id":"18","client":"198.18.50.88","client_port":40001,"source":"198.18.60.247","source_port":50001,"server":"198.18.160.82","server_port":8000,"accepted_ms":1764198000500,"connect_ms":-1,"total_ms":400,"retries":"+2"}

{"id":"17","client":"2001:db8:50::88","client_port":40000,"source":"2001:db8:60::247","source_port":50000,"server":"2001:db8:160::81","server_port":8000,"accepted_ms":1764198000123,"connect_ms":3,"total_ms":5,"retries":"0"}
[WARNING]  (7) : Proxy batch stopped
`
	got, err := ReadFlows(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1764198000123)
	later := time.UnixMilli(1764198000500)
	want := []*bigip.Flow{
		{Dial: bigip.Dial{Ordinal: 17, SNAT: netip.MustParseAddrPort("[2001:db8:60::247]:50000"), Member: netip.MustParseAddrPort("[2001:db8:160::81]:8000")},
			Client: netip.MustParseAddrPort("[2001:db8:50::88]:40000"), Opened: at, Connected: at.Add(3 * time.Millisecond), Closed: at.Add(5 * time.Millisecond)},
		{Dial: bigip.Dial{Ordinal: 18, Attempt: 2, SNAT: netip.MustParseAddrPort("198.18.60.247:50001"), Member: netip.MustParseAddrPort("198.18.160.82:8000")},
			Client: netip.MustParseAddrPort("198.18.50.88:40001"), Opened: later, Closed: later.Add(400 * time.Millisecond)},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}

func TestALineThatIsNoFlowIsAnErrorThatShowsIt(t *testing.T) {
	whole := `{"id":"17","client":"198.18.50.88","client_port":1,"source":"198.18.60.247","source_port":2,"server":"198.18.160.82","server_port":3,"accepted_ms":4,"connect_ms":5,"total_ms":6,"retries":"0"}`
	for name, change := range map[string][2]string{
		"no X-Request-ID":          {`"id":"17"`, `"id":""`},
		"a name for an address":    {`198.18.50.88`, `client`},
		"a time that was not told": {`"accepted_ms":4`, `"accepted_ms":"-"`},
		"a member that is missing": {`,"total_ms":6`, ``},
		"a line that was cut":      {`"}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.Replace(whole, change[0], change[1], 1)
			flows, err := ReadFlows(strings.NewReader(line + "\n"))
			if err == nil || !strings.Contains(err.Error(), line) {
				t.Errorf("got %v, %v, want an error with the line", flows, err)
			}
		})
	}
}
