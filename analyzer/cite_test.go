package analyzer

import (
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

func TestEveryCitedFrameCanBeConfirmed(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.served(at+time.Second, 18, 54374, 2, "", "", flagRST)
	s.served(at+time.Second, 19, 54375, 2, answer[:len(answer)-1], answer[:len(answer)-1], flagFIN)
	c := s.clientFlow(54376) // slow, not failed
	s.tell(at-time.Second, told{flow: c, toServer: true, flags: flagSYN, seq: c.isn, dies: "client/eth0"})
	s.exchange(s.handshake(at, c), c, post(20), answer, nil)
	s.background(0, 300)
	r := s.analyze()
	n := 0
	look := func(es []Evidence) {
		for _, e := range es {
			if n++; e.Kind == KindFrame && (len(e.Digest) != 16 || e.Time.IsZero() || !strings.Contains(e.Filter, "tcp.seq_raw==")) || e.Filter == "" {
				t.Errorf("%+v", e)
			}
		}
	}
	for _, v := range r.Verdicts {
		look(v.Evidence)
		for _, h := range v.Eliminated {
			look(h.Evidence)
		}
	}
	findings := 0
	for _, f := range r.Findings {
		look(f.Evidence)
		findings += len(f.Evidence)
	}
	if len(r.Verdicts) != 3 || n < 15 || findings == 0 {
		t.Errorf("%d verdicts, %d pieces of evidence, %d of findings\n%s", len(r.Verdicts), n, findings, show(r))
	}
}

func TestAResetWhoseSYNAckTheCaptureMissedIsNoRefusal(t *testing.T) {
	s := newStory(t)
	s.blind = func(point string, _ time.Duration, p told) bool {
		return point == "client/eth0" && p.flags == flagSYN|flagACK && p.flow.client.Port() == 54373
	}
	c := s.clientFlow(54373)
	open := s.handshake(at, c)
	s.tell(open, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1, ack: c.isn + 1, rst: &f5trailer.RSTCause{Text: "Policy action"}})
	s.background(0, 300)
	r := s.analyze()
	if len(r.Verdicts) != 1 || r.Verdicts[0].Outcome != Reset {
		t.Errorf("want one reset\n%s", show(r))
	}
}
