package analyzer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// arpFrame is an ARP packet, or in IPv6 a neighbour solicitation or advertisement, in an
// Ethernet frame: host is who is asked for, and who tells.
func (s *story) arpFrame(what neighbourWhat, asker, host netip.Addr) []byte {
	mac := []byte{2, 0, 0, 0, 0, 1}
	ether := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac)
	if host.Is4() {
		operation, sender, target := byte(1), asker, host
		if what == answered {
			operation, sender, target = 2, host, asker
		}
		return slices.Concat(ether, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, operation}, mac, sender.AsSlice(), make([]byte, 6), target.AsSlice())
	}
	kind, sender, target := byte(neighbourSolicitation), asker, netip.MustParseAddr("ff02::1:ff00:1")
	if what == answered {
		kind, sender, target = neighbourAdvertisement, host, asker
	}
	return slices.Concat(ether, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255}, sender.AsSlice(), target.AsSlice(),
		[]byte{kind, 0, 0, 0, 0, 0, 0, 0}, host.AsSlice())
}

// asks has the firewall ask for a server at some points, and the server answer at others.
func (s *story) asks(at time.Duration, server string, seen, told []string) {
	firewall, host := s.addr("198.18.160.1"), s.addr(server)
	for i, point := range seen {
		s.capture(at+time.Duration(i)*hopDelay, point, told0, s.arpFrame(asked, firewall, host))
	}
	for i, point := range told {
		s.capture(at+time.Duration(3+i)*hopDelay, point, told0, s.arpFrame(answered, firewall, host))
	}
}

// told0 is of no connection.
var told0 = told{flow: &telling{}}

func TestWhoIsAskedForAndNotToldOfIsToBlameAndNotTheHopThatAsks(t *testing.T) {
	const feth10, server2 = "firewall/feth10", "server2/eth0"
	fails := func(s *story, at time.Duration) { s.failing(at, 17, 54373, 2, "firewall/feth11", "") }
	const at = 4 * time.Second
	// each has the firewall ask at each try of the SYN.
	each := func(s *story, seen, told []string) {
		for _, r := range retries {
			s.asks(at+r+10*time.Millisecond, "198.18.160.82", seen, told)
		}
	}
	// stranger asks like the firewall, from a hardware address that nothing else is sent from.
	stranger := func(s *story, at time.Duration) {
		for _, r := range retries {
			for i, point := range []string{feth10, server2} {
				frame := s.arpFrame(asked, s.addr("198.18.160.9"), s.addr("198.18.160.82"))
				frame[11] = 9
				s.capture(at+r+10*time.Millisecond+time.Duration(i)*hopDelay, point, told0, frame)
			}
		}
	}
	for _, row := range []struct {
		name   string
		tell   func(s *story)
		hop    string
		cause  Cause
		settle string
	}{
		{"the server has the question, and does not answer", func(s *story) {
			fails(s, at)
			each(s, []string{feth10, server2}, nil)
		}, "server2", NeighbourUnresolved, ""},
		{"the question does not come to the server", func(s *story) {
			fails(s, at)
			each(s, []string{feth10}, nil)
		}, "link:firewall-server2", NeighbourUnresolved, ""},
		{"the answer does not come to the firewall", func(s *story) {
			fails(s, at)
			each(s, []string{feth10, server2}, []string{server2})
		}, "link:firewall-server2", NeighbourUnresolved, ""},
		{"the question is answered, and the firewall drops the SYN all the same", func(s *story) {
			fails(s, at)
			each(s, []string{feth10, server2}, []string{server2, feth10})
		}, "firewall", SYNDropped, ""},
		{"the firewall asks for another server", func(s *story) {
			fails(s, at)
			for _, r := range retries {
				s.asks(at+r+10*time.Millisecond, "198.18.160.81", []string{feth10, "server1/eth0"}, nil)
			}
		}, "firewall", SYNDropped, ""},
		{"the firewall asks, and sends others to the server meanwhile", func(s *story) {
			fails(s, at)
			for i, r := range retries {
				s.asks(at+r-10*time.Millisecond, "198.18.160.82", []string{feth10, server2}, nil)
				s.good(at+r-8*time.Millisecond, 100+i, 30000+i, 2)
			}
		}, "firewall", SYNDropped, ""},
		{"it has asked long ago, and then forgot about it", func(s *story) {
			s.asks(at-3*time.Second, "198.18.160.82", []string{feth10, server2}, nil)
			fails(s, at)
		}, "firewall", SYNDropped, ""},
		{"so does the firewall, which is not told", func(s *story) {
			fails(s, at)
			each(s, []string{feth10, server2}, nil)
			stranger(s, at)
		}, "server2", NeighbourUnresolved, ""},
		{"somebody asks everybody for the server, who may be a monitor and told where this point does not see it", func(s *story) {
			fails(s, at)
			stranger(s, at)
		}, "", Inconclusive, "whose hardware address 02:00:00:00:00:09 is"},
		{"nobody captures at the server", func(s *story) {
			s.skip = append(s.skip, server2)
			fails(s, at)
			each(s, []string{feth10, server2}, nil)
		}, "", Inconclusive, "a capture on "},
		{"the server's capture is over by then", func(s *story) {
			s.cut[server2] = 3 * time.Second
			fails(s, at)
			each(s, []string{feth10}, nil)
		}, "", Inconclusive, "a capture at server2/eth0 that covers"},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(row.name+map[bool]string{false: ", ARP", true: ", neighbour discovery"}[v6], func(t *testing.T) {
				s := newStory(t)
				s.v6 = v6
				row.tell(s)
				s.background(0, 150)
				s.background(10*time.Second, 150)
				report := s.analyze()
				if len(report.Verdicts) != 1 {
					t.Fatalf("%d verdicts", len(report.Verdicts))
				}
				v := &report.Verdicts[0]
				if v.Hop != row.hop || v.Cause != row.cause || !strings.Contains(v.WouldSettle, row.settle) {
					t.Errorf("got %q %s, to settle %q, between %v", v.Hop, v.Cause, v.WouldSettle, v.Between)
				}
			})
		}
	}
}

