package analyzer

import (
	"context"
	"slices"
)

// pairing is how the serverside half of a failed request was found.
type pairing struct {
	views  []*flowView  // the flow, or
	rivals []*candidate // connections that fit in time
	how    string       // for people
	absent bool         // a trailer names a flow of which no packet was seen
	why    string       // nothing was found: what would have to be there
}

// matter is one failed request before the judge.
type matter struct {
	a       *analysis
	f       *failure
	start   *survey // the point where it begins
	follows *survey // the one where the client's requests are followed; it may miss this one
	client  *flowView
	proxied bool
	pairing pairing
	view    *flowView // what the rules look at: the flow on which it failed
}

// named is a serverside connection that a trailer or the request's own message
// ties to a failed request.
type named struct {
	tuple
	how string
	seq uint32 // of the request's first byte there; 0: unknown
	// at and time are where and when the request was seen there; at is -1 if a
	// trailer names the connection.
	at   int
	time int64
}

// pair collects the flows of all failures and ties the two sides together.
func (a *analysis) pair(ctx context.Context, start *survey, fs []failure) ([]*matter, error) {
	w := newWanted()
	keys, lonely := map[uint64]bool{}, start.log.sealed > 0 && !a.tied
	notes := a.notesByClient()
	for i := range fs {
		f := &fs[i]
		switch {
		case f.hidden():
			w.watch(f.tuple, true, f.seq)
			w.watch(f.tuple, true, f.seq-1) // what goes before shows TLS too
			w.watch(f.tuple, true, f.isn+1)
			w.add(f.attempt.tuple)
			continue
		case f.stream != 0:
			w.watch(f.tuple, true, f.seq)
			w.watch(f.tuple, f.endToServer, f.endSeq)
		default:
			w.add(f.tuple)
		}
		for _, t := range notes[f.tuple] {
			w.add(t)
		}
		if len(notes[f.tuple]) == 0 || f.stream != 0 {
			lonely = true
			if f.key != 0 {
				keys[f.key] = true
			}
		}
	}
	candidates := a.candidates()
	if lonely {
		for _, c := range candidates {
			w.add(c.tuple)
		}
	}
	for _, s := range a.surveys {
		if s.slowSYNs > 0 {
			w.add(s.slowExample)
		}
	}
	isns := map[uint32]bool{}
	for i := range fs {
		isns[fs[i].isn] = true
	}
	for _, c := range candidates {
		isns[c.isn] = true
	}
	a.wanted = w
	cols, err := a.collect(ctx, w.tuples, keys, isns)
	if err != nil {
		return nil, err
	}
	for i := range fs {
		if f := &fs[i]; !f.knowsISN && !f.hidden() {
			f.isn, f.knowsISN = a.onlyISN(cols, start, f)
		}
	}
	before := len(w.tuples)
	for i := range fs { // what only the second pass could find
		if fs[i].hidden() {
			continue
		}
		for _, n := range a.named(cols, w, &fs[i], notes) {
			w.add(n.tuple)
		}
	}
	for _, c := range cols {
		for _, ts := range c.byISN {
			for _, t := range ts {
				w.add(t)
			}
		}
	}
	if len(w.tuples) > before {
		if cols, err = a.collect(ctx, w.tuples, keys, isns); err != nil {
			return nil, err
		}
	}
	a.cols = cols
	group := a.group(start)
	var out []*matter
	for i := range fs {
		f := &fs[i]
		m := &matter{a: a, f: f, start: start, follows: start}
		m.client = a.view(cols, w.index[f.tuple], f.tuple, f.isn, f.knowsISN)
		m.client.within(group)
		if f.reused || !f.knowsISN && f.began != 0 {
			m.client.narrow(f.seq)
			m.settleBegin()
		}
		if f.pending && !m.ending() {
			continue
		}
		if f.hidden() && !m.attempted() {
			a.report.Requests.OK++
			continue
		}
		if m.acquitted() {
			a.report.Requests.OK++
			continue
		}
		m.proxied = a.proxied(cols, w.index[f.tuple], group)
		out = append(out, m)
	}
	a.pairSides(out, notes, candidates)
	out = slices.DeleteFunc(out, func(m *matter) bool {
		if !m.f.doubtful || m.corroborated() {
			return false
		}
		a.report.Requests.OK++
		return true
	})
	a.disown(start, out, candidates)
	sortBy(out, func(m **matter) int64 { return (*m).f.start })
	return out, nil
}

