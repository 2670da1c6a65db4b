package verify

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// trial is the examination of one verdict, or, without one, of the findings.
type trial struct {
	c        *checker
	index    int
	who      string
	v        *analyzer.Verdict
	evidence []*exhibit // the verdict's own
	other    []*exhibit // what eliminates rivals, or supports a finding
	client   netip.AddrPort
	server   netip.AddrPort
}

func (t *trial) exhibits(each func(*exhibit)) {
	for _, x := range t.evidence {
		each(x)
	}
	for _, x := range t.other {
		each(x)
	}
}

// check examines all that a verdict states beyond its pieces of evidence.
func (t *trial) check() {
	say := func(statement, why string) { t.c.state(t.index, t.who, statement, why) }
	var errC, errS error
	t.client, errC = netip.ParseAddrPort(t.v.Request.Client)
	t.server, errS = netip.ParseAddrPort(t.v.Request.Server)
	if errC != nil || errS != nil {
		say("request.client, request.server", "not address:port")
		return
	}
	say("request.client, request.server", t.ends())
	say("request.start", t.start())
	say("request.method, request.target, request.id", t.request())
	say("outcome", t.outcome())
	say("rst", t.rst())
	say("hop, between, direction", t.place())
	say("confidence, would_settle", t.certainty())
	say("cause", t.cause())
	say("serverside connection", t.paired())
}

// frames are the confirmed frames of the verdict's own evidence at a point ("" is
// any) that a test accepts.
func (t *trial) frames(point string, is func(*Frame) bool) (out []*exhibit) {
	for _, x := range t.evidence {
		if x.frame != nil && x.holds() && (point == "" || x.Point == point) && is(x.frame) {
			out = append(out, x)
		}
	}
	return out
}

// absences are the confirmed absences at a point.
func (t *trial) absences(point string) (out []*exhibit) {
	for _, x := range t.evidence {
		if x.is(analyzer.KindAbsence) && x.holds() && x.Point == point {
			out = append(out, x)
		}
	}
	return out
}

// flow is who talks to whom in a frame.
type flow struct{ from, to netip.AddrPort }

func (f flow) back() flow { return flow{f.to, f.from} }

// flow is that of the packet itself; zero if it is not TCP.
func (x *Frame) flow() flow {
	if len(x.tcp) == 0 || x.tcp[0].quoted {
		return flow{}
	}
	h := &x.tcp[0]
	return flow{netip.AddrPortFrom(x.ip[0].src, h.src), netip.AddrPortFrom(x.ip[0].dst, h.dst)}
}

// quote is the flow and sequence number of the packet that an ICMP error is about.
func (x *Frame) quote() (f flow, seq uint32, ok bool) {
	n := len(x.tcp)
	if n == 0 || !x.tcp[n-1].quoted || x.tcp[n-1].extent == ports {
		return flow{}, 0, false
	}
	h, ip := &x.tcp[n-1], &x.ip[len(x.ip)-1]
	return flow{netip.AddrPortFrom(ip.src, h.src), netip.AddrPortFrom(ip.dst, h.dst)}, h.seq, true
}

// has tells whether it is a TCP packet with these flags set and those clear.
func (x *Frame) has(set, clear byte) bool {
	return len(x.tcp) > 0 && !x.tcp[0].quoted && x.tcp[0].extent == whole && x.tcp[0].flags&set == set && x.tcp[0].flags&clear == 0
}

func isSYN(x *Frame) bool    { return x.has(flagSYN, flagACK|flagRST) }
func isSYNACK(x *Frame) bool { return x.has(flagSYN|flagACK, flagRST) }
func isRST(x *Frame) bool    { return x.has(flagRST, 0) }
func isData(x *Frame) bool   { return x.has(0, flagRST|flagSYN) && x.tcp[0].length > 0 }
func isACK(x *Frame) bool {
	return x.has(flagACK, flagSYN|flagRST|flagFIN) && x.tcp[0].length == 0
}

// isAlert: a TLS alert record in the clear, RFC 8446 section 5.1.
func isAlert(x *Frame) bool {
	return isData(x) && len(x.payload) > 1 && x.payload[0] == 21 && x.payload[1] == 3
}

// mayBeAlert: one under encryption, which in TLS 1.3 looks like application data and
// has this length, RFC 8446 sections 5.2 and 6. A client that refuses the certificate
// puts it behind the record that is for middleboxes only, appendix D.4.
func mayBeAlert(x *Frame) bool {
	const length = 2 + 1 + 16
	if !isData(x) {
		return false
	}
	b := bytes.TrimPrefix(x.payload, []byte{20, 3, 3, 0, 1, 1})
	return len(b) >= 5 && b[0] == 23 && b[1] == 3 && b[3] == 0 && b[4] == length
}

func is5xx(x *Frame) bool { code, _ := x.response(); return code >= 500 && code < 600 }

