package sim

import (
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
)

// Facts are what happened in a run.
type Facts struct {
	Config   Config
	Requests []client.Record
	Flows    []*bigip.Flow  // serverside connections, in the order they were opened
	Ledger   []Hit          // every packet a fault hit, or the firewall dropped
	Resets   []bigip.Reset  // every RST the f5 made, its kernel's too
	Probes   []bigip.Probe  // every test of a pool member by the f5's monitor
	Reports  []fault.Report // of the faults, and of the firewall's refusals
	Captures []capture.Result
	Planned  []Planned
	// Predictable says that Planned was known before the run and is all there is to
	// hit: no fault is per packet, and the proxy is ours.
	Predictable bool
	Balances    []Balance
	Settings    map[string]map[string]string // sysctls by node
	Kernel      string                       // release, as uname -r says
	Timing      Timing

	problems []string // of the run itself; see Check
	segments map[string]uint64
	outdated uint64 // segments that the kernels have thrown away for their time stamp; see checkOutdated

	made        []bigip.Reset // the proxy's own, also those that were overtaken
	rsts        *bigip.RSTs   // what the capture has seen of them; nil if the proxy is not ours
	rstsCounted uint64        // what the kernel has counted
}

// Timing is how long the parts of a run took.
type Timing struct{ Build, Traffic, Teardown time.Duration }

// Hit is an entry of the ledger with the request it belongs to.
type Hit struct {
	fault.Entry
	Ordinal, Attempt int
	Flow             *bigip.Flow // nil if no flow of the proxy matches
	Monitor          bool        // it belongs to a monitor's connection; if neither, INVALID
}