// settleBegin corrects when a request began whose first byte came behind others that were
// never captured: it was put down only when these were acknowledged.
func (m *matter) settleBegin() {
	i := m.client.stepAt(m.start.index)
	if i < 0 || m.f.hidden() || m.f.start != m.f.began {
		return
	}
	if seen := m.client.steps[i].of(byteKind(m.client, true, m.f.seq)); len(seen) > 0 && seen[0].time < m.f.began {
		m.f.start, m.f.began, m.f.epochs[0] = seen[0].time, seen[0].time, uint16(m.start.epochOf(seen[0].frame))
	}
}

// onlyISN is the initial sequence number of a client's connection whose beginning the
// capture where requests are followed has missed: the one that other points have of its
// tuple from before the request, if they all have the same. Has that capture the SYN, behind
// the connection's first packets, they are copies, and what it begins with is not told.
func (a *analysis) onlyISN(cols []*collection, start *survey, f *failure) (isn uint32, ok bool) {
	on := a.topo.path(f.tuple)
	for _, i := range on {
		off := a.cal.offset(start.index, i, f.start)
		if !off.bounded() || a.cal.translated(on, i, f.tuple.server) != nil {
			continue
		}
		seen := cols[i].seen[a.wanted.index[f.tuple]]
		for j := range seen {
			g := &seen[j]
			n, begins := g.begins()
			switch {
			case !begins:
			case i == start.index:
				if f.seq-n < window {
					return 0, false
				}
			case g.time > f.start+off.hi: // a later connection's
			case ok && n != isn:
				return 0, false
			default:
				isn, ok = n, true
			}
		}
	}
	return isn, ok && (f.began == 0 || f.seq-isn < window)
}

// wanted numbers the tuples that the second pass gathers.
type wanted struct {
	tuples []tuple
	index  map[tuple]int
	only   map[int]*bytesWanted // of a tuple's packets those with some bytes, and those that begin or end it; nil: all
}

// bytesWanted are sequence numbers of bytes, by direction.
type bytesWanted [2][]uint32

func newWanted() *wanted { return &wanted{index: map[tuple]int{}, only: map[int]*bytesWanted{}} }

func (w *wanted) add(t tuple) {
	if i, ok := w.number(t); ok {
		delete(w.only, i)
	}
}

// watch wants a byte of a connection that may be long, and carry much else.
func (w *wanted) watch(t tuple, toServer bool, seq uint32) {
	n := len(w.tuples)
	i, ok := w.number(t)
	if ok && i == n {
		w.only[i] = &bytesWanted{}
	}
	if only := w.only[i]; ok && only != nil {
		only[wayOf(toServer)] = append(only[wayOf(toServer)], seq)
	}
}

func (w *wanted) number(t tuple) (i int, ok bool) {
	if i, ok = w.index[t]; ok || !t.client.IsValid() || !t.server.IsValid() {
		return i, ok
	}
	i = len(w.tuples)
	w.index[t] = i
	w.tuples = append(w.tuples, t)
	return i, true
}

// notesByClient lists, for each clientside tuple, the serverside tuples that
// trailers of RSTs name; either side's RST may tell.
func (a *analysis) notesByClient() map[tuple][]tuple {
	out := map[tuple][]tuple{}
	add := func(k, t tuple) {
		if !slices.Contains(out[k], t) {
			out[k] = append(out[k], t)
		}
	}
	for _, s := range a.surveys {
		for _, r := range s.resets {
			add(r.tuple, r.note.serverside()) // read as a clientside frame's
			add(r.note.peer, r.tuple)         // and as a serverside one's
		}
	}
	return out
}

// named returns the connections that trailers and the request's message tie to a
// failure, the strongest tie first. A proxy that tries again has several.
func (a *analysis) named(cols []*collection, w *wanted, f *failure, notes map[tuple][]tuple) (out []named) {
	add := func(n named) {
		if !slices.ContainsFunc(out, func(o named) bool { return o.tuple == n.tuple }) {
			out = append(out, n)
		}
	}
	if f.stream != 0 { // the client's connection has many on the other side
		for _, n := range a.byMessage(cols, f) {
			add(n)
		}
		return out
	}
	v := a.view(cols, w.index[f.tuple], f.tuple, f.isn, f.knowsISN)
	for _, s := range v.steps {
		for i := range s.packets {
			if n := s.packets[i].note; n != nil && n.hasPeer {
				add(named{tuple: n.serverside(), how: "found by F5 trailer", at: -1})
			}
		}
	}
	// The RST's note in the survey knows no ISN; its time must fit, which during sees to.
	for _, t := range notes[f.tuple] {
		add(named{tuple: t, how: "found by F5 trailer", at: -1})
	}
	for _, n := range a.byMessage(cols, f) {
		add(n)
	}
	return out
}

