package bigip

import (
	"math"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/sim/capture"
)

// What a BIG-IP writes into the trailer of a RST that answers a packet without a flow:
// one reject flow for each TMM.
const (
	flowTypeReject = 0x46
	flagsReject    = 0x20
	rejectFlowID   = 0x5601b585cf40
)

// RSTs is what the f5's capture has seen of the RSTs that the f5 sent: the witness for
// the proxy's own ledger, and the ledger of those that no proxy made.
type RSTs struct {
	Sent    uint64        // by the f5, whatever the reason
	ByCause map[Reset]int // flows that were reset by the proxy, by [Reset.Kind]
	// Overtaken are resets that nobody sent, by their kind and whom they were to go to: the
	// other end's FIN came while the socket was being closed, and behind both FINs the kernel
	// has nothing to reset.
	Overtaken []Reset
	Rejected  []Reset // answers to packets that belong to no flow, which the kernel sends by itself
}

// RSTs returns what the capture has seen. Call it when the capture has ended.
func (t *FlowTable) RSTs() RSTs {
	t.advance(math.MaxInt64) // which removes all that is closed
	return t.rsts
}

// overtaken notes a half that is removed if it was to be reset and both FINs had passed.
func (t *FlowTable) overtaken(h *flowHalf) {
	if h.reset == nil || h.wasReset || h.rejected || h.fins != [2]bool{true, true} {
		return
	}
	r := h.kind(h.vlan != ClientsideVLAN)
	r.From, r.To = h.ends.local, h.ends.remote
	t.rsts.Overtaken = append(t.rsts.Overtaken, r)
}

// kind is how the reset of a half is counted.
func (h *flowHalf) kind(serverside bool) Reset {
	return Reset{Serverside: serverside, Cause: Cause{h.reset.Text, h.reset.Line}, Peer: h.reset.Peer}
}

// Of returns those of a proxy's resets that were sent.
func (r *RSTs) Of(made []Reset) (sent []Reset) {
	type way struct {
		kind     Reset
		from, to netip.AddrPort
	}
	overtaken := map[way]int{}
	for _, o := range r.Overtaken {
		overtaken[way{o.Kind(), o.From, o.To}]++
	}
	for _, m := range made {
		w := way{m.Kind(), m.From, m.To}
		if overtaken[w] > 0 {
			overtaken[w]--
			continue
		}
		sent = append(sent, m)
	}
	return sent
}

// fillRST writes the cause into the trailer of a RST that the f5 sends, and counts it.
func (t *FlowTable) fillRST(s side, h *flowHalf, ends tuple, f capture.Frame, seg segment) {
	if h != nil && h.reset == nil && t.config.VirtualServer.Type == FastL4 {
		return // one end's, passed on to the other
	}
	t.rsts.Sent++
	m := &t.trailer.Medium
	answersACK := seg.flags&flagACK == 0 // RFC 9293 §3.5.2
	if h != nil && h.reset != nil && !(h.wasReset && answersACK) {
		m.RSTCause, m.HasRSTCause = *h.reset, true
		if !h.wasReset {
			h.wasReset = true
			t.rsts.ByCause[h.kind(s == serverside)]++
		}
		if h.rejected {
			t.fillReject(*h.reset)
		}
		return
	}
	var cause Cause
	refused := s == clientside && t.refusal != (Cause{})
	switch answersSYN := seg.flags&flagACK != 0 && seg.seq == 0; {
	case answersSYN && ends.local == t.config.VirtualServer.Destination && refused:
		cause = t.refusal
	case refused && h != nil && !h.closed: // its SYN was answered just before the port was closed
		cause = t.refusal
	case h == nil && t.config.monitors(ends):
		cause = LinuxHost
	case answersSYN:
		cause = NoLocalListener
	case answersACK && (h == nil || h.closed):
		cause = NoFlowForACK
	default:
		return // a socket of the kernel's that was closed with bytes unread
	}
	r := Reset{Time: time.Unix(0, f.Time), Serverside: s == serverside, Ordinal: -1, Cause: cause}
	if r.From, r.To = ends.local, ends.remote; s == clientside {
		r.Client = ends.remote
	}
	t.rsts.Rejected = append(t.rsts.Rejected, r)
	if cause == LinuxHost { // which has no flow of TMM's
		m.RSTCause, m.HasRSTCause = cause.record(false), true
		return
	}
	t.fillReject(cause.record(false))
	if cause == NoLocalListener || cause == NoFlowForACK {
		t.trailer.Low.VirtualServer = ""
	}
	if h != nil {
		t.remove(h)
	}
}

// fillReject describes the reject flow.
func (t *FlowTable) fillReject(cause f5trailer.RSTCause) {
	t.trailer.Medium = f5trailer.Medium{FlowID: rejectFlowID, FlowType: flowTypeReject, CFFlags: flagsReject, HAUnit: egressHAUnit,
		RSTCause: cause, HasRSTCause: true}
	t.trailer.High = f5trailer.High{}
}

// reject is told of a RST that a FastL4 virtual server is about to send in answer to a
// packet without a flow. It returns the event's time.
func (t *FlowTable) reject(ends tuple, cause Cause) time.Time {
	return t.post(event{kind: flowRejected, client: ends, cause: cause})
}

// applyRejected puts the reject flow in the place of what there was, for the RST.
func (t *FlowTable) applyRejected(e *event) {
	if old := t.halves[e.client]; old != nil {
		t.remove(old)
	}
	cause := e.cause.record(false)
	h := &flowHalf{ends: e.client, tmm: clientTMM(e.client), reset: &cause, rejected: true, carrying: true}
	t.halves[h.ends] = h
	t.leaving.push(departure{e.at + linger, h})
}
