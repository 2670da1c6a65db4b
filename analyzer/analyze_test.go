package analyzer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

const at = 3 * time.Second // when the failing request of a story starts

func TestVerdicts(t *testing.T) {
	type want struct {
		hop     string
		cause   Cause
		between string
		settle  string // part of would_settle
	}
	firewall := want{hop: "firewall", cause: SYNDropped, between: "firewall/feth11 firewall/feth10"}
	for _, c := range []struct {
		name string
		tell func(s *story)
		want []want
	}{
		{"a healthy capture has no verdict", func(s *story) {}, nil},
		{"SYN lost in the firewall", func(s *story) {
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"SYN lost before the firewall", func(s *story) {
			s.failing(at, 17, 54373, 2, "f5/0.0", "")
		}, []want{{"link:f5-firewall", SYNDropped, "f5/0.0 firewall/feth11", ""}}},
		{"SYN lost behind the firewall", func(s *story) {
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, []want{{"link:firewall-server2", SYNDropped, "firewall/feth10 server2/eth0", ""}}},
		{"server ignores the SYN", func(s *story) {
			s.failing(at, 17, 54373, 1, "server1/eth0", "")
		}, []want{{"server1", NoAnswer, "server1/eth0", ""}}},
		{"SYN-ACK lost in the firewall on its way back", func(s *story) {
			s.failing(at, 17, 54373, 2, "", "firewall/feth10")
		}, []want{{"firewall", SYNAckDropped, "firewall/feth10 firewall/feth11", ""}}},
		{"SYN-ACK lost between server and firewall", func(s *story) {
			s.failing(at, 17, 54373, 2, "", "server2/eth0")
		}, []want{{"link:firewall-server2", SYNAckDropped, "server2/eth0 firewall/feth10", ""}}},
		{"two fates in one capture", func(s *story) {
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at+time.Second, 18, 54374, 1, "server1/eth0", "")
		}, []want{firewall, {"server1", NoAnswer, "server1/eth0", ""}}},
		{"the tries die in different places: the furthest counts", func(s *story) {
			n := 0
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				dies := []string{"f5/0.0", "firewall/feth11"}[n%2]
				n++
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: dies})
			})
		}, []want{firewall}},
		{"the 5-tuple was used before with another ISN, and is used again", func(s *story) {
			s.good(at-2*time.Second, 5, 54373, 2)
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.good(at+5*time.Second, 6, 54373, 2)
		}, []want{firewall}},
		{"IPv6", func(s *story) {
			s.v6 = true
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"nobody says which side of the proxy a capture is from", func(s *story) {
			s.sideless = true
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"nobody says so, and the client was not captured", func(s *story) {
			s.sideless, s.skip = true, []string{"client/eth0"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"no capture at feth10", func(s *story) {
			s.skip = []string{"firewall/feth10"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{{"", Inconclusive, "firewall/feth11 server2/eth0", "a capture on firewall's server-facing interface"}}},
		{"no capture at feth11", func(s *story) {
			s.skip = []string{"firewall/feth11"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{{"", Inconclusive, "f5/0.0 firewall/feth10", "a capture on firewall's client-facing interface"}}},
		{"no capture at the firewall at all", func(s *story) {
			s.skip = []string{"firewall/feth10", "firewall/feth11"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{{"link:f5-server2", SYNDropped, "f5/0.0 server2/eth0", ""}}},
		{"no capture at the server", func(s *story) {
			s.skip = []string{"server2/eth0"}
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, []want{{"", Inconclusive, "firewall/feth10", "a capture on 198.18.160.82, the server's end"}}},
		{"no capture behind feth11", func(s *story) {
			s.skip = []string{"firewall/feth10", "server1/eth0", "server2/eth0"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{{"", Inconclusive, "firewall/feth11", "a capture on firewall's server-facing interface, or on 198.18.160.82"}}},
		{"the server's capture ends early", func(s *story) {
			s.cut["server2/eth0"] = at - time.Second
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, []want{{"", Inconclusive, "firewall/feth10 server2/eth0", "a capture at server2/eth0 that covers 20:57:03"}}},
		{"the server's capture, without statistics, ends early", func(s *story) {
			s.isb = false
			s.cut["server2/eth0"] = at - time.Second
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, []want{{"", Inconclusive, "firewall/feth10 server2/eth0", "a capture at server2/eth0 that covers 20:57:03"}}},
		{"feth10's capture drops what the server saw", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && p.flow.client.Port() == 64373
			}
			s.failing(at, 17, 54373, 2, "server2/eth0", "")
		}, []want{{"server2", NoAnswer, "server2/eth0", ""}}},
		{"feth10's capture misses every third connection", func(s *story) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && p.flow.client.Port()%3 == 0
			}
			s.failing(at, 17, 54374, 2, "firewall/feth11", "")
		}, []want{{"", Inconclusive, "firewall/feth11 firewall/feth10", "loses less"}}},
		{"feth10's capture has a hole just then", func(s *story) {
			s.blind = func(point string, t time.Duration, _ told) bool {
				return point == "firewall/feth10" && t > at-time.Second/2 && t < at+6*time.Second
			}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.background(at+7*time.Second, 40)
		}, []want{{"", Inconclusive, "firewall/feth11 firewall/feth10", "a capture at firewall/feth10 that covers"}}},
		{"the firewall takes no SYN for seconds, and then those that are sent again", func(s *story) {
			s.quiet = true
			s.background(0, 100)
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			for i := range 5 {
				s.late(at+time.Duration(i)*time.Millisecond, 60+i, 54400+i, 1+i%2, 3, "firewall/feth11")
			}
		}, []want{firewall}},
		{"clocks an hour apart", func(s *story) {
			s.clock["firewall/feth11"], s.clock["firewall/feth10"] = time.Hour, time.Hour
			s.clock["server2/eth0"] = -20 * time.Minute
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"no trailers, one candidate", func(s *story) {
			s.trailers = false
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"no trailers, candidates that agree", func(s *story) {
			s.trailers = false
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at, 18, 54374, 1, "firewall/feth11", "")
		}, []want{firewall, firewall}},
		{"no trailers, candidates that disagree, but ports that follow a rule", func(s *story) {
			s.trailers = false
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at, 18, 54374, 1, "f5/0.0", "")
		}, []want{firewall, {"link:f5-firewall", SYNDropped, "f5/0.0 firewall/feth11", ""}}},
		{"no trailers, candidates that disagree, but the proxy's pace tells them apart", func(s *story) {
			s.trailers, s.snat = false, anyPort
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at+20*time.Millisecond, 18, 54374, 1, "f5/0.0", "")
		}, []want{firewall, {"link:f5-firewall", SYNDropped, "f5/0.0 firewall/feth11", ""}}},
		{"no trailers, candidates that disagree", func(s *story) {
			s.trailers, s.snat = false, anyPort
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at, 18, 54374, 1, "f5/0.0", "")
		}, []want{{"", Inconclusive, "", "trailers"}, {"", Inconclusive, "", "trailers"}}},
		{"no capture at the client", func(s *story) {
			s.skip = []string{"client/eth0"}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
		{"no interface addresses in the files", func(s *story) {
			s.noAddrs = true
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, []want{{"link:firewall-server2", SYNDropped, "firewall/feth10 server2/eth0", ""}}},
		{"the server's port is closed", func(s *story) {
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
				s.tell(at+4*hopDelay, told{flow: b, flags: flagRST | flagACK, ack: b.isn + 1})
			})
		}, []want{{"server2", PortClosed, "server2/eth0", ""}}},
		{"the firewall rejects with a RST", func(s *story) {
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: "firewall/feth11"})
				back := *b
				back.points = b.points[:2]
				s.tell(at+4*hopDelay, told{flow: &back, flags: flagRST | flagACK, ack: b.isn + 1})
			})
		}, []want{{"firewall", Rejected, "firewall/feth11 firewall/feth10", ""}}},
		{"the server answers with an old ACK", func(s *story) {
			s.failingWith(at, 17, 54373, 2, func(at time.Duration, b *telling) {
				s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn})
				s.tell(at+4*hopDelay, told{flow: b, flags: flagACK, seq: 77, ack: 88})
			})
		}, []want{{"", Inconclusive, "server2/eth0", "socket table"}}},
		{"a SYN retried and then answered is no failure", func(s *story) {
			c := s.clientFlow(54373)
			s.tell(at-time.Second, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, dies: "client/eth0"})
			open := s.handshake(at, c)
			s.exchange(open, c, post(17), answer, nil)
		}, nil},
		{"the client's SYN never reaches the f5", func(s *story) {
			c := s.clientFlow(54373)
			for _, r := range retries {
				s.tell(at+r, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, dies: "client/eth0"})
			}
			s.background(at+20*time.Second, 10)
		}, []want{{"link:client-f5", SYNDropped, "client/eth0 f5/0.0", ""}}},
		{"the server answers 503", func(s *story) {
			s.served(at, 17, 54373, 2, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", flagFIN)
		}, []want{{"server2", AppError, "server2/eth0", ""}}},
		{"the server answers 503, and the client says something when the f5 has forgotten the connection", func(s *story) {
			const busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
			s.served(at, 17, 54373, 2, busy, busy, flagFIN)
			// f5 has closed, and has nothing left to do with what the client says late.
			c := s.clientFlow(54373)
			n := uint32(len(post(17)))
			s.tell(at+time.Second, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 2 + uint32(len(busy))})
			s.tell(at+time.Second+2*hopDelay, told{flow: c, flags: flagRST, seq: c.answer + 2 + uint32(len(busy)), rst: &f5trailer.RSTCause{Text: "No flow found for ACK", Line: 1234}})
		}, []want{{"server2", AppError, "server2/eth0", ""}}},
		{"the server cuts its answer, and the client says something when the f5 has forgotten the connection", func(s *story) {
			s.served(at, 17, 54373, 2, answer[:len(answer)-1], answer[:len(answer)-1], flagFIN)
			// f5 has closed, and has nothing left to do with what the client says late.
			c := s.clientFlow(54373)
			n := uint32(len(post(17)))
			s.tell(at+time.Second, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 2 + uint32(len(answer)-1)})
			s.tell(at+time.Second+2*hopDelay, told{flow: c, flags: flagRST, seq: c.answer + 2 + uint32(len(answer)-1), rst: &f5trailer.RSTCause{Text: "No flow found for ACK", Line: 1234}})
		}, []want{{"server2", AppTruncated, "server2/eth0", ""}}},
		{"the server closes inside its response", func(s *story) {
			s.served(at, 17, 54373, 2, answer[:len(answer)-1], answer[:len(answer)-1], flagFIN)
		}, []want{{"server2", AppTruncated, "server2/eth0", ""}}},
		{"the server resets the connection", func(s *story) {
			s.served(at, 17, 54373, 2, "", "", flagRST)
		}, []want{{"server2", AppReset, "server2/eth0", ""}}},
		{"the server acknowledges the request and says nothing", func(s *story) {
			s.served(at, 17, 54373, 2, "", "", 0)
		}, []want{{"server2", AppSilent, "server2/eth0", ""}}},
		{"without trailers the request id ties the sides together", func(s *story) {
			s.trailers = false
			s.served(at, 17, 54373, 2, "", "", flagRST)
		}, []want{{"server2", AppReset, "server2/eth0", ""}}},
		{"the f5 has no listener there", func(s *story) {
			c := s.clientFlow(54373)
			s.tell(at, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn})
			s.tell(at+4*hopDelay, told{flow: c, flags: flagRST | flagACK, ack: c.isn + 1, rst: &f5trailer.RSTCause{Text: "No local listener"}})
		}, []want{{"f5", NoListener, "f5/0.0", ""}}},
		{"the f5 never opens the serverside", func(s *story) {
			c := s.clientFlow(54373)
			open := s.handshake(at, c)
			s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: post(17)})
			s.tell(open+time.Second, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1, rst: &f5trailer.RSTCause{Text: "No pool member available"}})
		}, []want{{"f5", NoPoolMember, "f5/0.0", ""}}},
		{"an empty capture proves nothing", func(s *story) {
			s.quiet = true
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{{"", Inconclusive, "firewall/feth11 firewall/feth10", "nothing shows that it was listening"}}},
		{"a firewall that loses every SYN but the first two", func(s *story) {
			s.quiet = true
			s.good(0, 90, 50000, 1)
			s.good(0, 91, 50001, 2)
			for i := range 20 {
				s.failing(at+time.Duration(i)*50*time.Millisecond, i, 54373+i, 1+i%2, "firewall/feth11", "")
			}
		}, slices.Repeat([]want{firewall}, 20)},
		{"every SYN-ACK is seen twice, as a SPAN port shows it", func(s *story) {
			s.twice = "firewall/feth10"
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, []want{firewall}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			if strings.HasPrefix(c.name, "IPv6") {
				s.v6 = true
			}
			c.tell(s)
			if !s.quiet {
				s.background(0, 300)
			}
			r := s.analyze()
			if r.Requests.Failed != len(c.want) || len(r.Verdicts) != len(c.want) {
				t.Fatalf("got %+v and %d verdicts, want %d\n%s", r.Requests, len(r.Verdicts), len(c.want), show(r))
			}
			if r.Requests.Seen != r.Requests.OK+r.Requests.Failed {
				t.Errorf("requests: got %+v", r.Requests)
			}
			for i, w := range c.want {
				v := r.Verdicts[i]
				if v.Hop != w.hop || v.Cause != w.cause || strings.Join(v.Between, " ") != w.between || !strings.Contains(v.WouldSettle, w.settle) {
					t.Errorf("verdict %d: got %s %s between %v, settle %q; want %+v\n%s", i, v.Hop, v.Cause, v.Between, v.WouldSettle, w, show(r))
				}
				if (v.Hop == "") != (v.WouldSettle != "") || v.Hop != "" && v.Confidence < 1-doubtful {
					t.Errorf("verdict %d: hop %q with confidence %v and would_settle %q", i, v.Hop, v.Confidence, v.WouldSettle)
				}
			}
		})
	}
}

// anyPort is a proxy's choice of source port that follows no rule.
func anyPort(port int) int { return 30000 + int(uint16(port*40503))%30000 }

func show(r *Report) string {
	b, _ := json.MarshalIndent(r, "", " ")
	return string(b)
}