// maxSends is how often a proxy may send one request to servers, trying again and
// again; a message that is there more often is nobody's own.
const maxSends = 4

// byMessage finds a request on the serverside by its own message, if no other
// request of a client has the same.
func (a *analysis) byMessage(cols []*collection, f *failure) (out []named) {
	if f.key == 0 {
		return nil
	}
	for i, c := range cols {
		front, back := 0, 0
		for _, h := range c.hits[f.key] {
			if a.surveys[i].point.Side == Clientside || a.topo.toProxy(h.server) {
				front++
				continue
			}
			back++
			out = append(out, named{tuple: h.tuple, how: "found by the request's own message", seq: h.seq, at: i, time: h.time})
		}
		if front > 1 || back > maxSends {
			return nil
		}
	}
	return out
}

// proxied tells whether the client talks to a full proxy: a point that sees
// both sides, or a server address that never appears further on. Only points of the
// client's own group tell.
func (a *analysis) proxied(cols []*collection, tuple int, group []int) bool {
	seenBeyond, both, clientside, serverside := false, false, false, false
	for i, s := range a.surveys {
		if group != nil && !slices.Contains(group, i) {
			continue
		}
		if s.point.Side == Both {
			both = true
			continue
		}
		clientside = clientside || s.point.Side == Clientside
		serverside = serverside || s.point.Side == Serverside
		seenBeyond = seenBeyond || s.point.Side == Serverside &&
			slices.ContainsFunc(cols[i].seen[tuple], func(p sighting) bool { return !p.icmp })
	}
	return (both || clientside && serverside) && !seenBeyond
}

// pairSides finds the serverside half of each failed request: by trailer, by the
// request's own message, else by elimination in time.
func (a *analysis) pairSides(ms []*matter, notes map[tuple][]tuple, cs []*candidate) {
	var open []*matter
	for _, m := range ms {
		if m.f.hidden() || !m.proxied || !m.client.established() {
			continue
		}
		ties := a.named(a.cols, a.wanted, m.f, notes)
		m.pairing = a.byName(m, ties)
		if len(m.pairing.views) == 0 && !m.pairing.absent {
			open = append(open, m)
		}
	}
	a.passThrough(ms, cs)
	a.eliminate(open, ms, cs)
}

// byName takes the last connection that is tied to the request: earlier ones are
// tries that the proxy gave up.
func (a *analysis) byName(m *matter, ties []named) (p pairing) {
	best := int64(0)
	for _, n := range ties {
		v := a.during(n, m)
		if v == nil {
			p.absent, p.how = p.absent || n.at < 0, n.how
			continue
		}
		if n.seq == 0 {
			n.seq = v.firstDataAfter(m)
		}
		if n.seq != 0 && v.known && n.seq != v.isn+1 {
			v.narrow(n.seq)
		}
		if begun := v.firstSeen(); len(p.views) == 0 || begun > best {
			p.views, p.how, best = []*flowView{v}, n.how, begun
		}
	}
	p.absent = p.absent && len(p.views) == 0
	return p
}

// firstDataAfter is the number of the first request byte on a connection after a
// request began on the client's; 0 if none was seen, or the clocks cannot tell.
func (v *flowView) firstDataAfter(m *matter) uint32 {
	for i := range v.steps {
		off := v.a.cal.offset(m.start.index, v.steps[i].at, m.f.began)
		if !off.bounded() || m.f.began == 0 {
			continue
		}
		for j := range v.steps[i].packets {
			if g := &v.steps[i].packets[j]; g.toServer && g.length > 0 && !g.icmp && g.time >= m.f.began+off.lo {
				return g.seq
			}
		}
	}
	return 0
}

// firstSeen is when a view's first packet was seen, by the clock of its first
// point that saw any.
func (v *flowView) firstSeen() int64 {
	for i := range v.steps {
		if len(v.steps[i].packets) > 0 {
			return v.steps[i].packets[0].time
		}
	}
	return 0
}

// lastSeen is when a point saw the last packet of a view; 0 if it saw none.
func (v *flowView) lastSeen(at int) int64 {
	i := v.stepAt(at)
	if i < 0 || len(v.steps[i].packets) == 0 {
		return 0
	}
	return v.steps[i].packets[len(v.steps[i].packets)-1].time
}

