package analyzer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// open tells of a client's connection whose request the proxy has, and of the
// serverside connection that it opens for it.
func (s *story) opened(at time.Duration, id, port, server int, req string) (c, b *telling, when time.Duration) {
	c, b = s.clientFlow(port), s.serverFlow(s.snat(port), server)
	open := s.handshake(at, c)
	s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: req})
	s.tell(open+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + uint32(len(req))})
	c.peer, b.peer = b, c
	return c, b, open + 4*hopDelay
}

// resets ends the client's connection with the f5's RST.
func (s *story) resets(at time.Duration, c *telling, sent int, text string, peer bool) {
	s.tell(at, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1, ack: c.isn + 1 + uint32(sent),
		rst: &f5trailer.RSTCause{Peer: peer, Text: text, Line: 1234}})
}

// defers lets a server that waits for data (TCP_DEFER_ACCEPT) repeat its SYN-ACK a second
// after the handshake, and the f5 say how many bytes it has sent.
func (s *story) defers(when time.Duration, b *telling, sent int) {
	s.tell(when+time.Second, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1})
	s.tell(when+time.Second+4*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1 + uint32(sent), ack: b.answer + 1})
}

// rto is a sequence of retransmissions, RFC 6298.
var rto = []time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond, 3 * time.Second}

