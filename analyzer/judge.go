package analyzer

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// conclusion is what a rule makes of a matter. Without a hop it is
// inconclusive, and settle says what would help.
type conclusion struct {
	cause      Cause
	hop        string
	between    []string
	direction  string
	confidence float64
	evidence   []Evidence
	eliminated []Hypothesis
	settle     string
	open       bool // it is on this side, whatever the other looks like
	// What is known when only hop or cause is: see size.
	bySize    string
	certainty float64
}

// rule recognises one cause. It returns nil when the cause does not apply;
// the first rule that concludes, even inconclusively, decides.
type rule struct {
	cause Cause
	match func(v *flowView, m *matter) *conclusion
}

// rules in the order of asking: who answered, then who should have, then what
// became of an open connection.
var rules = []rule{
	proxySays,
	corrupted,
	rewritten,
	delayed,
	portClosed,
	rejected,
	asymmetricPath,
	synAckDropped,
	neighbourUnresolved,
	tupleReused,
	noAnswer,
	synDropped,
	listenQueueFull,
	resetInjected,
	tlsFailure,
	appError,
	appReset,
	appTruncated,
	ackDropped,
	dataDropped,
	responseDropped,
	keepAliveDropped,
	zeroWindow,
	clientAbort,
	appSilent,
}

// judgeAll gives each failed request its verdict, as seen from where requests
// start.
func (a *analysis) judgeAll(ctx context.Context, starts []*survey) error {
	var all []*matter
	var cs []*conclusion
	for _, start := range starts {
		fs := a.failures(start)
		a.count(start, fs)
		a.countInside(a.hidden[start])
		fs = append(fs, a.hidden[start]...)
		matters, err := a.pair(ctx, start, fs)
		if err != nil {
			return err
		}
		concluded := make([]*conclusion, len(matters))
		for i, m := range matters {
			concluded[i] = m.conclude()
		}
		seen := seenToFail(matters)
		for i, m := range matters {
			if !m.f.hidden() || !seen[attemptOf(m, m.f.attempt.tuple)] {
				all, cs = append(all, m), append(cs, concluded[i])
			}
		}
	}
	settleSizes(cs)
	a.blameReuse(all, cs)
	for i, m := range all {
		a.report.Verdicts = append(a.report.Verdicts, m.verdict(cs[i]))
	}
	a.report.Requests.Failed = len(all)
	a.report.Findings = a.findings(all)
	return nil
}

// requestAttempt is what the proxy did for a client's connection.
type requestAttempt struct {
	front, back tuple
	isn         uint32 // of the client's connection
}

func attemptOf(m *matter, back tuple) requestAttempt {
	return requestAttempt{m.f.tuple, back, m.f.isn}
}

// seenToFail are the attempts of requests whose end was seen, at the client or by
// another point where its capture missed it. What is known of them from the proxy's
// side alone is known already.
func seenToFail(matters []*matter) map[requestAttempt]bool {
	seen := map[requestAttempt]bool{}
	for _, m := range matters {
		if !m.f.hidden() && m.view != nil && m.view != m.client {
			seen[attemptOf(m, m.view.tuple)] = true
		}
	}
	return seen
}

// failures are the failed requests of clients, in order of their start; those
// of the proxy itself, where the start point sees both its sides, are not.
func (a *analysis) failures(start *survey) []failure {
	fs := slices.DeleteFunc(slices.Concat(start.log.failures, start.log.pending), func(f failure) bool {
		return !a.ofClient(start, f.tuple) || f.refused && start.log.refused[f.key] // sent again
	})
	sortBy(fs, func(f *failure) int64 { return f.start })
	return fs
}

func (a *analysis) ofClient(start *survey, t tuple) bool {
	return start.point.Side == Clientside || start.point.Side == Serverside || a.topo.toProxy(t.server)
}

func (a *analysis) count(start *survey, fs []failure) {
	r := &a.report.Requests
	seen, ok := 0, 0
	for e, v := range start.servers {
		t := tuple{}
		t.server = addrPort(start.names.addr(e.addr), e.port)
		if a.ofClient(start, t) {
			seen += v.counts.Seen
			ok += v.counts.OK
		}
	}
	failed := 0
	for _, f := range fs {
		if !f.pending {
			failed++
		}
	}
	seen -= start.log.unjudged
	r.Seen, r.OK = r.Seen+seen, r.OK+ok
	if n := start.log.unjudged; n > 0 {
		a.warn("%d more connections at %s are nothing but SYNs without an answer, as in a flood, and are not judged", n, start.point.Name)
	}
	if open := seen - ok - failed; open > 0 {
		a.warn("%d requests had no outcome yet when the capture at %s ended", open, start.point.Name)
	}
}

func (m *matter) verdict(c *conclusion) Verdict {
	f := m.f
	v := Verdict{Outcome: m.outcome(), RST: m.rst(), Between: []string{}, Evidence: []Evidence{}, Eliminated: []Hypothesis{},
		Request: RequestRef{Client: f.client.String(), Server: f.tuple.server.String(), Start: stamp(f.start + m.start.stepOf(f.epochs[0])),
			StartPoint: m.start.point.Name, Method: f.method, Target: f.target, ID: f.id}}
	v.Cause, v.Hop, v.Direction, v.WouldSettle = c.cause, c.hop, c.direction, c.settle
	if c.hop == "" {
		v.Cause = Inconclusive
	} else {
		v.Confidence = math.Floor(min(c.confidence, almost)*1e4) / 1e4
	}
	if c.between != nil {
		v.Between = c.between
	}
	v.Evidence = append(append(append(v.Evidence, m.requestEvidence()...), c.evidence...), m.outcomeEvidence()...)
	v.Eliminated = append(v.Eliminated, c.eliminated...)
	for i := range v.Eliminated {
		if v.Eliminated[i].Evidence == nil {
			v.Eliminated[i].Evidence = []Evidence{}
		}
	}
	return v
}

