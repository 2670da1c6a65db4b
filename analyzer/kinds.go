package analyzer

import (
	"fmt"
	"slices"
	"strings"
)

// kind is a class of packets of a connection, and how Wireshark finds it.
type kind struct {
	name     string
	toServer bool
	is       func(*sighting) bool // nil: it is of no connection
	terms    func(*step) []string // of a display filter, beside the flow's addresses, if it has any
}

func synKind(v *flowView) kind {
	return kind{"SYN", true,
		func(g *sighting) bool { return g.toServer && g.is(flagSYN, flagACK) },
		func(s *step) []string { return []string{"tcp.flags.syn==1", "tcp.flags.ack==0", s.seq(true, v.isn)} }}
}

func synAckKind(v *flowView) kind {
	return kind{"SYN-ACK", false,
		func(g *sighting) bool { return !g.toServer && g.is(flagSYN|flagACK, 0) },
		func(s *step) []string {
			return []string{"tcp.flags.syn==1", "tcp.flags.ack==1", s.ack(false, v.isn+1)}
		}}
}

// rstKind is a RST or ICMP error in one direction.
func rstKind(v *flowView, toServer bool) kind {
	return kind{"RST", toServer,
		func(g *sighting) bool { return g.toServer == toServer && (g.icmp || g.is(flagRST, 0)) },
		func(*step) []string { return []string{"tcp.flags.reset==1"} }}
}

// byteKind is every segment of a direction that carries one byte: with other
// segment sizes at other points (TSO, a proxy of segments), what matters is
// whether the byte was there.
func byteKind(v *flowView, toServer bool, seq uint32) kind {
	name := "request data"
	if !toServer {
		name = "response data"
	}
	return kind{name, toServer,
		func(g *sighting) bool {
			return g.toServer == toServer && !g.icmp && g.flags&flagRST == 0 && g.covers(seq)
		},
		func(s *step) []string { return []string{"tcp.len>0", s.seq(toServer, seq)} }}
}

// ackKind is the ACK that ends the handshake.
func ackKind(v *flowView, serverISN uint32) kind {
	return kind{"the handshake's last ACK", true,
		func(g *sighting) bool {
			return g.toServer && g.is(flagACK, flagSYN|flagRST) && int32(g.ack-serverISN) > 0
		},
		func(s *step) []string { return []string{"tcp.flags.ack==1", "tcp.flags.syn==0", s.seq(true, v.isn+1)} }}
}

// filter is the Wireshark display filter that finds a kind of packet at a step.
func (s *step) filter(k kind) string {
	if k.is == nil {
		return strings.Join(k.terms(s), " && ")
	}
	terms := s.addresses(k.toServer)
	if k.terms != nil {
		terms = append(terms, k.terms(s)...)
	}
	return strings.Join(slices.DeleteFunc(terms, func(t string) bool { return t == "" }), " && ")
}

// addresses are the terms for one direction of the connection, in the names that
// the step's point has for it.
func (s *step) addresses(toServer bool) []string {
	if s.rewritten && !s.found {
		return nil // whatever its addresses are there; its numbers find it
	}
	src, dst := s.client, s.server
	if !toServer {
		src, dst = dst, src
	}
	ip := "ip"
	if src.Addr().Is6() && !src.Addr().Is4In6() {
		ip = "ipv6"
	}
	return []string{fmt.Sprintf("%s.src==%s", ip, src.Addr()), fmt.Sprintf("tcp.srcport==%d", src.Port()),
		fmt.Sprintf("%s.dst==%s", ip, dst.Addr()), fmt.Sprintf("tcp.dstport==%d", dst.Port())}
}

// seq and ack are the terms for a number in one direction, as the point has it.
func (s *step) seq(toServer bool, n uint32) string {
	if s.renumbered && !s.found {
		return ""
	}
	return fmt.Sprintf("tcp.seq_raw==%d", n+s.shift(toServer))
}

func (s *step) ack(toServer bool, n uint32) string {
	if s.renumbered && !s.found {
		return ""
	}
	return fmt.Sprintf("tcp.ack_raw==%d", n+s.shift(!toServer))
}

// shift is what a box in between adds to a direction's sequence numbers.
func (s *step) shift(toServer bool) uint32 {
	if toServer {
		return s.up
	}
	return s.down
}