func TestCauses(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(s *story)
		hop  string
		Cause
		settle string
	}{
		{"the firewall loses the request's data", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), dies: "firewall/feth11"})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", DataDropped, ""},
		{"the cable behind the firewall loses the response", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			for _, r := range rto {
				s.tell(when+r+time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, dies: "server2/eth0"})
			}
			s.tell(when+5*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "link:firewall-server2", ResponseDropped, ""},
		{"the firewall loses what is larger than the rest", func(s *story) {
			head := "POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: 17\r\nContent-Length: 1420\r\n\r\n"
			big, tail := head+strings.Repeat("x", 1400), strings.Repeat("y", 20)
			c, b, when := s.opened(at, 17, 54373, 2, big+tail)
			when = s.handshake(when, b)
			for i, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: big, dies: "firewall/feth11"})
				if i == 0 {
					s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1 + uint32(len(big)), ack: b.answer + 1, payload: tail})
				}
			}
			s.resets(when+5*time.Second, c, len(big+tail), "TCP retransmit timeout", true)
		}, "firewall", MTUBlackhole, ""},
		{"one large request is lost: its size, or chance?", func(s *story) {
			big := "POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: 17\r\nContent-Length: 1300\r\n\r\n" + strings.Repeat("x", 1300)
			c, b, when := s.opened(at, 17, 54373, 2, big)
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: big, dies: "firewall/feth11"})
			}
			s.resets(when+5*time.Second, c, len(big), "TCP retransmit timeout", true)
		}, "", Inconclusive, "size and chance"},
		{"the firewall damages the SYNs, and the server throws them away", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			for _, r := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second} {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, spoils: "firewall/feth11"})
			}
			s.resets(when+4*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", Corrupted, ""},
		{"the cable behind the firewall damages the request, and the server closes", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), spoils: "firewall/feth10"})
			}
			s.tell(when+4*time.Second, told{flow: b, flags: flagFIN | flagACK, seq: b.answer + 1, ack: b.isn + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "link:firewall-server2", Corrupted, ""},
		{"the cable before the firewall damages the response", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			for _, r := range rto {
				s.tell(when+r+time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, spoils: "firewall/feth11"})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "link:f5-firewall", Corrupted, ""},
		{"the SYNs come damaged to the one capture that has them", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.blind = func(point string, _ time.Duration, p told) bool { return p.flow == b && point != "server2/eth0" }
			for _, r := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second} {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, spoils: "firewall/feth10"})
			}
			s.resets(when+4*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "", Inconclusive, "comes with a wrong checksum already"},
		{"a copy that was damaged, and one that came whole", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			for i, r := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second} {
				n := told{flow: b, toServer: true, flags: flagSYN, seq: b.isn}
				if i == 0 {
					n.spoils = "firewall/feth11"
				}
				s.tell(when+r, n)
			}
			s.resets(when+4*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "server2", NoAnswer, ""},
		{"the handshake's last ACK is lost, and no data follows", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.tell(when, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
			for _, r := range []time.Duration{0, time.Second, 3 * time.Second} {
				s.tell(when+r+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1})
				s.tell(when+r+8*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, dies: "firewall/feth11"})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", AckDropped, ""},
		{"the firewall loses the f5's keep-alive probes", func(s *story) {
			c, b, when, n := s.thinking()
			for _, r := range probes {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1, dies: "firewall/feth11"})
			}
			s.resets(when+3*time.Second, c, int(n), "TCP keep-alive timeout", true)
		}, "firewall", AckDropped, ""},
		{"the cable behind the firewall loses the answers to them", func(s *story) {
			c, b, when, n := s.thinking()
			for _, r := range probes {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1})
				s.tell(when+r+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, dies: "server2/eth0"})
			}
			s.resets(when+3*time.Second, c, int(n), "TCP keep-alive timeout", true)
		}, "link:firewall-server2", AckDropped, ""},
		{"the firewall loses them, and the f5 does not say that this is why", func(s *story) {
			c, b, when, n := s.thinking()
			for _, r := range probes {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1, dies: "firewall/feth11"})
			}
			s.resets(when+3*time.Second, c, int(n), "Phase of the moon", true)
		}, "", Inconclusive, "may have had another"},
		{"the f5 gives up a server that has answered a probe", func(s *story) {
			c, b, when, n := s.thinking()
			for i, r := range probes {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1})
				if i == 0 {
					s.tell(when+r+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
				}
			}
			s.resets(when+3*time.Second, c, int(n), "TCP keep-alive timeout", true)
		}, "", Inconclusive, "earlier ones were answered"},
		{"probes are answered, and the server says nothing for too long", func(s *story) {
			c, b, when, n := s.thinking()
			for _, r := range probes {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1})
				s.tell(when+r+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			}
			s.tell(when+3*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+3*time.Second, c, int(n), "Phase of the moon", true)
		}, "server2", AppSilent, ""},
		{"the f5 gives up on a server sooner than good requests take, and why it did was not captured", func(s *story) {
			s.late(at-8*time.Second, 16, 54372, 2, 3, "firewall/feth11")
			c, b, when, n := s.thinking()
			s.tell(when+2*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+2*time.Second, c, int(n), "Phase of the moon", true)
		}, "", Inconclusive, "gave up sooner than good requests take"},
		{"the f5 gives up a client that stops in the middle of its request, and does not say so", func(s *story) {
			half := post(17)[:len(post(17))-2]
			n := uint32(len(half))
			c, b, when := s.opened(at, 17, 54373, 2, half)
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: half})
			s.tell(when+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+3*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+3*time.Second, c, len(half), "Phase of the moon", false)
		}, "", Inconclusive, "before the request was whole"},
		{"the firewall has forgotten an idle connection", func(s *story) {
			s.pooled(at, func(when time.Duration, c, b *telling, up, down uint32) {
				req := post(17)
				for _, r := range rto {
					s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: up, ack: down, payload: req, dies: "firewall/feth11"})
				}
			})
		}, "firewall", SessionExpired, ""},
		{"the firewall forgets it while the server is at work: neither keep-alive nor response passes", forgottenAtWork, "firewall", SessionExpired, ""},
		{"the firewall has forgotten it and says so with a RST", func(s *story) {
			s.pooled(at, func(when time.Duration, c, b *telling, up, down uint32) {
				req := post(17)
				s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: up, ack: down, payload: req, dies: "firewall/feth11"})
				back := *b
				back.points = b.points[:2]
				s.tell(when+4*hopDelay, told{flow: &back, flags: flagRST, seq: down})
			})
		}, "firewall", SessionExpired, ""},
		{"the firewall forges a RST", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			back := *b
			back.points = b.points[:2]
			s.tell(when+4*hopDelay, told{flow: &back, flags: flagRST | flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+8*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer})
			s.resets(when+9*hopDelay, c, len(post(17)), "TCP RST from remote system", true)
		}, "firewall", ResetInjected, ""},
		{"the server's listen queue is full: it has the ACK and repeats its SYN-ACK", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			}
			for _, r := range []time.Duration{time.Second, 3 * time.Second} {
				s.tell(when+r, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1})
			}
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "server2", ListenQueueFull, ""},
		{"the server waits for data before it takes a connection (TCP_DEFER_ACCEPT) and repeats its SYN-ACK meanwhile, and the firewall loses the data", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			for _, r := range rto {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), dies: "firewall/feth11"})
			}
			s.defers(when, b, len(post(17)))
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", DataDropped, ""},
		{"the server waits for data, which comes late, and then it answers 503", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			s.defers(when, b, 0)
			s.exchange(when+1500*time.Millisecond, b, post(17), unavailable, nil)
			n, m := uint32(len(post(17))), uint32(len(unavailable))
			when += 1600 * time.Millisecond
			s.tell(when, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: unavailable})
			s.tell(when+4*hopDelay, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + m})
			s.tell(when+8*hopDelay, told{flow: c, flags: flagFIN | flagACK, seq: c.answer + 1 + m, ack: c.isn + 2 + n})
		}, "server2", AppError, ""},
		{"the server repeats its SYN-ACK though it has the ACK, and was sent nothing else", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			when = s.handshake(when, b)
			s.defers(when, b, 0)
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "", Inconclusive, "TCP_DEFER_ACCEPT"},
		{"the handshake's last ACK comes damaged, so that the server repeats its SYN-ACK, and the data is lost", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			s.tell(when, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1})
			s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, spoils: "firewall/feth10"})
			for _, r := range rto {
				s.tell(when+9*hopDelay+r, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17), dies: "firewall/feth11"})
			}
			s.tell(when+time.Second, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1})
			s.tell(when+time.Second+4*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1 + uint32(len(post(17))), ack: b.answer + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", DataDropped, ""},
		{"the server's window shuts, and probes do not open it", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := s.fills(when, b)
			for _, r := range rto {
				s.tell(when+r+time.Millisecond, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1})
				s.tell(when+r+2*time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, shut: true})
			}
			s.tell(when+5*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "TCP zero window timeout", true)
		}, "server2", ZeroWindow, ""},
		{"the server's window opens again, and then it is silent", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := s.fills(when, b)
			for _, r := range rto[:2] {
				s.tell(when+r+2*time.Millisecond, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, shut: true})
			}
			s.tell(when+time.Second, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+5*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.resets(when+5*time.Second, c, len(post(17)), "Flow expired (sweeper)", true)
		}, "server2", AppSilent, ""},
		{"the client gives up sooner than good requests take", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+5*hopDelay, told{flow: c, toServer: true, flags: flagRST | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
			s.tell(when+7*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
		}, "client", ClientAbort, ""},
		{"the client hangs up in the middle of a long response, later than good requests take", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			part := "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + strings.Repeat("x", 1000)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			when += 100 * time.Millisecond
			s.tell(when, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: part})
			s.tell(when+4*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: part})
			s.tell(when+5*hopDelay, told{flow: c, toServer: true, flags: flagRST | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + uint32(len(part))})
			// What is on its way by then is not acknowledged any more.
			s.tell(when+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1 + uint32(len(part)), ack: b.isn + 1 + n, payload: strings.Repeat("x", 1000)})
			s.tell(when+7*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1 + uint32(len(part))})
		}, "client", ClientAbort, ""},
		{"the client gives up after a long wait for a silent server", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+5*time.Second, told{flow: c, toServer: true, flags: flagRST | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
			s.tell(when+5*time.Second+2*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
		}, "server2", AppSilent, ""},
		{"the client gives up after a long wait for a silent server, which then closes too", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 2, post(17))
			n := uint32(len(post(17)))
			when = s.handshake(when, b)
			s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
			s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
			s.tell(when+5*time.Second, told{flow: c, toServer: true, flags: flagFIN | flagACK, seq: c.isn + 1 + n, ack: c.answer + 1})
			end := when + 5*time.Second + 2*hopDelay
			s.tell(end, told{flow: b, toServer: true, flags: flagFIN | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
			s.tell(end+4*hopDelay, told{flow: b, flags: flagFIN | flagACK, seq: b.answer + 1, ack: b.isn + 2 + n})
			s.tell(end+8*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 2 + n, ack: b.answer + 2})
			s.tell(end+8*hopDelay, told{flow: c, flags: flagFIN | flagACK, seq: c.answer + 1, ack: c.isn + 2 + n})
			s.tell(end+9*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 2 + n, ack: c.answer + 2})
		}, "server2", AppSilent, ""},
		{"the f5 speaks of its own source ports", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when, c, len(post(17)), "Unable to select local port", false)
		}, "f5", SNATExhausted, ""},
		{"the f5 has too many connections", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when, c, len(post(17)), "Connection limit exceeded", false)
		}, "f5", ConnectionLimit, ""},
		{"the f5's idle timer ends the connection", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when+4*time.Second, c, len(post(17)), "Flow expired (sweeper)", false)
		}, "f5", IdleTimeout, ""},
		{"the f5 dislikes the request", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when, c, len(post(17)), "HTTP header (40000) exceeded maximum allowed size of 32768", false)
		}, "f5", ProtocolViolation, ""},
		{"an RST cause that nobody knows", func(s *story) {
			c, _, when := s.opened(at, 17, 54373, 2, post(17))
			s.resets(when, c, len(post(17)), "Phase of the moon", false)
		}, "", Inconclusive, ""},
		{"the f5 ends the TLS handshake with an alert", func(s *story) {
			c := s.clientFlow(54373)
			hello := "\x16\x03\x01\x00\x05hello"
			open := s.handshake(at, c)
			s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: hello})
			n := c.isn + 1 + uint32(len(hello))
			s.tell(open+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: n, payload: "\x15\x03\x03\x00\x02\x02\x28"})
			s.tell(open+2*hopDelay, told{flow: c, flags: flagACK | flagFIN, seq: c.answer + 8, ack: n})
			s.tell(open+4*hopDelay, told{flow: c, toServer: true, flags: flagACK | flagFIN, seq: n, ack: c.answer + 9})
		}, "f5", TLSFailure, ""},
		{"the client refuses the certificate", func(s *story) {
			c := s.clientFlow(54373)
			hello := "\x16\x03\x01\x00\x05hello"
			open := s.handshake(at, c)
			s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: hello})
			n := c.isn + 1 + uint32(len(hello))
			s.tell(open+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: n, payload: "\x16\x03\x03\x00\x05hello"})
			s.tell(open+3*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: n, ack: c.answer + 11, payload: "\x15\x03\x03\x00\x02\x02\x30"})
			s.tell(open+4*hopDelay, told{flow: c, toServer: true, flags: flagACK | flagFIN, seq: n + 7, ack: c.answer + 11})
			s.tell(open+6*hopDelay, told{flow: c, flags: flagACK | flagFIN, seq: c.answer + 11, ack: n + 8})
		}, "", Inconclusive, "certificates"},
		{"the f5 tries another member: the last try counts", func(s *story) {
			c, b, when := s.opened(at, 17, 54373, 1, post(17))
			for _, r := range retries {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: "f5/0.0"})
			}
			b2 := s.serverFlow(61000, 2)
			c.peer, b2.peer = b2, c
			for _, r := range retries {
				s.tell(when+5*time.Second+r, told{flow: b2, toServer: true, flags: flagSYN, seq: b2.isn, dies: "firewall/feth11"})
			}
			s.resets(when+10*time.Second, c, len(post(17)), "TCP retransmit timeout", true)
		}, "firewall", SYNDropped, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			c.tell(s)
			s.background(0, 300)
			s.background(at+8*time.Second, 200)
			r := s.analyze()
			if len(r.Verdicts) != 1 {
				t.Fatalf("got %d verdicts, want 1\n%s", len(r.Verdicts), show(r))
			}
			v := r.Verdicts[0]
			if v.Hop != c.hop || v.Cause != c.Cause || !strings.Contains(v.WouldSettle, c.settle) {
				t.Errorf("got %s %s between %v, settle %q; want %s %s\n%s", v.Hop, v.Cause, v.Between, v.WouldSettle, c.hop, c.Cause, show(r))
			}
		})
	}
}

