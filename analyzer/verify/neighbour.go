package verify

import (
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// arpHeader is what of an ARP packet for IPv4 is looked at (RFC 826).
type arpHeader struct {
	opcode         uint16
	sender, target netip.Addr
}

// Types of ICMPv6, RFC 4861.
const (
	solicitation  = 135
	advertisement = 136
)

func (d *decoder) resolution(data []byte, x *Frame) {
	if d.arp.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || d.arp.Protocol != layers.EthernetTypeIPv4 || d.arp.ProtAddressSize != 4 {
		return
	}
	h := arpHeader{opcode: d.arp.Operation}
	h.sender, _ = netip.AddrFromSlice(d.arp.SourceProtAddress)
	h.target, _ = netip.AddrFromSlice(d.arp.DstProtAddress)
	x.arp = &h
}

func ofARP(get func(*arpHeader) value, k kind, bits int) *field {
	return &field{kind: k, bits: bits, travel: true, get: func(x *Frame) ([]value, error) {
		if x.arp == nil {
			return nil, nil
		}
		return []value{get(x.arp)}, nil
	}}
}

func ofDiscovery(typ uint8) *field {
	return &field{kind: isIPv6, travel: true, get: func(x *Frame) ([]value, error) {
		if x.icmp == nil || !x.icmp.v6 || x.icmp.typ != typ || !x.icmp.target.IsValid() {
			return nil, nil
		}
		return []value{{addr: x.icmp.target}}, nil
	}}
}

// asksFor is whose hardware address a question is for; invalid if it is none.
func (x *Frame) asksFor() (host netip.Addr) {
	switch {
	case x.arp != nil && x.arp.opcode == layers.ARPRequest:
		return x.arp.target
	case x.icmp != nil && x.icmp.v6 && x.icmp.typ == solicitation:
		return x.icmp.target
	}
	return host
}

// tells is whose hardware address an answer is about; invalid if it is none.
func (x *Frame) tells() (host netip.Addr) {
	switch {
	case x.arp != nil && x.arp.opcode == layers.ARPReply:
		return x.arp.sender
	case x.icmp != nil && x.icmp.v6 && x.icmp.typ == advertisement:
		return x.icmp.target
	}
	return host
}

// answersToQuestion is what the host that is asked for would say.
func answersToQuestion(question *Frame) []*Frame {
	host, at := question.asksFor(), question.Time
	if host.Is4() {
		return []*Frame{{Time: at, arp: &arpHeader{opcode: layers.ARPReply, sender: host, target: question.arp.sender}}}
	}
	return []*Frame{{Time: at, icmp: &icmpHeader{v6: true, typ: advertisement, target: host}}}
}

// neighbourUnresolved: a packet comes to a hop and does not leave it, and the hop asks for
// its destination. Then either the question is lost, or the answer, or it is not answered.
func (t *trial) neighbourUnresolved() string {
	asks := func(x *Frame) bool { return x.asksFor().IsValid() }
	questions := t.frames("", asks)
	if len(questions) == 0 {
		return "no question for a hardware address is cited"
	}
	if why := t.waits(questions); why != "" {
		return why
	}
	switch {
	case len(t.v.Between) != 2:
		return t.unanswered("question for a hardware address", asks, answersToQuestion)
	case t.c.points[t.v.Between[0]].index < t.c.points[t.v.Between[1]].index:
		return t.lost("question for a hardware address", asks)
	}
	return t.lost("answer that tells a hardware address", func(x *Frame) bool { return x.tells().IsValid() })
}

// waits: a packet is cited that came to the hop that asks, for the host that it asks for,
// and its absence where the hop asks.
func (t *trial) waits(questions []*exhibit) string {
	for _, q := range questions {
		host := q.frame.asksFor()
		for _, x := range t.frames("", func(x *Frame) bool { return x.has(0, flagRST) && x.ip[0].dst == host }) {
			if x.Point == q.Point || t.c.points[x.Point].hop != t.c.points[q.Point].hop {
				continue
			}
			f, seq := x.frame.flow(), x.frame.tcp[0].seq
			same := func(y *Frame) bool { return y.has(0, flagRST) && y.flow() == f && y.tcp[0].seq == seq }
			if t.seenNotThere(x.Point, q.Point, "packet", same) == "" {
				return ""
			}
		}
	}
	return fmt.Sprintf("no packet is cited that came to the hop of %s for a host that is asked for there, and did not leave", questions[0].Point)
}
