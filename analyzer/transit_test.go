package analyzer

import (
	"testing"
	"time"
)

// onASlowLine is a request whose data comes to the firewall a second and a half later. It
// is answered then; or dies there, each time.
func (s *story) onASlowLine(at time.Duration, id, port int, dies bool) {
	const late = 1500 * time.Millisecond
	c, b, when := s.opened(at, id, port, 2, post(id))
	n := uint32(len(post(id)))
	when = s.handshake(when, b)
	request := told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(id), stays: "f5/0.0", by: late}
	if dies {
		request.dies = "firewall/feth11"
		for _, r := range rto {
			s.tell(when+r, request)
		}
		s.resets(when+5*time.Second, c, int(n), retransmitTimeout, true)
		return
	}
	s.tell(when, request)
	when += late + 4*hopDelay
	s.tell(when, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer})
	s.tell(when+4*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer})
	s.tell(when+6*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + uint32(len(answer))})
}

// sentAgain is a request that is lost behind the f5, and comes to the firewall when it is sent
// again, as late as on a slow line.
func (s *story) sentAgain(at time.Duration, id, port int) {
	const late = 1500 * time.Millisecond
	c, b, when := s.opened(at, id, port, 2, post(id))
	n := uint32(len(post(id)))
	when = s.handshake(when, b)
	request := told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(id), stamp: 1, dies: "f5/0.0"}
	s.tell(when, request)
	request.stamp, request.dies = 1501, ""
	when += late
	s.tell(when, request)
	s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: answer})
	s.tell(when+8*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: answer})
	s.tell(when+9*hopDelay, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1 + n, ack: c.answer + 1 + uint32(len(answer))})
}

// TestWhatWouldHaveComeAfterTheCapturesEndIsNotAbsent: on a line that is slow for some, a
// capture that ends soon after a packet was sent tells nothing of it.
func TestWhatWouldHaveComeAfterTheCapturesEndIsNotAbsent(t *testing.T) {
	for _, row := range []struct {
		name string
		slow int // good requests before
		lost int // others of them, and sent again
		ends time.Duration
		hop  string
	}{
		{"some are slow, and the capture behind the line ends within the time that they took", 5, 0, 1300 * time.Millisecond, ""},
		{"some are slow, and it goes on", 5, 0, time.Minute, "firewall"},
		{"nobody else was slow: what is not there in a second was lost", 0, 0, 1300 * time.Millisecond, "link:f5-firewall"},
		{"nor were those that were lost, and sent again", 0, 5, 1300 * time.Millisecond, "link:f5-firewall"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.cut["firewall/feth11"] = at + row.ends
			for i := range row.slow {
				s.onASlowLine(at-2*time.Second+time.Duration(i)*10*time.Millisecond, 900+i, 51000+i, false)
			}
			for i := range row.lost {
				s.sentAgain(at-2*time.Second+time.Duration(i)*10*time.Millisecond, 950+i, 52000+i)
			}
			s.onASlowLine(at, 17, 54373, true)
			s.background(0, 300)
			s.background(at+8*time.Second, 100)
			r := s.analyze()
			if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != row.hop {
				t.Errorf("got %s", show(r))
			}
		})
	}
}
