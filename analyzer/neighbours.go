package analyzer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
)

// neighbourLog is what a point saw of hardware addresses that were asked for and told: ARP
// (RFC 826), and neighbour solicitations and advertisements (RFC 4861 §4.3, §4.4). A packet
// to a host that was asked for tells as much as an answer: whoever sent it knows the address.
type neighbourLog struct {
	hosts   map[netip.Addr][]neighbourEvent // by who is asked for, in file order
	waiting map[netip.Addr]bool             // those whose last event is a question
	events  int                             // of all hosts together
	missed  int64                           // when there were more than are remembered, as in the file; 0: never
}

// neighbourEvent is a question, an answer, or a packet that makes one needless.
type neighbourEvent struct {
	what   neighbourWhat
	from   [6]byte // who sent it, as far as its link layer says
	toAll  bool    // it is to everybody on the link, or to a group
	frame  uint64
	time   int64 // as in the file
	digest [8]byte
}

type neighbourWhat uint8

const (
	asked neighbourWhat = iota
	answered
	used
)

// EtherType and fields of the two protocols.
const (
	etherARP               = 0x0806
	arpRequest             = 1
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
)

// take looks at a frame that has no TCP.
func (l *neighbourLog) take(link uint16, f []byte, frame uint64, time int64) {
	what, host, ok := neighbourOf(link, f)
	if !ok || what == answered && len(l.hosts[host]) == 0 {
		return // what nobody had asked for
	}
	sum := sha256.Sum256(f)
	e := neighbourEvent{what: what, frame: frame, time: time}
	e.from, e.toAll = linkEnds(link, f)
	copy(e.digest[:], sum[:])
	l.add(host, e)
}

func (l *neighbourLog) add(host netip.Addr, e neighbourEvent) {
	if l.events >= maxRemembered {
		if l.missed == 0 {
			l.missed, l.waiting = e.time, nil
		}
		return
	}
	if l.hosts == nil {
		l.hosts, l.waiting = map[netip.Addr][]neighbourEvent{}, map[netip.Addr]bool{}
	}
	l.hosts[host] = append(l.hosts[host], e)
	l.events++
	if e.what == asked {
		l.waiting[host] = true
	} else {
		delete(l.waiting, host)
	}
}

// sent notes a packet to a host that was asked for.
func (l *neighbourLog) sent(p *packet) {
	if len(l.waiting) == 0 {
		return
	}
	if host, _ := netip.AddrFromSlice(p.dst); l.waiting[host] {
		l.add(host, neighbourEvent{what: used, frame: p.frame, time: p.time})
	}
}

// neighbourOf reads a question or an answer, and whose hardware address it is about. A host
// that tries whether its own address is taken (RFC 5227 §2.1.1, RFC 4862 §5.4.2) asks for
// nobody, and one that announces itself in a request has answered.
func neighbourOf(link uint16, f []byte) (what neighbourWhat, host netip.Addr, ok bool) {
	ether, f, ok := etherOf(link, f)
	switch {
	case !ok:
	case ether == etherARP && len(f) >= 28 && binary.BigEndian.Uint32(f) == 1<<16|etherIPv4 && f[4] == 6 && f[5] == 4:
		sender, target := netip.AddrFrom4([4]byte(f[14:18])), netip.AddrFrom4([4]byte(f[24:28]))
		switch {
		case binary.BigEndian.Uint16(f[6:]) != arpRequest || sender == target:
			return answered, sender, true
		case !sender.IsUnspecified():
			return asked, target, true
		}
	case ether == etherIPv6 && len(f) >= 64 && f[0]>>4 == 6 && f[6] == protoICMPv6 && f[7] == 255:
		// The hop limit says that it comes from the link itself (RFC 4861 §7.1.1).
		sender, target := netip.AddrFrom16([16]byte(f[8:24])), netip.AddrFrom16([16]byte(f[48:64]))
		switch {
		case f[40] == neighbourAdvertisement:
			return answered, target, true
		case f[40] == neighbourSolicitation && !sender.IsUnspecified():
			return asked, target, true
		}
	}
	return 0, host, false
}

// etherOf takes off the link layer and its VLAN tags.
func etherOf(link uint16, f []byte) (ether uint16, rest []byte, ok bool) {
	switch {
	case link == linkEthernet && len(f) >= 14:
		ether, f = binary.BigEndian.Uint16(f[12:]), f[14:]
	case link == linkSLL && len(f) >= 16:
		ether, f = binary.BigEndian.Uint16(f[14:]), f[16:]
	case link == linkSLL2 && len(f) >= 20:
		ether, f = binary.BigEndian.Uint16(f), f[20:]
	default:
		return 0, nil, false
	}
	for ether == etherVLAN || ether == etherQinQ {
		if len(f) < 4 {
			return 0, nil, false
		}
		ether, f = binary.BigEndian.Uint16(f[2:]), f[4:]
	}
	return ether, f, true
}