// TestOfSeveralRSTsTheFirstEndedTheRequest lets the f5 reset a connection, and answer then what
// the client had sent before it heard.
func TestOfSeveralRSTsTheFirstEndedTheRequest(t *testing.T) {
	s := newStory(t)
	c, _, when := s.opened(at, 17, 54373, 2, post(17))
	s.resets(when, c, 0, "Connection limit exceeded", false)
	s.tell(when+hopDelay, told{flow: c, flags: flagRST, seq: c.answer + 1, rst: &f5trailer.RSTCause{Text: "No flow found for ACK", Line: 1234}})
	v := s.analyze().Verdicts
	if want := (RST{By: "f5", Cause: "Connection limit exceeded"}); len(v) != 1 || v[0].RST == nil || *v[0].RST != want {
		t.Errorf("got %+v, want one verdict whose RST is %+v", v, want)
	}
}

// forgottenAtWork tells of a firewall that forgets a connection while the server is at
// work on its request. The f5's probes come too late, and are dropped like the response.
func forgottenAtWork(s *story) {
	c, b, when := s.opened(at, 17, 54373, 2, post(17))
	n := uint32(len(post(17)))
	when = s.handshake(when, b)
	s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
	s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
	for _, probe := range []time.Duration{3 * time.Second, 4 * time.Second} {
		s.tell(when+probe, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + n, ack: b.answer + 1, dies: "firewall/feth11"})
	}
	s.tell(when+5*time.Second, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1, dies: "firewall/feth11"})
	s.resets(when+5*time.Second, c, len(post(17)), "TCP keep-alive timeout", true)
	for _, r := range rto {
		s.tell(when+9*time.Second+r, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer, dies: "firewall/feth10"})
	}
}

