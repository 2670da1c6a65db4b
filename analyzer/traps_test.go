package analyzer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestTraps walks through the ways in which an analyzer of several points blames
// the wrong hop. Traps that have tests of their own elsewhere: a capture that
// drops what is seen further on, one that ends early, a hole, clocks apart, a
// tuple used before, a full proxy that accepts first, no answer, a port that is
// closed (TestVerdicts); a listen queue that is full, a forged RST, packets lost for
// their size, a client that gives up, pooled connections, another member tried
// (TestCauses); clocks that drift or are set (TestClocks); NAT and hidden sequence
// numbers (TestBoxesThatRewriteConnections); wrappings, fragments, cut frames
// (TestEveryWrapping…, internal/pcapng); copies (copies_test.go); order of points
// (infer_test.go).
func TestTraps(t *testing.T) {
	const anyHop = "*"
	for _, c := range []struct {
		name string
		tell func(s *story)
		hop  string // "" wants an inconclusive verdict, * one that is right or inconclusive
		Cause
		settle string
	}{
		{"5: feth10 was captured with a filter that lets no SYN pass", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && p.flags&flagSYN != 0
			}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "", Inconclusive, "may itself miss"},
		{"6: feth10 sees only what goes to the servers, which is enough for a SYN", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && !p.toServer
			}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "firewall", SYNDropped, ""},
		{"6: feth11 sees only what goes to the servers, and a SYN-ACK is lost", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth11" && !p.toServer
			}
			s.failing(at, 17, 54373, 2, "", "firewall/feth10")
		}, "", Inconclusive, "may itself miss"},
		{"8: the f5's capture has large segments where the wire has small ones", func(s *story) {
			body := strings.Repeat("x", 2*1400)
			req := fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: 17\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			c, b, when := s.opened(at, 17, 54373, 2, req)
			when = s.handshake(when, b)
			for _, r := range rto {
				for n := 0; n < len(req); n += 1400 {
					piece := req[n:min(len(req), n+1400)]
					points := b.points[1:]
					if n == 0 { // the first segment dies in the firewall each time, the others pass
						points = points[:1]
					}
					part := *b
					part.points = points
					s.tell(when+r+time.Duration(n), told{flow: &part, toServer: true, flags: flagACK, seq: b.isn + 1 + uint32(n), ack: b.answer + 1, payload: piece})
				}
				whole := *b
				whole.points = b.points[:1]
				s.tell(when+r, told{flow: &whole, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: req})
			}
			s.large(when, 60)
			s.resets(when+5*time.Second, c, len(req), "TCP retransmit timeout", true)
		}, "firewall", DataDropped, ""},
		{"11: a tuple that is used again while the server holds it is answered by an ACK", func(s *story) {
			s.good(at-2*time.Second, 5, 54373, 2)
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
				s.tell(at+4*hopDelay, told{flow: b, flags: flagACK, seq: 77, ack: 88, dies: "firewall/feth10"})
			})
		}, "server2", TupleReused, ""},
		{"14: the firewall answers SYNs in the server's name, and the server is silent", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			near := *b
			near.points = b.points[:2]
			when = s.handshake(when, &near)
			far := *b
			far.points, far.isn = b.points[2:], b.isn+77
			for _, r := range retries {
				s.tell(when+r, told{flow: &far, toServer: true, flags: flagSYN, seq: far.isn})
			}
			s.tell(when, told{flow: &near, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			s.tell(when+hopDelay, told{flow: &near, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + uint32(len(post(17)))})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "", Inconclusive, ""},
		{"22: both captures of the client's side begin in the middle of the connection", func(s *story) {
			s.pooled(at, func(when time.Duration, c, b *telling, up, down uint32) {
				for _, r := range rto {
					s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: up, ack: down, payload: post(17), dies: "firewall/feth11"})
				}
			})
			s.blind = func(_ string, t time.Duration, _ told) bool { return t < at-time.Second }
		}, anyHop, SessionExpired, ""},
		{"24: feth10 shares one-way traffic only with the others", func(s *story) {
			s.blind = func(point string, t time.Duration, p told) bool {
				return point == "firewall/feth10" && !p.toServer || point == "server1/eth0" || point == "server2/eth0" && !p.toServer
			}
			s.clock["firewall/feth10"] = time.Hour
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "", Inconclusive, "that covers"},
		{"26: times in one file are out of order by a millisecond", func(s *story) {
			r := rand.New(rand.NewPCG(1, 2))
			s.wrong["firewall/feth10"] = func(time.Duration) time.Duration { return time.Duration(r.IntN(1000)) * time.Microsecond }
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "firewall", SYNDropped, ""},
		{"27: feth10's capture tells time by the millisecond", func(s *story) {
			s.wrong["firewall/feth10"] = func(at time.Duration) time.Duration { return at.Truncate(time.Millisecond) - at }
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "firewall", SYNDropped, ""},
		{"36: a late copy of the request comes after the response", func(s *story) {
			s.served(at, 17, 54373, 2, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", flagFIN)
			b := s.serverFlow(64373, 2)
			b.isn, b.answer = b.isn-100_000, (b.isn-100_000)*7
			s.tell(at+20*time.Millisecond, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
		}, "server2", AppError, ""},
		{"37: one path of two was not captured at feth10", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && p.flow.client.Port()%2 == 1
			}
			s.failing(at, 17, 54373, 2, "server2/eth0", "")
		}, "server2", NoAnswer, ""},
		{"39: the tries die in two places, and the last ones came further", func(s *story) {
			n := 0
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				n++
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: []string{"f5/0.0", "f5/0.0", "firewall/feth11", "firewall/feth11"}[n-1]})
			})
		}, anyHop, SYNDropped, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			c.tell(s)
			s.background(0, 300)
			s.background(at+8*time.Second, 200)
			r := s.analyze()
			if len(r.Verdicts) == 0 {
				t.Fatalf("no verdict\n%s", show(r))
			}
			v := r.Verdicts[len(r.Verdicts)-1]
			if v.Hop != c.hop && c.hop != anyHop || v.Cause != c.Cause && v.Cause != Inconclusive || !strings.Contains(v.WouldSettle, c.settle) {
				t.Errorf("got %q %s between %v, settle %q; want %q %s\n%s", v.Hop, v.Cause, v.Between, v.WouldSettle, c.hop, c.Cause, show(r))
			}
			if c.hop == anyHop && v.Hop != "" && v.Hop != "firewall" {
				t.Errorf("got %q", v.Hop)
			}
		})
	}
	t.Run("33: a RST behind a whole response is the end of a healthy connection", func(t *testing.T) {
		s := newStory(t)
		c := s.clientFlow(54373)
		open := s.handshake(at, c)
		n, m := uint32(len(post(17))), uint32(len(answer))
		s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17)})
		s.tell(open+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer})
		s.tell(open+2*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + m})
		s.tell(open+3*hopDelay, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1 + m, ack: c.isn + 1 + n})
		s.background(0, 100)
		if r := s.analyze(); len(r.Verdicts) != 0 || r.Requests.Failed != 0 {
			t.Errorf("got %s", show(r))
		}
	})
	t.Run("40: the request never was on the wire", func(t *testing.T) {
		s := newStory(t)
		b := s.serverFlow(64373, 2)
		s.handshake(at, b)
		if r := s.analyze(); len(r.Verdicts) != 0 || !strings.Contains(strings.Join(r.Warnings, "\n"), "no requests were seen") {
			t.Errorf("got %s", show(r))
		}
	})
}

// large tells of good requests with large packets, so that size explains nothing.
func (s *story) large(at time.Duration, n int) {
	for i := range n {
		req := fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: L%d\r\nContent-Length: 1350\r\n\r\n%s", i, strings.Repeat("x", 1350))
		c, b, when := s.opened(at+time.Duration(i)*7*time.Millisecond, 5000+i, 44000+i, 1+i%2, req)
		up := s.handshake(when, b)
		s.exchange(up, b, req, answer, nil)
		up += 20 * hopDelay
		m := uint32(len(answer))
		n := uint32(len(req))
		s.tell(up, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer})
		s.tell(up+hopDelay, told{flow: c, toServer: true, flags: flagACK | flagFIN, seq: c.isn + 1 + n, ack: c.answer + 1 + m})
		s.tell(up+2*hopDelay, told{flow: c, flags: flagACK | flagFIN, seq: c.answer + 1 + m, ack: c.isn + 2 + n})
	}
}
