package analyzer

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// frame makes evidence of a packet.
func (v *flowView) frame(i int, g *sighting, what string) Evidence {
	s := v.steps[i].s
	e := s.cite(g.frame, what)
	e.Time = stamp(s.raw(g.frame, g.time))
	e.Digest = hex.EncodeToString(g.digest[:])
	e.Filter = v.steps[i].packetFilter(g)
	if g.icmp {
		e.Filter = v.steps[i].filterICMP(g)
	}
	return e
}

// numbered finds a packet of which only the frame is known; nil if it is not there.
func (v *flowView) numbered(s *survey, frame uint64) (int, *sighting) {
	for i := range v.steps {
		for j := range v.steps[i].all {
			if g := &v.steps[i].all[j]; v.steps[i].s == s && g.frame == frame {
				return i, g
			}
		}
	}
	return -1, nil
}

// packetFilter finds one packet, and its copies, among those of its flow.
func (s *step) packetFilter(g *sighting) string {
	terms := s.addresses(g.toServer)
	for _, f := range []struct {
		name string
		flag byte
	}{{"syn", flagSYN}, {"ack", flagACK}, {"fin", flagFIN}, {"reset", flagRST}} {
		bit := 0
		if g.flags&f.flag != 0 {
			bit = 1
		}
		terms = append(terms, fmt.Sprintf("tcp.flags.%s==%d", f.name, bit))
	}
	terms = append(terms, s.seq(g.toServer, g.seq), fmt.Sprintf("tcp.len==%d", g.length))
	if g.flags&flagACK != 0 {
		terms = append(terms, s.ack(g.toServer, g.ack))
	}
	return strings.Join(terms, " && ")
}

// filterICMP finds an ICMP error by its type and by what it quotes, which went the
// other way. Of that, Wireshark shows the sequence number as it is and calls it
// tcp.seq; ICMPv4 quotes have no tcp.seq_raw.
func (s *step) filterICMP(g *sighting) string {
	icmp := "icmp"
	if g.icmpFrom.Is6() && !g.icmpFrom.Is4In6() {
		icmp = "icmpv6"
	}
	terms := []string{fmt.Sprintf("%s.type==%d", icmp, g.icmpWhat>>8), fmt.Sprintf("%s.code==%d", icmp, g.icmpWhat&255)}
	terms = append(terms, s.addresses(!g.toServer)...)
	return strings.Join(append(terms, fmt.Sprintf("tcp.seq==%d", g.seq+s.shift(!g.toServer))), " && ")
}

// frames makes evidence of several tries of one packet.
func (v *flowView) tries(i int, gs []*sighting, name string) []Evidence {
	var out []Evidence
	for n, g := range gs {
		what := name
		if len(gs) > 1 {
			what = fmt.Sprintf("%s, try %d of %d", name, n+1, len(gs))
		}
		out = append(out, v.frame(i, g, what))
	}
	return out
}
