package analyzer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
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
