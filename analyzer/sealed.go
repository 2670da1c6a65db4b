package analyzer

import (
	"context"
	"fmt"
	"slices"

	"github.com/hopblame/hopblame/internal/digits"
)

// sealedFailures are the requests that failed inside TLS while their connections went
// on: nothing shows it between client and proxy, but an attempt of the proxy for that
// client failed, and was the last one.
//
// A proxy that tries again would do so at once, and the client would not notice. Of a
// client that spoke in between and whose requests may overlap, nobody knows whether
// the next attempt is another try or another request: it depends on whether this
// proxy ever tries again, which the other failures tell.
func (a *analysis) sealedFailures(ctx context.Context, start *survey) ([]failure, error) {
	if start.log.sealed == 0 {
		return nil, nil
	}
	at := a.proxyPoint()
	a.warn("%s %s in TLS at %s and could not be read: what failed inside shows only as far as the proxy's own connections do; the keys would tell (SSLKEYLOGFILE, or tcpdump --f5 ssl on a BIG-IP)",
		digits.Group(start.log.sealed), plural(start.log.sealed, "connection is", "connections are"), start.point.Name)
	if at < 0 {
		return nil, nil
	}
	log := start.log
	if at != start.index {
		s, err := a.watch(ctx, at)
		if err != nil {
			return nil, err
		}
		log = s.log
	}
	a.tied = a.tied || log.attempts.of != nil
	var xs []*failure
	habits := map[habit]*triedHow{}
	for i := range log.failures {
		f := &log.failures[i]
		if f.attempt == nil || !f.attempt.over(a.surveys[at]) {
			continue
		}
		xs = append(xs, f)
		h := habits[habitOf(f)]
		if h == nil {
			h = &triedHow{}
			habits[habitOf(f)] = h
		}
		switch f.attempt.next {
		case nothingMore:
			h.gaveUp++
		case triedAgain, seemsAgain:
			h.again++
		}
	}
	ofFront := map[tuple][]*failure{}
	for i := range start.log.failures {
		f := &start.log.failures[i]
		ofFront[f.tuple] = append(ofFront[f.tuple], f)
	}
	var out []failure
	open := 0
	for _, f := range xs {
		h := habits[habitOf(f)]
		idle := f.attempt.asked.multiplex && !f.attempt.connected && log.attempts.pooled
		switch next := f.attempt.next; {
		case next == triedAgain:
		case next == seemsAgain || next == eitherOne && h.again > 0:
			if h.gaveUp > 0 { // else it always tries again
				open++
			}
		case idle, next == eitherOne && (h.gaveUp == 0 || log.attempts.lost > 0):
			open++
		case !a.covered(ofFront[f.attempt.front], f.attempt, at, start.index):
			out = append(out, a.inside(start, f, at))
		}
	}
	a.sealedOpen += open
	return out, nil
}

// habit is what a proxy may do in a way of its own: for a virtual server, before a
// server's connection came about and after.
type habit struct {
	server    string
	connected bool
}

func habitOf(f *failure) habit {
	return habit{f.attempt.front.server.String(), f.attempt.connected}
}

// triedHow counts failures after which a proxy did nothing, and those after which it
// surely tried again.
type triedHow struct{ gaveUp, again int }

// proxyPoint is the point that has both sides of the proxy; -1 if there is none.
func (a *analysis) proxyPoint() int {
	return slices.IndexFunc(a.surveys, func(s *survey) bool { return s.point.Side == Both })
}

// watch reads a point once more, to see what the proxy does for sealed connections.
func (a *analysis) watch(ctx context.Context, i int) (s *survey, err error) {
	err = a.read(ctx, i, &counter{phase: "survey"}, func(_ int, read reader) error {
		s = a.newSurvey(i, true)
		err := s.run(a.sources[i], read)
		s.steadyAs(a.surveys[i])
		return err
	})
	return s, err
}

// over tells whether an attempt surely came to its end while the capture ran: had the
// proxy gone on trying, it would have been seen to, or for nobody any more.
func (x *attempt) over(s *survey) bool {
	_, until := s.coverage()
	return x.alone || until-x.last >= x.patience()
}

