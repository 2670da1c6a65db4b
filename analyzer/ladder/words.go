package ladder

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/digits"
)

// flagNames in Wireshark's order.
var flagNames = []struct {
	flag byte
	name string
}{{analyzer.FlagFIN, "FIN"}, {analyzer.FlagSYN, "SYN"}, {analyzer.FlagRST, "RST"}, {analyzer.FlagPSH, "PSH"}, {analyzer.FlagACK, "ACK"}, {1 << 5, "URG"}}

// flagsOf writes flags as Wireshark lists them: SYN-ACK.
func flagsOf(flags byte) string {
	var out []string
	for _, f := range flagNames {
		if flags&f.flag != 0 {
			out = append(out, f.name)
		}
	}
	if out == nil {
		return "no flags"
	}
	return strings.Join(out, "-")
}

// noteCopies tells of points that have many packets twice.
func (b *builder) noteCopies() {
	for i, c := range b.columns {
		if n := b.doubled(i); n > fewCopies {
			b.notes = append(b.notes, fmt.Sprintf("%s has %s of these packets more than once; each is drawn once", c.Point, digits.Group(n)))
		}
	}
}

// sent is what is the same of a packet and of its retransmissions.
type sent struct {
	flow     *flow
	toServer bool
	seq      uint32 // relative
	length   int
	flags    byte // SYN, FIN and RST; of a SYN ACK as well
}

func (r *row) sent() sent {
	s := sent{r.flow, r.ToServer, r.flow.kindOf(r.seen[0]).seq, r.Len, r.Flags & (analyzer.FlagSYN | analyzer.FlagFIN | analyzer.FlagRST)}
	if s.flags&analyzer.FlagSYN != 0 {
		s.flags |= r.Flags & analyzer.FlagACK
	}
	return s
}

// numbered counts what takes numbers: that is sent again if it is lost, a bare ACK is not.
func (r *row) numbered() uint32 {
	n := uint32(r.Len)
	if r.Flags&(analyzer.FlagSYN|analyzer.FlagFIN) != 0 {
		n++
	}
	return n
}

// name says what each row is.
func (b *builder) name(rows []*row) {
	tries := map[sent][]*row{}
	for _, r := range rows {
		if r.Omitted == 0 && r.numbered() > 0 {
			tries[r.sent()] = append(tries[r.sent()], r)
		}
	}
	next := map[sent]uint32{} // by flow and direction: the number that comes next
	for _, r := range rows {
		if r.Omitted > 0 {
			continue
		}
		r.What = r.summary()
		if r.Flow > 0 && len(b.flows) > 2 && b.flows[0].Side == analyzer.Clientside {
			r.What = fmt.Sprintf("[%d] %s", r.Flow, r.What)
		}
		way := sent{flow: r.flow, toServer: r.ToServer}
		high, known := next[way]
		if !r.seen[0].icmp {
			r.count(tries[r.sent()], high, known)
			if end := r.sent().seq + r.numbered(); r.numbered() > 0 && (!known || int32(end-high) > 0) {
				next[way] = end
			}
		}
		r.addNotes(b)
		r.What = printable(r.What)
	}
}

// count says which of several tries a row is, if it is one: all are those of the very same
// bytes, high is the number that came next before it.
func (r *row) count(all []*row, high uint32, known bool) {
	seq := r.sent().seq
	n := slices.Index(all, r)
	switch {
	case n > 0 && all[n-1].seen[0].print == r.seen[0].print && r.at-all[n-1].at < copyApart:
		r.What += ", duplicate"
	case len(all) > 1:
		r.What += fmt.Sprintf(", try %d of %d", n+1, len(all))
		r.Retry = n > 0
	case known && r.Len <= 1 && seq+1 == high && r.Flags&^analyzer.FlagPSH == analyzer.FlagACK: // RFC 9293 §3.8.4
		r.What += ", keep-alive"
	case known && r.Len > 0 && int32(seq-high) < 0:
		r.What += ", retransmission"
		r.Retry = true
	}
}

// summary is a packet in Wireshark's words.
func (r *row) summary() string {
	g := r.seen[0]
	if g.icmp {
		return icmpName(g) + " from " + g.icmpFrom.String()
	}
	s := flagsOf(r.Flags)
	if r.Len > 0 {
		s += " " + digits.Group(r.Len) + " B"
	}
	if g.content != "" {
		s += ", " + g.content
	}
	if g.window == 0 && r.Flags&(analyzer.FlagSYN|analyzer.FlagRST) == 0 {
		s += ", zero window"
	}
	return s
}

// addNotes adds what else is odd about a row.
func (r *row) addNotes(b *builder) {
	for _, g := range r.seen {
		if r.Flags&analyzer.FlagRST != 0 && g.note.RSTCause != "" {
			r.What += ", cause: " + printable(g.note.RSTCause)
			if g.note.RSTPeer {
				r.What += " (peer)"
			}
			break
		}
	}
	if r.Spoiled >= 0 {
		r.What += ", checksum wrong at " + b.columns[r.Spoiled].Point
	}
	for _, g := range r.seen {
		if n := len(g.again); n > 0 && b.doubled(g.column) <= fewCopies {
			r.What += fmt.Sprintf(", %d times at %s", 1+n, b.columns[g.column].Point)
			break
		}
	}
}