// Where all that is under way waits for one server, nothing passes behind the firewall but
// its questions: the pauses between them look as if the capture were blind.
func TestASilenceBetweenQuestionsToEverybodyIsNoHole(t *testing.T) {
	const at = 5 * time.Second
	for _, row := range []struct {
		name    string
		spoil   func(frame []byte)
		every   time.Duration
		hop     string
		settle  string
		waiting int
		resumes time.Duration
	}{
		{"the firewall asks everybody, once a second", func([]byte) {}, time.Second, "server2", "", 6, 12 * time.Second},
		{"what waited leaves at once, when nothing else does", func([]byte) {}, time.Second, "server2", "", 6, 16 * time.Second},
		{"it asks the one host that it takes to be there, and may send to it meanwhile", func(f []byte) { f[0] &^= 1 }, time.Second, "", "but for a hole", 6, 12 * time.Second},
		{"it asks so seldom that it may have known in between", func([]byte) {}, 3 * time.Second, "", "but for a hole", 6, 12 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.background(0, 225)
			for i := range row.waiting {
				s.failing(at+time.Duration(i)*time.Millisecond, 17+i, 54373+i, 2, "firewall/feth11", "")
			}
			for i := range holeVotes { // these are open, and get through in the end: what they repeat is to pass
				b := s.serverFlow(41000+i, 2)
				s.handshake(time.Second+time.Duration(i)*time.Millisecond, b)
				data := told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(100 + i)}
				held := data
				held.dies = "firewall/feth11"
				for r := 100 * time.Millisecond; r < 7*time.Second; r += time.Second {
					s.tell(at+r, held)
				}
				s.tell(at+8*time.Second, data)
			}
			for ask := at - 300*time.Millisecond; ask < at+7*time.Second; ask += row.every {
				for i, point := range []string{"firewall/feth10", "server2/eth0"} {
					frame := s.arpFrame(asked, s.addr("198.18.160.1"), s.addr("198.18.160.82"))
					row.spoil(frame)
					s.capture(ask+time.Duration(i)*hopDelay, point, told0, frame)
				}
			}
			s.background(row.resumes, 150)
			report := s.analyze()
			if len(report.Verdicts) != row.waiting {
				t.Fatalf("%d verdicts", len(report.Verdicts))
			}
			for _, v := range report.Verdicts {
				if v.Hop != row.hop || row.hop != "" && v.Cause != NeighbourUnresolved || !strings.Contains(v.WouldSettle, row.settle) {
					t.Fatalf("got %q %s, to settle %q, between %v", v.Hop, v.Cause, v.WouldSettle, v.Between)
				}
			}
		})
	}
}

func TestWhatIsRememberedOfNeighboursIsBounded(t *testing.T) {
	s := newStory(t)
	var l neighbourLog
	for i := range maxRemembered + 10 {
		host := netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)})
		l.take(linkEthernet, s.arpFrame(asked, s.addr("198.18.160.1"), host), uint64(i+1), int64(i+1))
	}
	if l.events != maxRemembered || l.missed != maxRemembered+1 {
		t.Errorf("%d events are remembered, until %d", l.events, l.missed)
	}
}

func TestOnlyAQuestionForSomebodyElseIsOne(t *testing.T) {
	v4, v6 := newStory(t), newStory(t)
	v6.v6 = true
	for _, row := range []struct {
		name  string
		frame []byte
		what  neighbourWhat
		host  string // "": it is nothing
	}{
		{"ARP request", v4.arpFrame(asked, v4.addr("198.18.160.1"), v4.addr("198.18.160.82")), asked, "198.18.160.82"},
		{"ARP reply", v4.arpFrame(answered, v4.addr("198.18.160.1"), v4.addr("198.18.160.82")), answered, "198.18.160.82"},
		{"ARP probe", v4.arpFrame(asked, netip.IPv4Unspecified(), v4.addr("198.18.160.82")), 0, ""},
		{"ARP announcement", v4.arpFrame(asked, v4.addr("198.18.160.82"), v4.addr("198.18.160.82")), answered, "198.18.160.82"},
		{"half an ARP request", v4.arpFrame(asked, v4.addr("198.18.160.1"), v4.addr("198.18.160.82"))[:30], 0, ""},
		{"neighbour solicitation", v6.arpFrame(asked, v6.addr("198.18.160.1"), v6.addr("198.18.160.82")), asked, "2001:db8::18:160:82"},
		{"neighbour advertisement", v6.arpFrame(answered, v6.addr("198.18.160.1"), v6.addr("198.18.160.82")), answered, "2001:db8::18:160:82"},
		{"duplicate address detection", v6.arpFrame(asked, netip.IPv6Unspecified(), v6.addr("198.18.160.82")), 0, ""},
	} {
		what, host, ok := neighbourOf(linkEthernet, row.frame)
		if ok != (row.host != "") || ok && (what != row.what || host != netip.MustParseAddr(row.host)) {
			t.Errorf("%s: got %d %s %v", row.name, what, host, ok)
		}
		tagged := slices.Concat(row.frame[:12], []byte{0x81, 0, 0, 7}, row.frame[12:])
		if again, other, found := neighbourOf(linkEthernet, tagged); again != what || other != host || found != ok {
			t.Errorf("%s, in a VLAN: got %d %s %v", row.name, again, other, found)
		}
	}
}