// during finds the connection of a tuple that was in use while the request
// was: the tuple alone does not tell, it may come round again.
func (a *analysis) during(n named, m *matter) *flowView {
	i, ok := a.wanted.index[n.tuple]
	if !ok {
		return nil
	}
	for _, at := range a.topo.path(n.tuple) {
		off := a.cal.offset(m.start.index, at, m.f.start)
		if !off.bounded() {
			continue
		}
		from, to := m.f.startOfWork()+off.lo, m.f.ended+off.hi
		ended, exact := m.endedAt(at)
		if exact {
			to = min(to, ended)
		}
		if at == n.at { // the very moment is known
			from, to = n.time, n.time
		}
		var isn uint32
		var last int64
		found, inside, sent, answered := false, false, false, false
		var best *flowView
		flush := func() {
			if !found || last < from || !inside {
				return
			}
			// What came last may be a later connection's, whose SYN this capture missed.
			if v := a.view(a.cols, i, n.tuple, isn, true); v.lastSeen(at) >= from {
				best = v
			}
		}
		for j := range a.cols[at].seen[i] {
			g := &a.cols[at].seen[i][j]
			first, syn := g.begins()
			switch {
			case syn && found && first != isn && !g.toServer && sent && !answered:
				// It answers the latest SYN, which has become another on its way.
			case syn && (!found || first != isn):
				flush()
				found, isn, inside, sent, answered = true, first, g.time <= to, g.toServer, !g.toServer
			case syn:
				answered = answered || !g.toServer
			}
			last = g.time
		}
		flush()
		if best != nil {
			return best
		}
		if exact && found {
			return nil
		}
	}
	return nil
}

// endedAt is when the request's end passed another point of the client's connection, by
// that point's own clock. Clocks of two points are never known so well as to tell it
// from the beginning of the connection's next request.
func (m *matter) endedAt(at int) (int64, bool) {
	_, end := m.client.numbered(m.start, m.f.endFrame)
	i := m.client.stepAt(at)
	if end == nil || i < 0 {
		return 0, false
	}
	for j := range m.client.steps[i].packets {
		g := &m.client.steps[i].packets[j]
		if !g.icmp && g.toServer == end.toServer && g.flags&(flagFIN|flagRST) == end.flags&(flagFIN|flagRST) &&
			(g.covers(end.seq) || g.seq == end.seq && end.length == 0) {
			return g.time, true
		}
	}
	return 0, false
}

// startOfWork is when the proxy could begin: the first byte of the request,
// or the connection for a proxy that does not wait for it.
func (f *failure) startOfWork() int64 { return f.start }

// ending looks for the RST that ended a request and that the start point did not
// see, at the client's other points; false if there is none either.
func (m *matter) ending() bool {
	v := m.client
	at, g := v.origin(rstKind(v, false))
	if at < 0 || v.steps[at].at == m.start.index {
		return false
	}
	m.f.outcome, m.f.pending = Reset, false
	if off := m.a.cal.offset(v.steps[at].at, m.start.index, g[0].time); off.bounded() {
		m.f.ended = max(m.f.ended, g[0].time+off.hi)
	}
	return true
}

// acquitted tells whether the request seems to have failed only because the start
// point's capture missed part of its response: the client acknowledged more bytes
// than that capture has.
func (m *matter) acquitted() bool {
	if m.f.inside || m.f.outcome != Timeout && m.f.outcome != Truncated {
		return false
	}
	own := m.client.stepAt(m.start.index)
	from, ok := m.client.begins(false)
	if own < 0 || !ok {
		return false
	}
	have := contiguous(m.client.steps[own:own+1], false, from)
	const fin = 1 // a FIN takes a number and is no byte
	return int32(m.client.acknowledged(false, from)-have) > fin
}

// corroborated tells whether a request failed of which the client's side alone does
// not say so: its connection was reset after something was said inside TLS, which may
// have been the whole answer. The proxy's own word counts, or the fate of the request
// on the serverside.
func (m *matter) corroborated() bool {
	_, g := m.client.saidBy(rstKind(m.client, false))
	switch {
	case g != nil && !g.note.causePeer:
		cause := saidCause(g.note.cause)
		return cause != "" && cause != IdleTimeout
	case len(m.pairing.views) > 0:
		v := m.pairing.views[0]
		r, answered := v.reply()
		return !v.established() || !answered || r.have == r.begins || r.known && !r.whole()
	}
	return len(m.pairing.rivals) > 0
}