// fewCopies is how many packets a point may have twice before that is said once for all.
const fewCopies = 3

// doubled counts the packets that a point has more than once.
func (b *builder) doubled(column int) (n int) {
	for _, f := range b.flows {
		for i := range f.sights[column] {
			if len(f.sights[column][i].again) > 0 {
				n++
			}
		}
	}
	return n
}

// icmpName names an ICMP error as Wireshark does: RFC 792, RFC 1812 §5.2.7, RFC 4443.
func icmpName(g *sight) string {
	typ, code := g.icmpWhat[0], g.icmpWhat[1]
	unreachable := map[byte]string{0: "Network unreachable", 1: "Host unreachable", 3: "Port unreachable", 4: "Fragmentation needed",
		9: "Network administratively prohibited", 10: "Host administratively prohibited", 13: "Communication administratively filtered"}
	names := map[byte]string{3: "Destination unreachable", 11: "Time-to-live exceeded", 12: "Parameter problem"}
	if g.icmpFrom.Is6() && !g.icmpFrom.Is4In6() {
		unreachable = map[byte]string{0: "no route to destination", 1: "Administratively prohibited", 3: "Address unreachable", 4: "Port unreachable"}
		names = map[byte]string{1: "Destination Unreachable", 2: "Packet Too Big", 3: "Time Exceeded", 4: "Parameter Problem"}
	}
	name, ok := names[typ]
	if !ok {
		return fmt.Sprintf("ICMP type %d code %d", typ, code)
	}
	if why, ok := unreachable[code]; ok && strings.HasPrefix(name, "Destination") {
		name += " (" + why + ")"
	}
	return "ICMP " + name
}

// Bounds of what is looked at and shown of a payload.
const (
	maxLine = 60
	maxSeek = 512
)

// content says what begins in a payload: a line of HTTP/1, or TLS records; "" if neither
// is known to.
func content(b []byte) string {
	if s := tlsRecord(b); s != "" {
		return s
	}
	line, _, whole := bytes.Cut(b[:min(len(b), maxSeek)], []byte("\r\n"))
	if !isHTTP(line) || !whole && len(b) < maxSeek {
		return ""
	}
	s := printable(string(line[:min(len(line), 2*maxLine)]))
	if r := []rune(s); len(r) > maxLine {
		s = string(r[:maxLine-1]) + "…"
	}
	return s
}

// isHTTP tells whether a line begins a message of HTTP/1 (RFC 9112 §3 and §4).
func isHTTP(line []byte) bool {
	return bytes.HasPrefix(line, []byte("HTTP/1.")) || isRequest(string(line)) || string(line) == "PRI * HTTP/2.0"
}

// methods of RFC 9110 §9.3 and RFC 5789.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// isRequest tells whether a line is the first of a request.
func isRequest(line string) bool {
	method, _, ok := strings.Cut(line, " ")
	return ok && slices.Contains(methods, method)
}

// tlsRecord names the first TLS record of a payload as Wireshark does; "" if none begins
// there (RFC 8446 §5.1).
func tlsRecord(b []byte) string {
	if len(b) < 6 || b[1] != 3 || b[2] > 4 {
		return ""
	}
	length := int(b[3])<<8 | int(b[4])
	if length == 0 || length > 1<<14+256 {
		return ""
	}
	switch b[0] {
	case 20:
		return "Change Cipher Spec"
	case 21:
		if length == 2 && len(b) >= 7 {
			level := map[byte]string{1: "Warning", 2: "Fatal"}[b[5]]
			if level == "" {
				level = fmt.Sprint(b[5])
			}
			return fmt.Sprintf("Alert (Level: %s, Description: %s)", level, alertName(b[6]))
		}
		return "Encrypted Alert"
	case 22:
		name, ok := map[byte]string{1: "Client Hello", 2: "Server Hello", 4: "New Session Ticket", 11: "Certificate", 16: "Client Key Exchange"}[b[5]]
		if !ok {
			return "Encrypted Handshake Message"
		}
		return name
	case 23:
		return "Application Data"
	}
	return ""
}

// alertName names a TLS alert, RFC 8446 §6.
func alertName(n byte) string {
	names := map[byte]string{0: "Close Notify", 10: "Unexpected Message", 20: "Bad Record MAC", 22: "Record Overflow", 40: "Handshake Failure",
		42: "Bad Certificate", 45: "Certificate Expired", 46: "Certificate Unknown", 47: "Illegal Parameter", 48: "Unknown CA", 50: "Decode Error",
		51: "Decrypt Error", 70: "Protocol Version", 71: "Insufficient Security", 80: "Internal Error", 90: "User Canceled", 112: "Unrecognized Name",
		116: "Certificate Required", 120: "No application Protocol"}
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprint(n)
}

// printable makes somebody else's text fit to be shown on one line of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}
