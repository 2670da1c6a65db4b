package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// isLarge: more than every path has to carry in one piece, 576 bytes (RFC 791, what
// hosts can count on) or 1280 (RFC 8200 section 5).
func isLarge(x *Frame) bool {
	if !isData(x) {
		return false
	}
	const tcp = 20
	if x.ip[0].v6 {
		return x.tcp[0].length+tcp+40 > 1280
	}
	return x.tcp[0].length+tcp+20 > 576
}

// lost: packets of a kind are cited at the first point of between and absent at the
// second.
func (t *trial) lost(name string, is func(*Frame) bool) string {
	if len(t.v.Between) != 2 {
		return fmt.Sprintf("between must name the point that saw the %s last and the one that did not", name)
	}
	return t.seenNotThere(t.v.Between[0], t.v.Between[1], name, is)
}

func (t *trial) seenNotThere(seenAt, absentAt, name string, is func(*Frame) bool) string {
	seen := t.frames(seenAt, is)
	if len(seen) == 0 {
		return fmt.Sprintf("no %s is cited at %s", name, seenAt)
	}
	absences := t.absences(absentAt)
	if len(absences) == 0 {
		return fmt.Sprintf("no absence is cited at %s", absentAt)
	}
	why := ""
	for _, a := range absences {
		if why = t.excludes(a, seen); why == "" {
			return ""
		}
	}
	return why
}

// excludes tells why an absence does not say that packets seen elsewhere were not
// here; "" if it does.
func (t *trial) excludes(a *exhibit, seen []*exhibit) string {
	var asked, left []*exhibit
	for _, x := range seen {
		if ok, err := a.filter.Match(x.frame); ok && err == nil {
			asked = append(asked, x)
		} else {
			left = append(left, x)
		}
	}
	if len(asked) == 0 {
		return fmt.Sprintf("%s does not ask for frame %d of %s", a.where, seen[0].Frame, seen[0].File)
	}
	for _, x := range left { // a filter must not be so narrow that it finds one try only
		for _, y := range asked {
			if f := x.frame.flow(); f != (flow{}) && f == y.frame.flow() && x.frame.tcp[0].seq == y.frame.tcp[0].seq {
				return fmt.Sprintf("%s leaves out frame %d of %s, another try", a.where, x.Frame, x.File)
			}
		}
	}
	for _, x := range asked {
		if !t.covers(a, x) {
			return fmt.Sprintf("the range of %s does not cover the time of frame %d of %s", a.where, x.Frame, x.File)
		}
	}
	return ""
}

// covers tells whether the range of an absence includes the time at which a frame
// that was seen elsewhere would have passed, as far as the clocks are known to differ.
// Where that is not known it must be the whole file.
func (t *trial) covers(a, seen *exhibit) bool {
	if a.around == nil {
		return false
	}
	from, to := a.around[0], a.around[1]
	if from == 0 && to == 0 {
		return true
	}
	p, q := t.c.points[seen.Point].offset, t.c.points[a.Point].offset
	lo, hi := int64(0), int64(0)
	if a.Point != seen.Point {
		if p == nil || q == nil {
			return false
		}
		lo, hi = q[0]-p[1], q[1]-p[0]
	}
	at := seen.Time.UnixNano()
	return (from == 0 || from <= at+lo) && (to == 0 || to >= at+hi)
}

// synDropped: a SYN that is lost, and not refused, which would be another cause.
func (t *trial) synDropped() string {
	why := t.lost("SYN", isSYN)
	if why != "" {
		return why
	}
	for _, syn := range t.frames(t.v.Between[0], isSYN) {
		for _, x := range t.frames("", func(x *Frame) bool { return x.refuses(syn.frame) }) {
			return fmt.Sprintf("frame %d of %s refuses the SYN", x.Frame, x.File)
		}
	}
	return ""
}

// unanswered: a packet is cited at the hop's own point, and there the absence of any
// answer to it, for as long as it was tried.
func (t *trial) unanswered(name string, is func(*Frame) bool, answers func(*Frame) []*Frame) string {
	if len(t.v.Between) != 1 {
		return "between must name the hop's own point"
	}
	at := t.v.Between[0]
	seen := t.frames(at, is)
	if len(seen) == 0 {
		return fmt.Sprintf("no %s is cited at %s", name, at)
	}
	why := fmt.Sprintf("no absence of an answer is cited at %s", at)
	for _, a := range t.absences(at) {
		if why = t.silent(a, seen, answers); why == "" {
			return ""
		}
	}
	return why
}