// linkEnds are a frame's hardware addresses, as far as its link layer says: who sent it, and
// whether it is to everybody on the link or to a group.
func linkEnds(link uint16, f []byte) (from [6]byte, toGroup bool) {
	const broadcast, multicast = 1, 2 // packet types of LINKTYPE_LINUX_SLL
	switch {
	case link == linkEthernet && len(f) >= 12:
		copy(from[:], f[6:])
		return from, f[0]&1 != 0
	case link == linkSLL && len(f) >= 12:
		copy(from[:], f[6:])
		return from, f[1] == broadcast || f[1] == multicast
	case link == linkSLL2 && len(f) >= 18:
		copy(from[:], f[12:])
		return from, f[10] == broadcast || f[10] == multicast
	}
	return from, false
}

// forwards notes who sends to servers at this point.
func (s *survey) forwards(link uint16, f []byte) {
	if from, _ := linkEnds(link, f); len(s.forwarders) < maxNextHops && !slices.Contains(s.forwarders, from) {
		s.forwarders = append(s.forwarders, from)
	}
}

// about are the events of a host.
func (l *neighbourLog) about(host netip.Addr) (out []*neighbourEvent) {
	events := l.hosts[host]
	for i := range events {
		out = append(out, &events[i])
	}
	return out
}

// asking are the events of a host, without the questions of those who never sent to a
// server here: a monitor that asks everybody on the link for it tells nothing of who does.
func (s *survey) asking(host netip.Addr) []*neighbourEvent {
	events := s.neighbours.about(host)
	if n := len(s.forwarders); n == 0 || n == maxNextHops {
		return events // nobody knows who all of them are
	}
	return slices.DeleteFunc(events, func(e *neighbourEvent) bool { return e.what == asked && !slices.Contains(s.forwarders, e.from) })
}

// wait is a time in which nothing can have left for a host.
type wait struct {
	host     netip.Addr
	from, to int64
}

// waits are those between two questions to everybody, by who forwards to the host, who had
// heard nothing then. Who knows an address asks for it there, if at all (RFC 1122 §2.3.2.1,
// RFC 4861 §7.3.3).
//
//	feth11    feth10
//	   |         |--who-has, to all-->
//	   |--SYN--->|                       silence, as in a capture that is blind
//	   |         |--who-has, to all-->
func (s *survey) waits() (out []wait) {
	for host := range s.neighbours.hosts {
		events := s.asking(host)
		for i := 1; i < len(events); i++ {
			a, b := events[i-1], events[i]
			from, to := s.steady(a.frame, a.time), s.steady(b.frame, b.time)
			if a.what == asked && b.what == asked && a.toAll && b.toAll && a.from == b.from && to-from < asksAgain {
				out = append(out, wait{host, from, to})
			}
		}
	}
	return out
}

// askedKind and answerKind are the questions for a host's hardware address, and the answers.
// They are packets of no connection.
func askedKind(host netip.Addr) kind {
	k := kind{name: "question for the hardware address of " + host.String(), toServer: true}
	k.terms = func(*step) []string {
		if host.Is4() {
			return []string{"arp.opcode==1", fmt.Sprintf("arp.dst.proto_ipv4==%s", host)}
		}
		return []string{"icmpv6.type==135", fmt.Sprintf("icmpv6.nd.ns.target_address==%s", host)}
	}
	return k
}

func answerKind(host netip.Addr) kind {
	k := kind{name: "answer that tells the hardware address of " + host.String()}
	k.terms = func(*step) []string {
		if host.Is4() {
			return []string{"arp.opcode==2", fmt.Sprintf("arp.src.proto_ipv4==%s", host)}
		}
		return []string{"icmpv6.type==136", fmt.Sprintf("icmpv6.nd.na.target_address==%s", host)}
	}
	return k
}

// neighbour makes evidence of a question or an answer.
func (v *flowView) neighbour(i int, e *neighbourEvent, k kind) Evidence {
	s := v.steps[i].s
	x := s.cite(e.frame, k.name)
	x.Time, x.Digest, x.Filter = stamp(e.time), hex.EncodeToString(e.digest[:]), v.steps[i].filter(k)
	return x
}

// asSightings are events in the form in which packets are looked for elsewhere.
func (s *survey) asSightings(events []*neighbourEvent) (all []*sighting) {
	for _, e := range events {
		all = append(all, &sighting{frame: e.frame, time: s.steady(e.frame, e.time)})
	}
	return all
}