// patience is how long after its last try an attempt may go on: by then the next one
// would have come, were the time between them doubled (RFC 6298 §5.5).
func (x *attempt) patience() int64 { return max(synPatience, 2*x.gap+disorder) }

// covered tells whether an attempt seen to fail at one point belongs to one of the
// requests that failed with the client's connection, as the start point saw: nothing was answered between the two, or the end of the one
// came with the end of the other.
func (a *analysis) covered(fs []*failure, x *attempt, at, start int) bool {
	return slices.ContainsFunc(fs, func(f *failure) bool {
		if f.knowsISN && x.asked.knowsISN && f.isn != x.asked.isn || f.inside {
			return false
		}
		if f.began != 0 && !f.doubtful && int32(x.asked.seq-f.seq) >= 0 {
			return true
		}
		off := a.cal.offset(at, start, x.last)
		return !off.bounded() || x.begun+off.lo <= f.ended && f.ended <= x.last+x.patience()+off.hi
	})
}

// inside makes a client's failure of one of the proxy's.
func (a *analysis) inside(start *survey, of *failure, at int) failure {
	x := of.attempt
	off := a.cal.offset(at, start.index, x.begun)
	f := failure{tuple: x.front, isn: x.asked.isn, knowsISN: x.asked.knowsISN, seq: x.asked.seq, reused: !x.asked.first, attempt: x, inside: true,
		outcome: of.outcome, method: of.method, target: of.target, id: of.id, began: x.begun, ended: x.last}
	if off.bounded() {
		f.began, f.ended = x.begun+off.lo, x.last+off.hi
	}
	f.start = f.began
	if c := start.conn(x.front); !f.knowsISN && c != nil && c.flags&knowsISN != 0 && f.seq-c.isn < window {
		f.isn, f.knowsISN = c.isn, true
	}
	if id, ok := start.names.find(x.front.server.Addr()); ok {
		f.server = start.servers[endpoint{id, x.front.server.Port()}]
	}
	if f.server == nil { // seen by the proxy only
		f.server = &serverSeen{}
	}
	return f
}

// attempted takes the proxy's attempt for the serverside of a request inside TLS. False
// means that it did not fail: another point saw the handshake that the proxy's capture
// missed; or that nothing of what the client said was captured to go by.
func (m *matter) attempted() bool {
	x := m.f.attempt
	v := m.a.view(m.a.cols, m.a.wanted.index[x.tuple], x.tuple, x.isn, true)
	if x.seq != 0 {
		v.narrow(x.seq)
	}
	m.pairing = pairing{views: []*flowView{v}, how: "found by F5 trailer"}
	m.settleStart()
	if x.connected || !v.established() {
		if m.speaks() {
			return true
		}
		m.a.sealedOpen++
	}
	return false
}

// lastAttempt says what would settle whether the attempt was the proxy's last one for the
// request; "" if it was. Of another, its SYN and its request would both have been missed.
func (m *matter) lastAttempt() string {
	at, x := m.a.proxyPoint(), m.f.attempt
	loss := m.a.cal.losses[at]
	if loss.missedAll(up, []int64{x.last, x.last}) <= loss.limit(up) {
		return ""
	}
	_, hi := loss.bounds()
	return fmt.Sprintf("the keys, or a capture at %s that loses less: for all that is known it may itself miss up to %.2g %% of the packets, and that the proxy tried again",
		m.a.points[at].Name, 100*hi)
}

// speaks tells whether any of the client's bytes up to the attempt were captured.
func (m *matter) speaks() bool {
	return slices.ContainsFunc(m.client.steps, func(s step) bool { return m.record(&s) != nil })
}

