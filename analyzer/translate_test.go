package analyzer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// beyondFirewall tells whether a point sees what the firewall has made of a packet.
func beyondFirewall(point string) bool {
	return point == "firewall/feth10" || strings.HasPrefix(point, "server")
}

// source NAT by the firewall: other address, other port, as a hash of the old one.
func natted(point string, p told) told {
	if !beyondFirewall(point) || p.flow.vlan == 4094 {
		return p
	}
	f := *p.flow
	f.client = netip.AddrPortFrom(netip.MustParseAddr("198.18.160.1"), f.client.Port()*31|1024)
	p.flow = &f
	return p
}

// renumbered hides the sequence numbers of both directions.
func renumbered(point string, p told) told {
	if !beyondFirewall(point) || p.flow.vlan == 4094 {
		return p
	}
	up, down := p.flow.isn*2654435761, p.flow.isn*40503+7
	if !p.toServer {
		up, down = down, up
	}
	if p.seq += up; p.flags&flagACK != 0 {
		p.ack += down
	}
	return p
}

func TestBoxesThatRewriteConnections(t *testing.T) {
	type want struct {
		hop string
		Cause
		filter string // part of the absence's
	}
	for _, c := range []struct {
		name string
		box  func(string, told) told
		tell func(s *story)
		want
	}{
		{"NAT, and the SYN is lost in the firewall", natted, func(s *story) { s.failing(at, 17, 54373, 2, "firewall/feth11", "") },
			want{"firewall", SYNDropped, "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.seq_raw=="}},
		{"NAT, and the SYN is lost behind the firewall", natted, func(s *story) { s.failing(at, 17, 54373, 2, "firewall/feth10", "") },
			want{"link:firewall-server2", SYNDropped, "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.seq_raw=="}},
		{"NAT, and the server ignores the SYN", natted, func(s *story) { s.failing(at, 17, 54373, 2, "server2/eth0", "") },
			want{"server2", NoAnswer, "ip.dst==198.18.160.1 "}},
		{"NAT, and the SYN-ACK is lost in the firewall", natted, func(s *story) { s.failing(at, 17, 54373, 2, "", "firewall/feth10") },
			want{"firewall", SYNAckDropped, "ip.dst==198.18.60.247 "}},
		{"other numbers, and the SYN is lost in the firewall", renumbered, func(s *story) { s.failing(at, 17, 54373, 2, "firewall/feth11", "") },
			want{"firewall", SYNDropped, "ip.src==198.18.60.247 "}},
		{"other numbers, and the server ignores the SYN", renumbered, func(s *story) { s.failing(at, 17, 54373, 2, "server2/eth0", "") },
			want{"server2", NoAnswer, ""}},
		{"other numbers, and the SYN-ACK is lost in the firewall", renumbered, func(s *story) { s.failing(at, 17, 54373, 2, "", "firewall/feth10") },
			want{"firewall", SYNAckDropped, ""}},
	} {
		for _, trailers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trailers %v", c.name, trailers), func(t *testing.T) {
				s := newStory(t)
				s.box, s.trailers = c.box, trailers
				c.tell(s)
				s.background(0, 300)
				s.clock["firewall/feth10"] = -20 * time.Minute
				r := s.analyze()
				if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != c.hop || r.Verdicts[0].Cause != c.Cause {
					t.Fatalf("want %s %s, got %s", c.hop, c.Cause, show(r))
				}
				for _, e := range r.Verdicts[0].Evidence {
					if e.Kind == KindAbsence && !strings.Contains(e.Filter, c.filter) {
						t.Errorf("filter %q, want %q in it", e.Filter, c.filter)
					}
				}
			})
		}
	}
}