// conclude finds the flow on which the request failed and asks the rules.
func (m *matter) conclude() *conclusion {
	m.view = m.client
	switch {
	case m.f.hidden():
		c := m.serverside()
		if c.hop != "" {
			if settle := m.lastAttempt(); settle != "" {
				c = &conclusion{cause: Inconclusive, settle: settle, evidence: c.evidence}
			}
		}
		return c
	case m.f.inside:
		return m.serverside()
	case m.f.stream != 0: // of its long connection only some packets were gathered
		if own := proxySays.apply(m.client, m); own != nil {
			return own
		}
		return m.serverside()
	}
	if !m.proxied || !m.client.established() && !m.passes() {
		return m.ask(m.client)
	}
	own := m.clientside()
	if own != nil && (own.hop != "" || own.open) {
		return own
	}
	c := m.serverside()
	if c.hop == "" && len(c.between) == 0 && own != nil {
		m.view = m.client
		return own
	}
	return c
}

// clientside asks the rules that can find the fault between client and proxy:
// what the proxy says of itself, and bytes or RSTs that went astray there; of a
// connection that it passes through, the handshake too.
func (m *matter) clientside() *conclusion {
	for _, r := range []rule{proxySays, corrupted, rewritten, delayed, synAckDropped, synDropped, tlsFailure, resetInjected, dataDropped, responseDropped, clientKeepAliveDropped} {
		if c := r.apply(m.client, m); c != nil {
			return c
		}
	}
	return nil
}

func (m *matter) serverside() *conclusion {
	switch p := m.pairing; {
	case p.absent:
		return m.unknown("a capture of the proxy's serverside that covers the request: its trailer names a connection of which no packet was seen")
	case len(p.views) > 0:
		m.view = p.views[0]
		c := m.ask(m.view)
		c.evidence = append(m.pairEvidence(), c.evidence...)
		return c
	case len(p.rivals) > 0:
		return m.unanimous()
	}
	settle := "a capture on the proxy with its trailers, or one that shows which serverside connection belongs to the request"
	if m.pairing.why != "" {
		settle += ": " + m.pairing.why
	}
	return m.unknown(settle)
}

// unanimous judges a request by the connections that could be its own. They
// must all have met the same fate; then it does not matter which it was.
func (m *matter) unanimous() *conclusion {
	var first conclusion
	for i, r := range m.pairing.rivals {
		if r.verdict == nil {
			r.verdict = m.ask(r.view)
		}
		if i == 0 {
			first = *r.verdict
			m.view = r.view
		}
		if r.verdict.hop != first.hop || r.verdict.cause != first.cause {
			m.view = nil
			return m.ambiguous()
		}
		first.confidence = min(first.confidence, r.verdict.confidence)
	}
	first.evidence = append(m.pairEvidence(), first.evidence...)
	return &first
}

// pairEvidence cites what ties the request to its serverside connection.
func (m *matter) pairEvidence() []Evidence {
	v := m.view
	flow := fmt.Sprintf("%s → %s", v.client, v.server)
	if m.f.hidden() {
		for i := range v.steps {
			for j := range v.steps[i].request {
				if g := &v.steps[i].request[j]; g.note != nil && g.note.hasPeer && g.note.peer == m.f.tuple {
					return []Evidence{v.frame(i, g, "the trailer names the client of the serverside connection "+flow)}
				}
			}
		}
	}
	for i := range m.client.steps {
		for j := range m.client.steps[i].packets {
			g := &m.client.steps[i].packets[j]
			if g.note != nil && g.note.hasPeer && g.note.serverside() == v.tuple {
				return []Evidence{m.client.frame(i, g, "the trailer names the serverside connection "+flow)}
			}
		}
	}
	if i, g := v.origin(synKind(v)); i >= 0 {
		return []Evidence{v.frame(i, g[0], "the serverside connection "+flow+", "+m.pairing.how)}
	}
	return nil
}

func (m *matter) ask(v *flowView) *conclusion {
	if len(v.steps) == 0 {
		return m.unknown("a capture at any point of " + v.client.String() + " → " + v.server.String())
	}
	for _, r := range rules {
		if c := r.apply(v, m); c != nil {
			return c
		}
	}
	return m.unknown("captures nearer to the server: those there are show nothing that explains the fate of " + v.client.String() + " → " + v.server.String())
}

// apply asks a rule; what it concludes without naming a hop is inconclusive.
func (r rule) apply(v *flowView, m *matter) *conclusion {
	c := r.match(v, m)
	if c == nil {
		return nil
	}
	if c.cause == "" {
		c.cause = r.cause
	}
	if c.hop == "" {
		c.cause, c.confidence = Inconclusive, 0
	}
	return c
}

func (m *matter) unknown(settle string) *conclusion {
	return &conclusion{cause: Inconclusive, settle: settle}
}

// ambiguous names the candidates that time does not tell apart.
func (m *matter) ambiguous() *conclusion {
	c := m.unknown("")
	for n, r := range m.pairing.rivals {
		v := r.view
		if i, g := v.furthest(synKind(v)); i >= 0 && n < 8 {
			c.evidence = append(c.evidence, v.frame(i, g[0], fmt.Sprintf("candidate: the SYN of %s → %s", v.client, v.server)))
		}
	}
	c.settle = fmt.Sprintf("a capture on the proxy with its trailers: %d unanswered serverside connections fit this request, and they did not fail at the same place", len(m.pairing.rivals))
	return c
}