// probes is when a quiet connection is asked whether it is still there.
var probes = []time.Duration{time.Second, 2 * time.Second}

// thinking tells of a request that the server has acknowledged, and not answered yet.
func (s *story) thinking() (c, b *telling, when time.Duration, n uint32) {
	req := post(17)
	n = uint32(len(req))
	c, b, when = s.opened(at, 17, 54373, 2, req)
	when = s.handshake(when, b)
	s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: req})
	s.tell(when+5*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
	return c, b, when, n
}

// pooled tells of a kept-alive connection on both sides of the proxy: a good
// request, a pause, and a second request that meets its fate.
func (s *story) pooled(at time.Duration, fate func(when time.Duration, c, b *telling, up, down uint32)) {
	first := post(16)
	n, m := uint32(len(first)), uint32(len(answer))
	c, b, when := s.opened(at-3*time.Second, 16, 54373, 2, first)
	when = s.handshake(when, b)
	s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: first})
	s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer})
	s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1 + n, ack: b.answer + 1 + m})
	s.tell(when+8*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer})
	s.tell(when+9*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + m})
	second := post(17)
	s.tell(at, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + m, payload: second})
	up := c.isn + 1 + n + uint32(len(second))
	s.tell(at+hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1 + m, ack: up})
	fate(at+2*hopDelay, c, b, b.isn+1+n, b.answer+1+m)
	s.tell(at+5*time.Second, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1 + m, ack: up,
		rst: &f5trailer.RSTCause{Peer: true, Text: "TCP retransmit timeout", Line: 1234}})
}

