package scenarios

import (
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/firewall"
)

// refusals are what a stateful firewall drops by itself, in the analyzer's words. That
// its table is full or its rate exceeded no capture tells: SYNs go in and do not come out.
var refusals = map[string]analyzer.Cause{
	string(firewall.SYNRate):          analyzer.SYNDropped,
	string(firewall.HeldSession):      analyzer.TupleReused,
	string(firewall.TableFull):        analyzer.SYNDropped,
	string(firewall.ChallengeACK):     analyzer.TupleReused, // at the server: see truths
	string(firewall.NoSession):        analyzer.SessionExpired,
	string(firewall.NoSessionAnswers): analyzer.SessionExpired,
}

// tooLate says whether the firewall dropped a packet of a request that was over by then:
// what its two ends still tell each other does it no harm.
func tooLate(h *sim.Hit, r *client.Record) bool {
	return refusals[h.Fault] != "" && h.Time.After(r.End)
}