// refuses tells whether x, a RST or an ICMP error, can be the answer to y: a RST
// acknowledges what y carried, or, if y acknowledged something, begins there
// (RFC 9293 section 3.10.7.1); an ICMP error quotes it.
func (x *Frame) refuses(y *Frame) bool {
	if f, seq, ok := x.quote(); ok {
		return f == y.flow() && seq == y.tcp[0].seq
	}
	if !isRST(x) || len(y.tcp) == 0 || x.flow() != y.flow().back() {
		return false
	}
	r, h := &x.tcp[0], &y.tcp[0]
	end := h.seq + uint32(h.length)
	if h.flags&(flagSYN|flagFIN) != 0 {
		end++
	}
	return r.flags&flagACK != 0 && r.ack == end || h.flags&flagACK != 0 && r.seq == h.ack
}

// ends: some confirmed frame is of the connection between client and server.
func (t *trial) ends() string {
	if len(t.frames("", t.ofClient)) == 0 {
		return "no confirmed frame is of that connection"
	}
	return ""
}

// ofClient tells whether a frame is of the client's connection, or an ICMP error
// about it.
func (t *trial) ofClient(x *Frame) bool {
	up := flow{t.client, t.server}
	if f, _, ok := x.quote(); ok {
		return f == up || f == up.back()
	}
	return x.flow() == up || x.flow() == up.back()
}

func (t *trial) fromClient(x *Frame) bool { return x.flow() == flow{t.client, t.server} }
func (t *trial) fromServer(x *Frame) bool { return x.flow() == flow{t.server, t.client} }

// start: the time of the cited SYN at the start point, or, on a re-used connection,
// of the first byte. Without either, it must only not be later than what is cited.
func (t *trial) start() string {
	r := &t.v.Request
	if t.c.points[r.StartPoint] == nil {
		return fmt.Sprintf("start_point %s is not among points", clip(r.StartPoint))
	}
	if r.Start.IsZero() {
		return "no time"
	}
	first := -1 // in path order, of the points at which the connection is cited
	for _, x := range t.frames("", t.ofClient) {
		if i := t.c.points[x.Point].index; first < 0 || i < first {
			first = i
		}
	}
	if first != t.c.points[r.StartPoint].index {
		return fmt.Sprintf("start_point %s is not the first point at which a frame of the connection is cited", r.StartPoint)
	}
	begins := func(x *Frame) bool { return t.fromClient(x) && (isSYN(x) || isData(x)) }
	opens := t.frames(r.StartPoint, begins)
	for _, x := range opens {
		if x.Time.Equal(r.Start) {
			return ""
		}
	}
	// Of a connection whose SYN was not captured it is the first packet there is.
	if all := t.frames(r.StartPoint, t.ofClient); !slices.ContainsFunc(all, func(x *exhibit) bool { return isSYN(x.frame) }) {
		earliest := slices.MinFunc(all, func(x, y *exhibit) int {
			if x.File == y.File { // a clock may have been set back
				return cmp.Compare(x.Frame, y.Frame)
			}
			return x.Time.Compare(y.Time)
		})
		if earliest.Time.Equal(r.Start) {
			return ""
		}
	}
	if len(opens) > 0 {
		return fmt.Sprintf("frame %d of %s, which begins it, has another time, %s", opens[0].Frame, opens[0].File, opens[0].Time.Format(stampFormat))
	}
	for _, x := range t.frames(r.StartPoint, t.ofClient) {
		if x.Time.Before(r.Start) {
			return fmt.Sprintf("frame %d of %s is earlier", x.Frame, x.File)
		}
	}
	return ""
}

// request: method, target and id are those of a cited request, if one is cited; on a
// connection that was refused there was none.
func (t *trial) request() string {
	r := &t.v.Request
	if t.v.Outcome == analyzer.Refused && r.Method+r.Target+r.ID != "" {
		return "nothing was requested on a connection that was refused"
	}
	if r.Method+r.Target+r.ID == "" {
		return "" // it is inside TLS, or no capture of the client's has its head: nothing is said of it
	}
	why := ""
	for _, x := range t.frames("", isData) {
		method, target, id, hasID, ok := x.frame.request()
		if !ok {
			continue
		}
		if method == r.Method && target == r.Target && (id == r.ID || !hasID) {
			return ""
		}
		why = fmt.Sprintf("frame %d of %s says %s %s, id %s", x.Frame, x.File, method, clip(target), clip(id))
	}
	return why
}

