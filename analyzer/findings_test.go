package analyzer

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// finds tells a story and returns what its findings say, one a line.
func (s *story) finds() (*Report, string) {
	r := s.analyze()
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.What)
	}
	return r, strings.Join(out, "\n")
}

// reuses has every reuse of a tuple within two seconds die in the firewall.
func (s *story) reuses() {
	for i := range 8 {
		when := time.Duration(i) * 300 * time.Millisecond
		s.good(when, 100+i, 50000+i, 1+i%2)
		s.failing(when+1500*time.Millisecond, 200+i, 50000+i, 1+i%2, "firewall/feth11", "")
		s.good(when+9*time.Second, 300+i, 50000+i, 1+i%2) // later it may be used again
	}
	s.background(0, 300)
}

func TestFindings(t *testing.T) {
	t.Run("every reuse of a tuple within two seconds dies in the firewall: it still holds the session", func(t *testing.T) {
		s := newStory(t)
		s.reuses()
		r, found := s.finds()
		for _, v := range r.Verdicts {
			if v.Hop != "firewall" || v.Cause != TupleReused {
				t.Errorf("got %s %s, want firewall %s", v.Hop, v.Cause, TupleReused)
			}
		}
		if len(r.Verdicts) != 8 || !strings.Contains(found, "used before in 8 of 8 failing sessions (100.0 %, median 1.5s earlier) and in 8 of 316 good ones (2.5 %): within 1.5s practically every reuse fails") {
			t.Errorf("%d verdicts, findings:\n%s", len(r.Verdicts), found)
		}
	})
	t.Run("a tuple that failed is tried again while the firewall still holds its session", func(t *testing.T) {
		s := newStory(t)
		for i := range 8 {
			when := time.Duration(i) * 300 * time.Millisecond
			s.good(when, 100+i, 50000+i, 1+i%2)
			s.failing(when+1500*time.Millisecond, 200+i, 50000+i, 1+i%2, "firewall/feth11", "")
			s.failing(when+6*time.Second, 300+i, 50000+i, 1+i%2, "firewall/feth11", "")
			s.good(when+10500*time.Millisecond, 400+i, 50000+i, 1+i%2) // 1.5 s after the last SYN that was dropped
		}
		s.background(0, 300)
		r, found := s.finds()
		for _, v := range r.Verdicts {
			if v.Hop != "firewall" || v.Cause != TupleReused {
				t.Errorf("got %s %s, want firewall %s", v.Hop, v.Cause, TupleReused)
			}
		}
		if len(r.Verdicts) != 16 || !strings.Contains(found, "within 6s practically every reuse fails") {
			t.Errorf("%d verdicts, findings:\n%s", len(r.Verdicts), found)
		}
	})
	t.Run("tuples are reused by good and failing ones alike", func(t *testing.T) {
		s := newStory(t)
		for i := range 40 {
			when := time.Duration(i) * 50 * time.Millisecond
			s.good(when, 100+i, 50000+i, 1+i%2)
			if i%5 == 0 {
				s.failing(when+1500*time.Millisecond, 200+i, 50000+i, 1+i%2, "firewall/feth11", "")
			} else {
				s.good(when+1500*time.Millisecond, 200+i, 50000+i, 1+i%2)
			}
		}
		s.background(0, 20)
		r, found := s.finds()
		for _, v := range r.Verdicts {
			if v.Cause != SYNDropped {
				t.Errorf("got %s, want %s", v.Cause, SYNDropped)
			}
		}
		if strings.Contains(found, "practically") {
			t.Errorf("findings:\n%s", found)
		}
	})
	t.Run("one server, one burst, large requests", func(t *testing.T) {
		s := newStory(t)
		s.background(0, 400)
		for i := range 20 {
			c, b, when := s.opened(at+time.Duration(i)*10*time.Millisecond, 700+i, 50000+i, 2, largePost(700+i))
			for _, r := range retries {
				s.tell(when+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: "firewall/feth11"})
			}
			s.resets(when+4*time.Second, c, len(largePost(700+i)), "TCP retransmit timeout", true)
		}
		_, found := s.finds()
		for _, want := range []string{
			"20 of 20 failing sessions went to 198.18.160.82:8000 (100.0 %), but 200 of 400 good ones (50.0 %)",
			"failures come in bursts: 20 of 20 fall into 1 of 8 seconds (the first at 20:57:03), and 50 of 400 good requests (12.5 %)",
			"20 of 20 failing requests have 512 bytes or more (100.0 %), and 0 of 400 good ones (0.0 %)",
		} {
			if !strings.Contains(found, want) {
				t.Errorf("no finding says %q:\n%s", want, found)
			}
		}
	})
}

func largePost(id int) string {
	return fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: %d\r\nContent-Length: 600\r\n\r\n%s", id, strings.Repeat("x", 600))
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		k, n int
		p    float64
		want float64
	}{{0, 10, 0.5, 1}, {10, 10, 0.5, math.Pow(0.5, 10)}, {1, 2, 0.5, 0.75}, {5, 10, 0.5, 0.623046875}, {3, 3, 1, 1}, {1, 5, 0, 0}} {
		if got := tail(c.k, c.n, c.p); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("tail(%d, %d, %v): got %v, want %v", c.k, c.n, c.p, got, c.want)
		}
	}
}
