package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// need is what must be among the evidence for a cause.
type need struct {
	what      string // in words
	direction string // of the packet it is about; "" where nothing was under way
	holds     func(*trial) string
}

// needs is the table cause → evidence. "Lost" means: cited at the first point of
// between, and, at the second, an absence whose filter would find exactly what is
// cited and whose range covers the time at which it would have passed.
var needs = map[analyzer.Cause]need{
	analyzer.SYNDropped: {"a SYN, lost, and nothing that refuses it", analyzer.ToServer, (*trial).synDropped},
	analyzer.NeighbourUnresolved: {"a packet that waits in a hop, the hop's question for the hardware address of its destination, and that the question or its answer is lost, or not answered",
		"", (*trial).neighbourUnresolved},
	analyzer.SYNAckDropped: {"a SYN-ACK, lost", analyzer.ToClient, func(t *trial) string { return t.lost("SYN-ACK", isSYNACK) }},
	analyzer.AsymmetricPath: {"a SYN-ACK, lost; its SYN, with one TTL, nearer to the client and nearer to the server than the hop, and absent at both of the hop's points", analyzer.ToClient,
		(*trial).asymmetricPath},
	analyzer.AckDropped:      {"a bare ACK, lost", "", func(t *trial) string { return t.lost("ACK", isACK) }},
	analyzer.DataDropped:     {"data, lost", analyzer.ToServer, func(t *trial) string { return t.lost("data", isData) }},
	analyzer.ResponseDropped: {"data, lost", analyzer.ToClient, func(t *trial) string { return t.lost("data", isData) }},
	analyzer.MTUBlackhole:    {"a packet larger than every path must carry, lost", "", func(t *trial) string { return t.lost("large packet", isLarge) }},
	analyzer.SessionExpired: {"a packet of a connection that had passed before, lost or answered with a RST; or a RST whose trailer says so", "",
		func(t *trial) string { return t.proxysOr((*trial).sessionExpired) }},
	analyzer.Corrupted:     {"a packet that is whole, and the same with a wrong checksum at the next point", "", (*trial).corrupted},
	analyzer.Rewritten:     {"a packet at one point, and at the next the same with a TTL that ends there, or with another number", "", (*trial).rewritten},
	analyzer.Delayed:       {"a packet at one point and the same at the next, and between the two the end of the client's connection", "", (*trial).delayed},
	analyzer.ResetInjected: {"a RST at one point, its absence at the one nearer to its alleged sender", "", (*trial).injected},
	analyzer.Rejected: {"a RST or ICMP error in answer to a cited packet, which is lost; a SYN at the hop's point and its ICMP error; or a RST whose trailer says so", "",
		func(t *trial) string { return t.proxysOr((*trial).refusedBy) }},
	analyzer.PortClosed: {"a SYN at the hop and the RST or ICMP error of its destination", analyzer.ToServer, (*trial).portClosed},
	analyzer.NoAnswer: {"a SYN at the hop's point, and there the absence of any answer", analyzer.ToServer,
		func(t *trial) string { return t.unanswered("SYN", isSYN, answersToSYN) }},
	analyzer.ListenQueueFull: {"a SYN at the hop's point and the absence of a SYN-ACK, or the same SYN-ACK twice and the ACK of it", "",
		(*trial).listenQueueFull},
	analyzer.TupleReused: {"a SYN, and a packet of another connection of its 5-tuple", "", (*trial).tupleReused},
	analyzer.AppSilent: {"request data at the hop's point, and there the absence of any data back", analyzer.ToClient,
		func(t *trial) string { return t.unanswered("request", isData, answersToRequest) }},
	analyzer.AppError: {"a 5xx at the hop's point", analyzer.ToClient, func(t *trial) string { return t.answered("5xx", is5xx) }},
	analyzer.AppReset: {"request data at the hop's point and then a RST back", analyzer.ToClient,
		func(t *trial) string { return t.answered("RST", isRST) }},
	analyzer.AppTruncated: {"request data at the hop's point and then a FIN back", analyzer.ToClient,
		func(t *trial) string {
			return t.answered("FIN", func(x *Frame) bool { return x.has(flagFIN, flagRST) })
		}},
	analyzer.ClientAbort: {"a FIN or RST of the client, or something it says inside TLS", "", func(t *trial) string {
		if len(t.frames("", t.gaveUp)) == 0 && !t.inTLS() {
			return "no FIN or RST of the client is cited"
		}
		return ""
	}},
	analyzer.NoPoolMember:      {"a RST whose trailer says so", "", (*trial).told},
	analyzer.SNATExhausted:     {"a RST whose trailer says so", "", (*trial).told},
	analyzer.ConnectionLimit:   {"a RST whose trailer says so", "", (*trial).told},
	analyzer.ProtocolViolation: {"a RST whose trailer says so", "", (*trial).told},
	analyzer.NoListener:        {"a RST whose trailer says so", "", (*trial).told},
	analyzer.NoRoute:           {"a RST whose trailer says so, or an ICMP error that does in answer to a cited packet, which is lost", "", (*trial).unroutable},
	analyzer.ZeroWindow:        {"a RST whose trailer says so of the client's side, and a packet of the client's; or of a server two ACKs of one number with a window of zero", "", (*trial).shut},
	analyzer.IdleTimeout: {"a RST whose trailer says so, or, of a hop without trailers, its FIN or RST that meets data", "", func(t *trial) string {
		return t.toldOr("FIN or RST that meets data", t.meetsData)
	}},
	analyzer.TLSFailure: {"a RST whose trailer says so, or a TLS alert at the hop", "", func(t *trial) string {
		return t.toldOr("TLS alert", func(x *exhibit) bool { return isAlert(x.frame) || mayBeAlert(x.frame) })
	}},
	analyzer.Inconclusive: {"nothing", "", func(t *trial) string { return "" }},
}