// settleStart finds where the request begins: of the first one of a connection at the
// connection's own first packet, else at the record that may have been the request. If
// the capture where requests are followed misses it, the next point that has it counts.
func (m *matter) settleStart() {
	v := m.client
	i := v.stepAt(m.start.index)
	if i < 0 {
		return
	}
	has := func(s step) bool { return len(s.packets) > 0 }
	if m.f.reused {
		has = func(s step) bool { return m.record(&s) != nil }
	}
	if !has(v.steps[i]) {
		first := slices.IndexFunc(v.steps, has)
		if first < 0 {
			return
		}
		m.startAt(v.steps[first].s)
		i = first
	}
	s := &v.steps[i]
	begins := m.record(s)
	if begins != nil {
		m.f.began = begins.time
	}
	if !m.f.reused {
		begins = &s.packets[0]
	}
	m.f.start, m.f.epochs[0] = begins.time, uint16(m.start.epochOf(begins.frame))
}

// startAt follows the request from another point on.
func (m *matter) startAt(s *survey) {
	x := m.f.attempt
	if off := m.a.cal.offset(m.a.proxyPoint(), s.index, x.begun); off.bounded() {
		m.f.began, m.f.ended = x.begun+off.lo, x.last+off.hi
	}
	m.start = s
}

// record is the client's record before the proxy's attempt; of those that were captured
// the last one before it, if that one was not. Nil if there is none.
func (m *matter) record(s *step) (last *sighting) {
	if of := s.of(byteKind(m.client, true, m.f.seq)); len(of) > 0 {
		return of[0]
	}
	for i := range s.packets {
		if g := &s.packets[i]; g.toServer && g.length > 0 && !g.icmp && g.flags&flagRST == 0 && int32(g.seq-m.f.seq) < 0 {
			last = g
		}
	}
	return last
}

// countInside corrects the counts of requests: one that was taken for good has failed,
// or, where several may be under way on a connection, one more was there than counted.
func (a *analysis) countInside(fs []failure) {
	r := &a.report.Requests
	for i := range fs {
		if x := fs[i].attempt; x.asked.multiplex || r.OK == 0 {
			r.Seen++
		} else {
			r.OK--
		}
	}
}

// disown remembers the serverside connections that came to nothing and belong to no
// request that is known: where nothing ties them to clients, they may be those of
// requests inside TLS.
func (a *analysis) disown(start *survey, ms []*matter, cs []*candidate) {
	if start.log.sealed == 0 || a.tied {
		return
	}
	owned := map[uint64]bool{}
	for _, m := range ms {
		for _, v := range m.pairing.views {
			owned[v.tuple.hash(v.isn)] = true
		}
		for _, c := range m.pairing.rivals {
			owned[c.tuple.hash(c.isn)] = true
		}
	}
	nobody := &matter{a: a, f: &failure{server: &serverSeen{}}, start: start, client: &flowView{a: a}}
	for _, c := range cs {
		if !owned[c.tuple.hash(c.isn)] && len(a.ownerless) < maxCandidates {
			a.ownerless = append(a.ownerless, nobody.ask(a.look(c).view))
		}
	}
}

// sealedFindings tells of attempts of which nobody knows whether a request failed with
// them, or whose.
func (a *analysis) sealedFindings() (out []Finding) {
	if n := a.sealedOpen; n > 0 {
		out = append(out, Finding{Requests: n, Evidence: []Evidence{}, What: fmt.Sprintf("%s of the proxy for clients in TLS failed, and more followed: the captures do not tell whether it tried again, or those requests failed; the keys would",
			plural(n, "one attempt", digits.Group(n)+" attempts"))})
	}
	type place struct {
		hop   string
		cause Cause
	}
	count, first := map[place]int{}, map[place]*conclusion{}
	var order []place
	for _, c := range a.ownerless {
		p := place{c.hop, c.cause}
		if count[p]++; count[p] == 1 {
			order, first[p] = append(order, p), c
		}
	}
	for _, p := range order {
		n, where := count[p], "for reasons that are not clear"
		if p.hop != "" {
			where = fmt.Sprintf("(%s, %s)", p.hop, p.cause)
		}
		f := Finding{Requests: n, Evidence: first[p].evidence, What: fmt.Sprintf("%s of the proxy came to nothing %s, and nothing tells whose they are: requests of clients in TLS may have failed with them; the keys would tell, or the trailers of a BIG-IP",
			plural(n, "one connection", digits.Group(n)+" connections"), where)}
		if f.Evidence == nil {
			f.Evidence = []Evidence{}
		}
		out = append(out, f)
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
