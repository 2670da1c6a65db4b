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
}

// matter is one failed request before the judge.
type matter struct {
	a       *analysis
	f       *failure
	start   *survey
	client  *flowView
	proxied bool
	pairing pairing
	view    *flowView // what the rules look at: the flow on which it failed
}

// candidate is a serverside connection that never came about.
type candidate struct {
	tuple
	isn     uint32
	at      int // point that saw it first
	odd     *oddConn
	view    *flowView
	verdict *conclusion // the same whichever request it belongs to
}

// pair collects the flows of all failures and ties the two sides together.
func (a *analysis) pair(ctx context.Context, start *survey, fs []failure) ([]*matter, error) {
	tuples, index := []tuple{}, map[tuple]int{}
	add := func(t tuple) {
		if _, ok := index[t]; !ok && t.client.IsValid() && t.server.IsValid() {
			index[t] = len(tuples)
			tuples = append(tuples, t)
		}
	}
	ids, lonely := map[string]tuple{}, false
	notes := a.notesByClient()
	for i := range fs {
		f := &fs[i]
		add(f.tuple)
		for _, t := range notes[f.tuple] {
			add(t)
		}
		if len(notes[f.tuple]) == 0 {
			lonely = true
			if f.id != "" {
				ids[f.id] = f.tuple
			}
		}
	}
	candidates := a.candidates()
	if lonely {
		for _, c := range candidates {
			add(c.tuple)
		}
	}
	cols, err := a.collect(ctx, tuples, ids)
	if err != nil {
		return nil, err
	}
	before := len(tuples)
	for i := range fs { // what only the second pass could find
		for _, t := range a.named(cols, index, &fs[i]) {
			add(t)
		}
	}
	if len(tuples) > before {
		if cols, err = a.collect(ctx, tuples, ids); err != nil {
			return nil, err
		}
	}
	var out []*matter
	for i := range fs {
		f := &fs[i]
		m := &matter{a: a, f: f, start: start}
		m.client = a.view(cols, index[f.tuple], f.tuple, f.isn, f.knowsISN)
		m.proxied = a.proxied(f)
		m.pairing = a.findPeer(cols, index, m, notes, candidates, len(fs))
		out = append(out, m)
	}
	return out, nil
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

// named returns the tuples that trailers and request ids tie to a failure.
func (a *analysis) named(cols []*collection, index map[tuple]int, f *failure) []tuple {
	var out []tuple
	v := a.view(cols, index[f.tuple], f.tuple, f.isn, f.knowsISN)
	for _, s := range v.steps {
		for i := range s.packets {
			if n := s.packets[i].note; n != nil && n.hasPeer {
				out = append(out, n.serverside())
			}
		}
	}
	if f.id != "" {
		for _, c := range cols {
			out = append(out, c.idHits[f.id]...)
		}
	}
	return out
}

// proxied tells whether the client talks to a full proxy: a point that sees
// both sides, or a server address that never appears further on.
func (a *analysis) proxied(f *failure) bool {
	seenBeyond, both, clientside, serverside := false, false, false, false
	for _, s := range a.surveys {
		if s.point.Side == Both {
			both = true
			continue
		}
		clientside = clientside || s.point.Side == Clientside
		serverside = serverside || s.point.Side == Serverside
		if s.point.Side == Serverside && s.names.saw(f.tuple.server.Addr()) && s.names.saw(f.tuple.client.Addr()) {
			key, _ := s.names.key(f.tuple)
			_, ok := s.flows[key]
			seenBeyond = seenBeyond || ok
		}
	}
	return (both || clientside && serverside) && !seenBeyond
}

// candidates are the serverside connections that got no answer.
func (a *analysis) candidates() []*candidate {
	var out []*candidate
	seen := map[uint64]bool{}
	for i, s := range a.surveys {
		if s.point.Side == Clientside {
			continue
		}
		for j := range s.odd {
			o := &s.odd[j]
			h := o.tuple.hash(o.isn)
			if o.flags&(sawSYN|completed) != sawSYN || seen[h] || a.topo.toProxy(o.tuple.server) {
				continue
			}
			seen[h] = true
			out = append(out, &candidate{tuple: o.tuple, isn: o.isn, at: i, odd: o})
		}
	}
	return out
}

// findPeer finds the serverside half of a failed request: by trailer, by
// request id, else by elimination in time.
func (a *analysis) findPeer(cols []*collection, index map[tuple]int, m *matter, notes map[tuple][]tuple, cs []*candidate, failures int) pairing {
	if !m.proxied || !m.client.established() {
		return pairing{}
	}
	named := a.named(cols, index, m.f)
	how := "found by its request id"
	for _, s := range m.client.steps {
		for i := range s.packets {
			if n := s.packets[i].note; n != nil && n.hasPeer {
				how = "found by F5 trailer"
			}
		}
	}
	if len(named) == 0 {
		// The RST's note in the survey knows no ISN; its time must fit.
		named, how = notes[m.f.tuple], "found by F5 trailer"
	}
	var p pairing
	for i := len(named) - 1; i >= 0; i-- { // a retry by the proxy comes last
		if v := a.during(cols, index, named[i], m.f, m.start); v != nil {
			return pairing{views: []*flowView{v}, how: how}
		}
		p = pairing{how: how, absent: true}
	}
	if p.absent {
		return p
	}
	if len(cs) < failures {
		return pairing{} // not every failure has a candidate: theirs may be someone else's
	}
	inWindow := 0
	for _, c := range cs {
		off := a.cal.offset(m.start.index, c.at)
		if !off.bounded() || c.odd.started < m.f.startOfWork()+off.lo || c.odd.last > m.f.ended+off.hi {
			continue
		}
		inWindow++
		if i, ok := index[c.tuple]; ok && len(p.rivals) < maxCandidates {
			if c.view == nil {
				c.view = a.view(cols, i, c.tuple, c.isn, true)
			}
			p.rivals = append(p.rivals, c)
		}
	}
	p.how = "found by timing: the only unanswered connection of the proxy in that time"
	if inWindow > 1 {
		p.how = "found by timing: one of several unanswered connections of the proxy in that time, all with the same fate"
	}
	if inWindow > len(p.rivals) {
		return pairing{} // some candidates could not be looked at
	}
	return p
}

const maxCandidates = 1024

// startOfWork is when the proxy could begin: the first byte of the request,
// or the connection for a proxy that does not wait for it.
func (f *failure) startOfWork() int64 { return f.start }

// during finds the connection of a tuple that was in use while the request
// was: the tuple alone does not tell, it may come round again.
func (a *analysis) during(cols []*collection, index map[tuple]int, t tuple, f *failure, start *survey) *flowView {
	i, ok := index[t]
	if !ok {
		return nil
	}
	for _, at := range a.topo.path(t) {
		off := a.cal.offset(start.index, at)
		if !off.bounded() {
			continue
		}
		from, to := f.startOfWork()+off.lo, f.ended+off.hi
		var isn uint32
		var last int64
		found, inside := false, false
		best, ok := uint32(0), false
		flush := func() {
			if found && last >= from && inside {
				best, ok = isn, true
			}
		}
		for j := range cols[at].seen[i] {
			g := &cols[at].seen[i][j]
			if g.toServer && g.is(flagSYN, flagACK) && (!found || g.seq != isn) {
				flush()
				found, isn, inside = true, g.seq, g.time <= to
			}
			last = g.time
		}
		flush()
		if ok {
			return a.view(cols, i, t, best, true)
		}
	}
	return nil
}