// proxysOr: where the hop's own trailer speaks of it, that must hold; else otherwise.
func (t *trial) proxysOr(otherwise func(*trial) string) string {
	for _, x := range t.frames("", isRST) {
		if t.c.points[x.Point].hop == t.v.Hop && x.frame.hasCause() && !x.frame.trailer.Low.Ingress {
			return t.told()
		}
	}
	return otherwise(t)
}

// shut: the proxy says it of the client, which the hop is, or the hop's own window does.
func (t *trial) shut() string {
	if t.shutAtServer() {
		return ""
	}
	for _, x := range t.frames("", isRST) {
		if !x.frame.hasCause() || x.frame.trailer.Low.Ingress {
			continue
		}
		if why := t.toldBy(t.c.points[x.Point].hop); why != "" {
			return why
		}
		at := func(y *Frame) bool { return len(y.tcp) > 0 && y.flow() == x.frame.flow().back() }
		for _, y := range t.frames("", at) {
			if t.c.points[y.Point].hop == t.v.Hop {
				return ""
			}
		}
		return "no packet of the reset connection at " + t.v.Hop + " is cited"
	}
	return "no RST with a trailer is cited"
}

// toldOtherwise: what a cited trailer says of its own hop must not be another cause
// than the verdict's.
func (t *trial) toldOtherwise() string {
	for _, x := range t.frames("", isRST) {
		f := x.frame
		if !f.hasCause() || f.trailer.Low.Ingress || f.trailer.Medium.RSTCause.Peer {
			continue
		}
		if c := CauseOf(f.trailer.Medium.RSTCause.Text); c != "" && c != t.v.Cause && !t.waitedFor(f.trailer.Medium.RSTCause.Text) {
			return fmt.Sprintf("the trailer of frame %d of %s says %s", x.Frame, x.File, clip(f.trailer.Medium.RSTCause.Text))
		}
	}
	return ""
}

// told: a cited RST that the hop made says so in its trailer, not of its peer, and
// nothing on the other side of the proxy contradicts it.
func (t *trial) told() string { return t.toldBy(t.v.Hop) }