// paired: where trailers tie the client's connection to those on the proxy's other side,
// what is cited at between is of the client's or of one of these. The client's frames
// name the latest of them; their own frames name the client.
func (t *trial) paired() string {
	if t.v.Cause == analyzer.Inconclusive {
		return ""
	}
	named := map[flow]bool{}
	for _, x := range t.frames("", func(x *Frame) bool { return x.hasPeer() && (t.fromClient(x) || t.fromServer(x)) }) {
		h := &x.frame.trailer.High
		if f := (flow{h.Local, h.Remote}); h.Remote.Port() != 0 {
			named[f], named[f.back()] = true, true
		}
	}
	tied := false
	for _, x := range t.frames("", (*Frame).hasPeer) {
		if h := &x.frame.trailer.High; h.Remote == t.client && h.Local == t.server {
			f := x.frame.flow()
			tied, named[f], named[f.back()] = true, true, true
		}
	}
	switch {
	case t.v.Outcome == analyzer.Unknown && !tied:
		return "no trailer is cited that names the client of a serverside connection, and nothing else shows that its request failed"
	case len(named) == 0:
		return ""
	}
	for _, at := range t.v.Between {
		for _, x := range t.frames(at, func(x *Frame) bool { return x.flow() != flow{} && !t.ofClient(x) }) {
			if f := x.frame.flow(); !named[f] {
				return fmt.Sprintf("frame %d of %s is of %s → %s, which no trailer of the client's connection names", x.Frame, x.File, f.from, f.to)
			}
		}
	}
	return ""
}

// certainty: 0 means inconclusive, and only then something would settle it.
func (t *trial) certainty() string {
	v := t.v
	open := v.Cause == analyzer.Inconclusive
	switch {
	case !(v.Confidence >= 0 && v.Confidence <= 1):
		return fmt.Sprintf("%v is no probability", v.Confidence)
	case open != (v.Confidence == 0):
		return fmt.Sprintf("%v with cause %s", v.Confidence, v.Cause)
	case open && strings.TrimSpace(v.WouldSettle) == "":
		return "inconclusive, and nothing is said that would settle it"
	case !open && v.WouldSettle != "":
		return "something would settle what is settled"
	}
	return ""
}

// cause: it is one, it can be at such a hop, and the evidence has what it needs.
func (t *trial) cause() string {
	v := t.v
	n, known := needs[v.Cause]
	if !known || !v.Cause.Valid() {
		return fmt.Sprintf("no cause %s is known", clip(string(v.Cause)))
	}
	if v.Hop != "" {
		link := strings.HasPrefix(v.Hop, "link:")
		// Between two captures may be whatever forwards: a firewall at which nobody captured.
		if link && !v.Cause.CanBeAt(analyzer.AtLink|analyzer.AtForwarder) || !link && !v.Cause.CanBeAt(analyzer.AtForwarder|analyzer.AtProxy|analyzer.AtServer|analyzer.AtClient) {
			return fmt.Sprintf("%s cannot be at %s", v.Cause, v.Hop)
		}
	}
	for _, name := range v.Between {
		if t.c.points[name] == nil {
			return fmt.Sprintf("between names %s, which is not among points", clip(name))
		}
	}
	if n.direction != "" && v.Direction != n.direction {
		return fmt.Sprintf("%s is a matter of direction %s", v.Cause, n.direction)
	}
	if v.Hop != "" {
		if why := t.toldOtherwise(); why != "" {
			return why
		}
	}
	return n.holds(t)
}

// place: hop, between and direction agree with each other and with the points.
func (t *trial) place() string {
	v := t.v
	if (v.Hop == "") != (v.Cause == analyzer.Inconclusive) {
		return fmt.Sprintf("hop %s with cause %s", clip(v.Hop), v.Cause)
	}
	var ps []*point
	for _, name := range v.Between {
		p := t.c.points[name]
		if p == nil {
			return fmt.Sprintf("between names %s, which is not among points", clip(name))
		}
		ps = append(ps, p)
	}
	if len(ps) > 2 || len(ps) == 2 && ps[0] == ps[1] {
		return fmt.Sprintf("between names %d points", len(ps))
	}
	switch v.Direction {
	case analyzer.ToServer, analyzer.ToClient:
	case "":
		if v.Hop != "" {
			return "no direction"
		}
		return ""
	default:
		return fmt.Sprintf("direction %s", clip(v.Direction))
	}
	if len(ps) == 2 && v.Cause != analyzer.ResetInjected && (ps[0].index < ps[1].index) != (v.Direction == analyzer.ToServer) {
		return fmt.Sprintf("from %s to %s is not %s", v.Between[0], v.Between[1], v.Direction)
	}
	if v.Hop == "" {
		return ""
	}
	if want := hopBetween(ps); want == "" || want != v.Hop {
		return fmt.Sprintf("what is between %s is %s, not %s", strings.Join(v.Between, " and "), clip(want), clip(v.Hop))
	}
	return ""
}

// hopBetween names the hop of one point, or what lies between two: the hop whose
// faces they are, else the link.
func hopBetween(ps []*point) string {
	switch {
	case len(ps) == 1:
		return ps[0].hop
	case len(ps) != 2:
		return ""
	case ps[0].hop == ps[1].hop:
		return ps[0].hop
	}
	ps = slices.Clone(ps)
	slices.SortFunc(ps, func(a, b *point) int { return a.index - b.index })
	return "link:" + ps[0].hop + "-" + ps[1].hop
}