func (t *trial) silent(a *exhibit, seen []*exhibit, answers func(*Frame) []*Frame) string {
	why := fmt.Sprintf("%s does not ask for an answer to frame %d of %s", a.where, seen[0].Frame, seen[0].File)
	for _, x := range seen {
		asks := true
		for _, answer := range answers(x.frame) {
			ok, err := a.filter.Match(answer)
			asks = asks && ok && err == nil
		}
		if !asks {
			continue
		}
		if !t.covers(a, x) {
			return fmt.Sprintf("the range of %s does not cover the time of frame %d of %s", a.where, x.Frame, x.File)
		}
		why = ""
	}
	return why
}

// answersToSYN are what a SYN could be answered with: SYN-ACK and RST.
func answersToSYN(syn *Frame) []*Frame {
	return []*Frame{syn.answer(flagSYN|flagACK, 0), syn.answer(flagRST|flagACK, 0)}
}

// answersToRequest is data of any length in answer to data.
func answersToRequest(request *Frame) []*Frame {
	return []*Frame{request.answer(flagACK, 1), request.answer(flagACK, 1000)}
}

// answer makes up what the other side would say.
func (x *Frame) answer(flags byte, length int) *Frame {
	ip, h := x.ip[0], x.tcp[0]
	end := h.seq + uint32(h.length)
	if h.flags&flagSYN != 0 {
		end++
	}
	return &Frame{Time: x.Time.Add(time.Millisecond),
		ip:  []ipHeader{{src: ip.dst, dst: ip.src, v6: ip.v6}},
		tcp: []tcpHeader{{src: h.dst, dst: h.src, seq: h.ack, ack: end, flags: flags, length: length, extent: whole, v6: ip.v6}}}
}

// answered: at the hop's own point, after a packet with data, a packet of a kind
// goes back.
func (t *trial) answered(name string, is func(*Frame) bool) string {
	if len(t.v.Between) != 1 {
		return "between must name the hop's own point"
	}
	at := t.v.Between[0]
	requests := t.frames(at, isData)
	for _, x := range t.frames(at, is) {
		for _, r := range requests {
			if r.Frame < x.Frame && r.frame.flow() == x.frame.flow().back() {
				return ""
			}
		}
	}
	return fmt.Sprintf("no %s behind a request is cited at %s", name, at)
}

// portClosed: the SYN's destination itself refuses it, at the hop's own point.
func (t *trial) portClosed() string {
	if len(t.v.Between) != 1 {
		return "between must name the hop's own point"
	}
	at := t.v.Between[0]
	for _, syn := range t.frames(at, isSYN) {
		for _, x := range t.frames(at, func(x *Frame) bool { return x.refuses(syn.frame) }) {
			if x.frame.hasCause() && !x.frame.trailer.Low.Ingress && CauseOf(x.frame.trailer.Medium.RSTCause.Text) != "" {
				return fmt.Sprintf("the trailer of frame %d of %s says %s", x.Frame, x.File, clip(x.frame.trailer.Medium.RSTCause.Text))
			}
			if x.frame.ip[0].src == syn.frame.ip[0].dst {
				return ""
			}
		}
	}
	return fmt.Sprintf("no RST or ICMP error of its destination in answer to a SYN is cited at %s", at)
}

// rejected: something on the way refuses a packet, and the packet gets no further.
func (t *trial) rejected() string {
	if len(t.v.Between) != 2 {
		return "between must name the point that saw the packet and its rejection, and the next one"
	}
	at := t.v.Between[0]
	for _, x := range t.frames(at, func(x *Frame) bool { return len(x.tcp) > 0 && !x.tcp[0].quoted }) {
		if len(t.frames("", func(y *Frame) bool { return y.refuses(x.frame) })) == 0 {
			continue
		}
		flow, seq := x.frame.flow(), x.frame.tcp[0].seq
		return t.lost("packet that was rejected", func(y *Frame) bool { return y.flow() == flow && y.tcp[0].seq == seq })
	}
	return fmt.Sprintf("no RST or ICMP error in answer to a packet cited at %s is cited", at)
}