func (t *trial) toldBy(hop string) string {
	why := "no RST with a trailer is cited that the hop made"
	for _, x := range t.frames("", isRST) {
		f := x.frame
		if t.c.points[x.Point].hop != hop || !f.hasCause() || f.trailer.Low.Ingress {
			continue
		}
		r := &f.trailer.Medium.RSTCause
		switch {
		case r.Peer:
			why = fmt.Sprintf("the trailer of frame %d of %s says that the cause lies on the other side", x.Frame, x.File)
		case CauseOf(r.Text) != t.v.Cause:
			why = fmt.Sprintf("the trailer of frame %d of %s says %s", x.Frame, x.File, clip(r.Text))
		case neverOpened[t.v.Cause] && f.hasPeer() && f.trailer.High.Remote.Port() != 0:
			why = fmt.Sprintf("the trailer of frame %d of %s names a serverside connection all the same", x.Frame, x.File)
		default:
			return ""
		}
	}
	return why
}

// neverOpened: with these the proxy has no serverside connection.
var neverOpened = map[analyzer.Cause]bool{analyzer.NoPoolMember: true, analyzer.SNATExhausted: true, analyzer.NoListener: true}

// toldOr accepts, where the hop's frames have no trailers, another frame at the hop.
func (t *trial) toldOr(name string, is func(*exhibit) bool) string {
	trailers := false
	for _, x := range t.frames("", isRST) {
		trailers = trailers || t.c.points[x.Point].hop == t.v.Hop && x.frame.hasCause()
	}
	if trailers {
		return t.told()
	}
	for _, x := range t.frames("", func(*Frame) bool { return true }) {
		if t.c.points[x.Point].hop == t.v.Hop && is(x) {
			return ""
		}
	}
	return fmt.Sprintf("neither a RST with a trailer nor a %s at %s is cited", name, t.v.Hop)
}

// meetsData tells whether a FIN or RST crosses with data of the other side: who sent
// it took a connection for idle that was in use.
func (t *trial) meetsData(x *exhibit) bool {
	if !x.frame.has(0, 0) || x.frame.tcp[0].flags&(flagFIN|flagRST) == 0 {
		return false
	}
	return len(t.frames(x.Point, func(y *Frame) bool { return isData(y) && y.flow() == x.frame.flow().back() && y.Number > x.Frame })) > 0
}

// causeTexts maps the texts of BIG-IP trailers, by their beginnings in lower case, to
// causes. Spellings: reset causes published in captures, logs and `tmsh show net
// rst-cause` (K13223).
var causeTexts = []struct {
	text  string
	cause analyzer.Cause
}{
	{"no pool member", analyzer.NoPoolMember},
	{"no available pool member", analyzer.NoPoolMember},
	{"no server selected", analyzer.NoPoolMember},
	{"no available snat", analyzer.SNATExhausted},
	{"unable to select local port", analyzer.SNATExhausted},
	{"unable to obtain local port", analyzer.SNATExhausted},
	{"connection limit", analyzer.ConnectionLimit},
	{"flow expired (sweeper)", analyzer.IdleTimeout},
	{"idle timeout", analyzer.IdleTimeout},
	{"http header", analyzer.ProtocolViolation},
	{"http internal error", analyzer.ProtocolViolation},
	{"http process", analyzer.ProtocolViolation},
	{"http parse", analyzer.ProtocolViolation},
	{"ssl alert", ""}, // the client's, which blames nobody
	{"ssl ", analyzer.TLSFailure},
	{"no shared ciphers", analyzer.TLSFailure},
	{"bad ssl record", analyzer.TLSFailure},
	{"no route to host", analyzer.NoRoute},
	{"handshake timeout", analyzer.IdleTimeout},
	{"tcp zero window timeout", analyzer.ZeroWindow},
	{"no flow found for ack", analyzer.SessionExpired},
	{"irule execution", analyzer.Rejected},
	{"policy action", analyzer.Rejected},
	{"dos attack", analyzer.Rejected},
	{"no local listener", analyzer.NoListener},
	{"no available listener", analyzer.NoListener},
	{"port denied", analyzer.NoListener},
	{"vip down", analyzer.NoPoolMember},
	{"vip disabled", analyzer.NoListener},
}

// CauseOf is the cause that a BIG-IP's RST text stands for; "" if it stands for none
// that could be named from it alone.
func CauseOf(text string) analyzer.Cause {
	i := slices.IndexFunc(causeTexts, func(c struct {
		text  string
		cause analyzer.Cause
	}) bool {
		return strings.HasPrefix(strings.ToLower(text), c.text)
	})
	if i < 0 {
		return ""
	}
	return causeTexts[i].cause
}
