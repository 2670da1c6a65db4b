package analyzer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// digest is what [Evidence].Digest spells.
func digest(frame []byte) [8]byte {
	sum := sha256.Sum256(frame)
	return [8]byte(sum[:8])
}

// evidence cites a packet of the tuple's flow.
func (s *sighting) evidence(p Point, t tuple, what string) Evidence {
	return Evidence{Kind: KindFrame, Point: p.Name, File: p.File, Frame: s.frame, Time: stamp(s.time), What: what,
		Filter: s.filter(t), Digest: hex.EncodeToString(s.digest[:])}
}

// filter is a Wireshark display filter for one direction of a connection.
func (t tuple) filter(toServer bool) string {
	src, dst := t.client, t.server
	if !toServer {
		src, dst = dst, src
	}
	ip := "ip"
	if src.Addr().Is6() && !src.Addr().Is4In6() {
		ip = "ipv6"
	}
	return fmt.Sprintf("%s.src==%s && tcp.srcport==%d && %s.dst==%s && tcp.dstport==%d", ip, src.Addr(), src.Port(), ip, dst.Addr(), dst.Port())
}

// filter finds this packet and its retransmissions, not others of the flow. An
// ICMP error is found by what it is and what it quotes, which went the other way.
func (s *sighting) filter(t tuple) string {
	if s.icmp {
		icmp := "icmp"
		if s.icmpFrom.Is6() {
			icmp = "icmpv6"
		}
		// Of what is quoted, Wireshark shows the sequence number as it is and calls
		// it tcp.seq; ICMPv4 quotes have no tcp.seq_raw.
		return fmt.Sprintf("%s.type==%d && %s.code==%d && %s && tcp.seq==%d", icmp, s.icmpWhat>>8, icmp, s.icmpWhat&255, t.filter(!s.toServer), s.seq)
	}
	var b strings.Builder
	b.WriteString(t.filter(s.toServer))
	for _, f := range []struct {
		name string
		bit  byte
	}{{"syn", flagSYN}, {"ack", flagACK}, {"fin", flagFIN}, {"reset", flagRST}} {
		set := 0
		if s.flags&f.bit != 0 {
			set = 1
		}
		fmt.Fprintf(&b, " && tcp.flags.%s==%d", f.name, set)
	}
	fmt.Fprintf(&b, " && tcp.seq_raw==%d && tcp.len==%d", s.seq, s.length)
	if s.flags&flagACK != 0 {
		fmt.Fprintf(&b, " && tcp.ack_raw==%d", s.ack)
	}
	return b.String()
}