// TestClocks gives captures clocks as they are found in the wild.
func TestClocks(t *testing.T) {
	set := func(when, by time.Duration) func(time.Duration) time.Duration {
		return func(at time.Duration) time.Duration {
			if at < when {
				return 0
			}
			return by
		}
	}
	drift := func(ppm int64) func(time.Duration) time.Duration {
		return func(at time.Duration) time.Duration { return at * time.Duration(ppm) / 1_000_000 }
	}
	for _, c := range []struct {
		name  string
		wrong map[string]func(time.Duration) time.Duration
	}{
		{"feth10's clock drifts by 100 ppm", map[string]func(time.Duration) time.Duration{"firewall/feth10": drift(100)}},
		{"two clocks drift apart", map[string]func(time.Duration) time.Duration{"firewall/feth11": drift(100), "firewall/feth10": drift(-100)}},
		{"feth10's clock is set forward by 30 s in the middle of the failure", map[string]func(time.Duration) time.Duration{"firewall/feth10": set(at+1500*time.Millisecond, 30*time.Second)}},
		{"feth10's clock is set back by 30 s", map[string]func(time.Duration) time.Duration{"firewall/feth10": set(at+1500*time.Millisecond, -30*time.Second)}},
		{"the client's clock is set back", map[string]func(time.Duration) time.Duration{"client/eth0": set(at+1500*time.Millisecond, -30*time.Second)}},
		{"all captures but one are set forward", map[string]func(time.Duration) time.Duration{
			"client/eth0": set(at+time.Second, 30*time.Second), "f5/0.0": set(at+time.Second, 30*time.Second), "firewall/feth11": set(at+time.Second, 30*time.Second),
			"server1/eth0": set(at+time.Second, 30*time.Second), "server2/eth0": set(at+time.Second, 30*time.Second)}},
		{"a clock is set twice", map[string]func(time.Duration) time.Duration{"firewall/feth11": func(at time.Duration) time.Duration {
			return set(4*time.Second, 30*time.Second)(at) + set(5*time.Second, -60*time.Second)(at)
		}}},
	} {
		for _, trailers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trailers %v", c.name, trailers), func(t *testing.T) {
				s := newStory(t)
				s.trailers, s.wrong = trailers, c.wrong
				s.failing(at, 17, 54373, 2, "firewall/feth11", "")
				s.background(0, 300)
				s.background(at+5*time.Second, 100)
				r := s.analyze()
				if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != "firewall" || r.Verdicts[0].Cause != SYNDropped {
					t.Errorf("got %s", show(r))
				}
			})
		}
	}
}