// corrupted: the same packet is whole at one point and damaged at the next.
func (t *trial) corrupted() string {
	if len(t.v.Between) != 2 {
		return "between must name the point that saw the packet whole and the next one"
	}
	segment := func(damaged bool) func(*Frame) bool {
		return func(x *Frame) bool { return len(x.tcp) > 0 && !x.tcp[0].quoted && x.tcp[0].damaged == damaged }
	}
	for _, x := range t.frames(t.v.Between[0], segment(false)) {
		a := x.frame.tcp[0]
		for _, y := range t.frames(t.v.Between[1], segment(true)) {
			if b := y.frame.tcp[0]; y.frame.flow() == x.frame.flow() && b.seq == a.seq && b.length == a.length && b.flags == a.flags {
				return ""
			}
		}
	}
	return fmt.Sprintf("no packet is cited that is whole at %s and has a wrong checksum at %s", t.v.Between[0], t.v.Between[1])
}

// injected: the RST was not there nearer to its alleged sender.
func (t *trial) injected() string {
	if len(t.v.Between) != 2 {
		return "between must name a point that saw the RST and one that did not"
	}
	near, far := t.v.Between[0], t.v.Between[1] // to who is reset
	if towards := t.c.points[near].index < t.c.points[far].index; towards != (t.v.Direction == analyzer.ToClient) {
		return fmt.Sprintf("%s is not nearer than %s to who would have sent a RST %s", far, near, t.v.Direction)
	}
	return t.seenNotThere(near, far, "RST", isRST)
}

// sessionExpired: the connection had passed the hop before, and now its packet does
// not, or is answered with a RST there.
func (t *trial) sessionExpired() string {
	if len(t.v.Between) == 0 {
		return "between names no point"
	}
	last := t.v.Between[len(t.v.Between)-1]
	mid := func(x *Frame) bool { return x.has(0, flagSYN|flagRST) }
	for _, x := range t.frames(t.v.Between[0], mid) {
		f := x.frame.flow()
		before := t.frames(last, func(y *Frame) bool { return (y.flow() == f || y.flow() == f.back()) && y != x.frame && !isRST(y) })
		if len(before) == 0 {
			continue
		}
		if len(t.frames("", func(y *Frame) bool { return y.refuses(x.frame) })) > 0 {
			return ""
		}
		return t.lost("packet", func(y *Frame) bool { return mid(y) && y.flow() == f })
	}
	return fmt.Sprintf("no packet at %s is cited of a connection that %s had seen before", t.v.Between[0], last)
}

// tupleReused: where it happened the SYN met another connection of its 5-tuple: an
// ACK answers it that is not of it, or an earlier packet of the same 5-tuple is cited.
func (t *trial) tupleReused() string {
	const window = 1 << 16 // an ACK of the SYN's own connection is at most so far ahead
	for _, at := range t.v.Between {
		for _, syn := range t.frames(at, isSYN) {
			f, isn := syn.frame.flow(), syn.frame.tcp[0].seq
			old := t.frames(at, func(x *Frame) bool { return x.flow() == f.back() && isACK(x) && x.tcp[0].ack-(isn+1) > window })
			other := t.frames(at, func(x *Frame) bool { return x.flow() == f && x.has(0, 0) && x.tcp[0].seq != isn })
			if len(old) > 0 || slices.ContainsFunc(other, func(x *exhibit) bool { return t.before(x, syn) }) {
				return ""
			}
		}
	}
	return "no packet of another connection of a cited SYN's 5-tuple is cited"
}

// listenQueueFull: the SYN is not answered, or its answer is repeated although the
// ACK of it has come.
func (t *trial) listenQueueFull() string {
	why := t.unanswered("SYN", isSYN, func(syn *Frame) []*Frame { return []*Frame{syn.answer(flagSYN|flagACK, 0)} })
	if why == "" || len(t.v.Between) != 1 {
		return why
	}
	at := t.v.Between[0]
	for _, first := range t.frames(at, isSYNACK) {
		f, seq := first.frame.flow(), first.frame.tcp[0].seq
		again := t.frames(at, func(x *Frame) bool {
			return isSYNACK(x) && x.flow() == f && x.tcp[0].seq == seq && x.Number > first.Frame
		})
		acked := t.frames(at, func(x *Frame) bool {
			return x.has(flagACK, flagSYN|flagRST) && x.flow() == f.back() && x.tcp[0].ack == seq+1
		})
		if len(again) > 0 && len(acked) > 0 && acked[0].Frame < again[len(again)-1].Frame {
			return ""
		}
	}
	return why
}
