package analyzer

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// LadderStory is an analysis for the tests of package ladder, which see this one from
// outside.
type LadderStory struct {
	Name   string // a sentence
	Points []Point
	Report *Report
	told   []death
}

// death is a packet that died, and the last point that it passed.
type death struct {
	Conn
	toServer bool
	flags    byte
	dies     string
}

// Died tells whether a packet of a connection with these flags died behind one point and
// before another.
func (s *LadderStory) Died(c Conn, toServer bool, flags byte, last, next string) bool {
	way := []string{"client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10", "server1/eth0", "server2/eth0"}
	place := func(point string) int {
		if strings.HasPrefix(point, "server") {
			point = "server1/eth0" // they are side by side
		}
		i := slices.Index(way, point)
		if !toServer {
			i = -i
		}
		return i
	}
	return slices.ContainsFunc(s.told, func(d death) bool {
		return d.Conn == c && d.toServer == toServer && d.flags == flags&^flagPSH && place(last) <= place(d.dies) && place(d.dies) < place(next)
	})
}

// ladderStories are what a ladder may have to draw. Requests at fault come from port 54373.
var ladderStories = []struct {
	name string
	tell func(s *story)
}{
	{"the firewall drops the SYN", func(s *story) {
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"the firewall drops the SYN-ACK", func(s *story) {
		s.failing(at, 17, 54373, 2, "", "firewall/feth10")
	}},
	{"the server resets", func(s *story) {
		s.served(at, 17, 54373, 2, "", "", flagRST)
	}},
	{"the client gives up", func(s *story) {
		c, b, when := s.opened(at, 17, 54373, 2, post(17))
		n := uint32(len(post(17)))
		when = s.handshake(when, b)
		s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
		s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
		s.tell(when+5*hopDelay, told{flow: c, toServer: true, flags: flagRST | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
		s.tell(when+7*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
	}},
	{"the SYN dies in the switch, where nobody captured", func(s *story) {
		s.failing(at, 17, 54373, 2, "firewall/feth10", "")
	}},
	{"feth10's capture has one direction only", func(s *story) {
		s.blind = func(point string, _ time.Duration, p told) bool { return point == "firewall/feth10" && p.toServer }
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"the server's capture ends before the failure", func(s *story) {
		s.cut["server2/eth0"] = at - time.Second
		s.failing(at, 17, 54373, 2, "firewall/feth10", "")
	}},
	{"feth10's capture misses every third connection", func(s *story) {
		s.blind = func(point string, _ time.Duration, p told) bool {
			return point == "firewall/feth10" && p.flow.client.Port()%3 == 0
		}
		s.failing(at, 17, 54374, 2, "firewall/feth11", "")
	}},
	{"feth10's capture misses what the server got", func(s *story) {
		s.blind = func(point string, _ time.Duration, p told) bool {
			return point == "firewall/feth10" && p.flow.client.Port() == 64373
		}
		s.failing(at, 17, 54373, 2, "server2/eth0", "")
	}},
	{"feth10's capture has a hole just then", func(s *story) {
		s.blind = func(point string, t time.Duration, _ told) bool {
			return point == "firewall/feth10" && t > at-time.Second/2 && t < at+6*time.Second
		}
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		s.background(at+7*time.Second, 40)
	}},
	{"clocks are an hour apart", func(s *story) {
		s.clock["firewall/feth11"], s.clock["firewall/feth10"] = time.Hour, time.Hour
		s.clock["server2/eth0"] = -20 * time.Minute
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"the addresses were used before, and are used again", func(s *story) {
		s.good(at-2*time.Second, 5, 54373, 2)
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		s.good(at+5*time.Second, 6, 54373, 2)
	}},
	{"the addresses were used a moment before", func(s *story) {
		s.good(at-8*time.Millisecond, 5, 54373, 2)
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"the tries die in different places", func(s *story) {
		n := 0
		s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
			dies := []string{"f5/0.0", "firewall/feth11"}[n%2]
			n++
			s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: dies})
		})
	}},
	{"nobody captured at the client and at feth10", func(s *story) {
		s.skip = []string{"client/eth0", "firewall/feth10"}
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"there are no trailers", func(s *story) {
		s.trailers = false
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"feth11 has every packet twice", func(s *story) {
		s.twice = "firewall/feth11"
		s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	}},
	{"the firewall moves sequence numbers and loses the response", func(s *story) {
		s.rewrites = !s.v6
		c, b, when := s.opened(at, 17, 54373, 2, post(17))
		n := uint32(len(post(17)))
		when = s.handshake(when, b)
		s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
		for _, r := range rto {
			s.tell(when+r+time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, dies: "firewall/feth10"})
		}
		s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
	}},
	{"the firewall rejects the SYN", func(s *story) {
		s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
			s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: "firewall/feth11"})
			back := *b
			back.points = b.points[:2]
			s.tell(at+4*hopDelay, told{flow: &back, flags: flagRST | flagACK, ack: b.isn + 1})
		})
	}},
	{"the client's SYN never reaches the f5", func(s *story) {
		c := s.clientFlow(54373)
		for _, r := range retries {
			s.tell(at+r, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, dies: "client/eth0"})
		}
		s.background(at+20*time.Second, 10)
	}},
	{"a cable spoils the SYN", func(s *story) {
		s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
			s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, spoils: "firewall/feth10"})
		})
	}},
	{"the second request of a kept connection fails", func(s *story) {
		s.pooled(at, func(when time.Duration, _, b *telling, up, down uint32) {
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: up, ack: down, payload: post(17), dies: "firewall/feth11"})
			}
		})
	}},
	{"a slow success: two SYNs are lost in the firewall", func(s *story) {
		s.late(at, 17, 54373, 2, 2, "firewall/feth11")
	}},
}

// LadderStories tells them, or those named, and some in IPv6 as well.
func LadderStories(tb testing.TB, each func(s *LadderStory), only ...string) {
	tb.Helper()
	for i, c := range ladderStories {
		if len(only) > 0 && !slices.Contains(only, c.name) {
			continue
		}
		for _, v6 := range []bool{false, true} {
			if v6 && i%4 != 0 {
				continue
			}
			s := newStory(tb)
			s.v6 = v6
			c.tell(s)
			s.background(0, 150)
			s.background(at+5*time.Second, 100)
			out := &LadderStory{Name: c.name, Report: s.analyze(), told: s.deaths}
			if v6 {
				out.Name += ", in IPv6"
			}
			out.Points = s.written
			each(out)
		}
	}
}
