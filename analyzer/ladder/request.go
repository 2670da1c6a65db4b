package ladder

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// Request says which request is meant. Client must be given; the rest narrows it.
type Request struct {
	Client netip.AddrPort
	Server netip.AddrPort // zero: whatever the client's port talked to
	// Start is the request's, at StartPoint's own clock; zero: the first connection of
	// these addresses.
	Start      time.Time
	StartPoint string
	// Serverside are the connections of the request behind the proxy; nil: they are
	// those of the verdict's evidence, or what F5 trailers name.
	Serverside []analyzer.Conn
	// Verdict is package analyzer's, which is taken at its word: where it names a hop
	// between two points, they were listening. nil: there is none, as for a request that
	// did not fail, or somebody else has judged.
	Verdict *analyzer.Verdict
}

// Of is the request of a verdict. The error, of type *[analyzer.InputError], says which
// address is none.
func Of(v *analyzer.Verdict) (Request, error) {
	r := Request{Start: v.Request.Start, StartPoint: v.Request.StartPoint, Verdict: v}
	for _, a := range []struct {
		what, text string
		to         *netip.AddrPort
	}{{"client", v.Request.Client, &r.Client}, {"server", v.Request.Server, &r.Server}} {
		var err error
		if *a.to, err = netip.ParseAddrPort(a.text); err != nil {
			return r, &analyzer.InputError{Kind: analyzer.ErrMalformed, File: "verdicts", What: fmt.Sprintf("request.%s is %q", a.what, clip(a.text)),
				Fix: "it must be an address and a port, such as 198.18.50.88:54373"}
		}
	}
	return r, nil
}

// clip bounds somebody else's text in a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// listColumns takes the points over from the report.
func (b *builder) listColumns() {
	for i := range b.report.Points {
		p := &b.report.Points[i]
		c := Column{Point: p.Name, Files: p.Files}
		c.Hop, c.Face, _ = strings.Cut(p.Name, "/")
		if c.Files == nil {
			c.Files = []string{p.File}
		}
		spread := int64(0)
		if o := p.ClockOffset; o != nil {
			c.Known, c.Clock = true, time.Duration(o[0]/2+o[1]/2)
			spread = max(0, o[1]/2-o[0]/2)
		}
		b.columns = append(b.columns, c)
		b.spread = append(b.spread, spread)
	}
}

// readEvidence learns from the verdict which frames it cites and which connections it is
// about.
func (b *builder) readEvidence() {
	b.cited, b.absent, b.wanted = map[frameRef]bool{}, map[string][]analyzer.Conn{}, map[analyzer.Conn]bool{}
	if b.request.Server.IsValid() {
		b.wanted[canonical(b.request.Client, b.request.Server)] = true
	}
	for _, c := range b.request.Serverside {
		b.wanted[canonical(c.Client, c.Server)] = true
	}
	v := b.request.Verdict
	if v == nil {
		return
	}
	list := slices.Clone(v.Evidence)
	for _, e := range v.Evidence {
		if e.Kind == analyzer.KindFrame {
			b.cited[frameRef{e.Point, e.File, e.Frame}] = true
		}
		if c, ok := ConnOf(e.Filter); ok && b.request.Serverside == nil {
			b.wanted[canonical(c.Client, c.Server)] = true
		}
	}
	for _, h := range v.Eliminated {
		list = append(list, h.Evidence...)
	}
	for _, e := range list {
		if c, ok := ConnOf(e.Filter); ok && e.Kind == analyzer.KindAbsence {
			b.absent[e.Point] = append(b.absent[e.Point], canonical(c.Client, c.Server))
		}
	}
}

// term is one comparison of a display filter that pins down an end of a connection.
var term = regexp.MustCompile(`\b(ip|ipv6|tcp)\.(src|dst|srcport|dstport) ?== ?([0-9a-fA-F:.]+)`)

// ConnOf reads from a display filter the two ends of the connection that it is about, the
// sender first; ok is false if it does not name them both.
func ConnOf(filter string) (c analyzer.Conn, ok bool) {
	var addr [2]netip.Addr
	var port [2]uint16
	for _, m := range term.FindAllStringSubmatch(filter, -1) {
		end := 0
		if strings.HasPrefix(m[2], "dst") {
			end = 1
		}
		if m[1] == "tcp" {
			n, err := strconv.ParseUint(m[3], 10, 16)
			if err != nil || !strings.HasSuffix(m[2], "port") || port[end] != 0 {
				return c, false
			}
			port[end] = uint16(n)
			continue
		}
		a, err := netip.ParseAddr(m[3])
		if err != nil || strings.HasSuffix(m[2], "port") || addr[end].IsValid() {
			return c, false
		}
		addr[end] = a
	}
	c = analyzer.Conn{Client: netip.AddrPortFrom(addr[0], port[0]), Server: netip.AddrPortFrom(addr[1], port[1])}
	return c, addr[0].IsValid() && addr[1].IsValid() && port[0] != 0 && port[1] != 0
}

// title is the request in words.
func (b *builder) title() string {
	s := b.request.Client.String()
	if b.request.Server.IsValid() {
		s += " → " + b.request.Server.String()
	}
	v := b.request.Verdict
	if v == nil {
		return s
	}
	if what := strings.TrimSpace(v.Request.Method + " " + v.Request.Target); what != "" {
		s += ", " + printable(clip(what))
	}
	if v.Request.ID != "" {
		s += " (id " + printable(clip(v.Request.ID)) + ")"
	}
	return s + ", " + string(v.Outcome)
}

// verdict is the verdict in words.
func (b *builder) verdict() string {
	v := b.request.Verdict
	switch {
	case v == nil:
		return ""
	case v.Hop == "" && v.WouldSettle != "":
		return "inconclusive; to settle it: " + v.WouldSettle
	case v.Hop == "":
		return string(analyzer.Inconclusive)
	}
	return fmt.Sprintf("%s — %s", v.Hop, v.Cause)
}
