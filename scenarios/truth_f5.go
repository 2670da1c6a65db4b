package scenarios

import (
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// configured is the name that a truth gives to what the f5 does because it is told to:
// its configuration is no fault of a scenario's list.
const configured = "f5-configuration"

// own are the causes of RSTs that lie with the f5 itself, or with the end it names.
// What it only passes on, such as a server's RST, is not here: the fault that brought
// it about is the truth.
var own = map[string]Pair{
	bigip.NoLocalListener.Text:     {topology.F5, analyzer.NoListener},
	bigip.VIPDown.Text:             {topology.F5, analyzer.NoPoolMember},
	bigip.NoFlowForACK.Text:        {topology.F5, analyzer.SessionExpired},
	bigip.PolicyAction.Text:        {topology.F5, analyzer.Rejected},
	bigip.IRuleReject.Text:         {topology.F5, analyzer.Rejected},
	bigip.LimitExceeded.Text:       {topology.F5, analyzer.ConnectionLimit},
	bigip.NoPoolMember.Text:        {topology.F5, analyzer.NoPoolMember},
	bigip.NoServerSelected.Text:    {topology.F5, analyzer.NoPoolMember},
	bigip.NoRoute.Text:             {topology.F5, analyzer.NoRoute},
	bigip.NoLocalPort.Text:         {topology.F5, analyzer.SNATExhausted},
	bigip.NoSNATAddress.Text:       {topology.F5, analyzer.SNATExhausted},
	bigip.FlowExpired.Text:         {topology.F5, analyzer.IdleTimeout},
	bigip.HandshakeExpired.Text:    {topology.F5, analyzer.IdleTimeout},
	bigip.ZeroWindow.Text:          {topology.Client, analyzer.ZeroWindow},
	bigip.HTTPInternal.Text:        {topology.F5, analyzer.ProtocolViolation},
	bigip.NoSharedCiphers.Text:     {topology.F5, analyzer.TLSFailure},
	bigip.BadSSLRecord.Text:        {topology.F5, analyzer.TLSFailure},
	bigip.SSLHandshakeExpired.Text: {topology.F5, analyzer.TLSFailure},
}

// ownPair returns the answer that a RST of the f5's own making stands for; false if it
// only passes on what befell the other side.
func ownPair(r *bigip.Reset) (Pair, bool) {
	if r.Peer || r.Serverside {
		return Pair{}, false
	}
	if r.Cause.IsHTTPLimit() {
		return Pair{topology.F5, analyzer.ProtocolViolation}, true
	}
	p, ok := own[r.Cause.Text]
	return p, ok
}

// waits are the causes of RSTs that end a wait.
var waits = map[string]bool{
	bigip.FlowExpired.Text:         true,
	bigip.HandshakeExpired.Text:    true,
	bigip.SSLHandshakeExpired.Text: true,
	bigip.NoFlowForACK.Text:        true,
}

// lostClientside says whether a fault between client and f5 took what the f5 waited for,
// or what it had sent.
func (t *Truth) lostClientside() bool {
	return slices.ContainsFunc(t.Faults, func(h TruthHit) bool { return h.At == fault.ClientLink })
}

// addOwn adds what the f5 did by itself to the truth of the requests it met.
func addOwn(out []Truth, facts *sim.Facts) {
	for i := range facts.Resets {
		r := &facts.Resets[i]
		p, ok := ownPair(r)
		if !ok || r.Ordinal < 0 || r.Ordinal >= len(out) {
			continue
		}
		t := &out[r.Ordinal]
		if waits[r.Cause.Text] && t.lostClientside() {
			continue // it waited for what could not come
		}
		t.Faults = append(t.Faults, TruthHit{TruthFault{configured, p.Hop, p.Cause}, 0, 1})
	}
}
