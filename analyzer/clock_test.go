package analyzer

import (
	"testing"
	"time"
)

// clocksApart is a calibration of two points whose messages take 1 ms each way,
// while q's clock is an hour ahead and drifts by ppm.
func clocksApart(ppm int64) *calibration {
	var upper, lower []bound
	for t := int64(0); t < int64(time.Minute); t += int64(time.Second) {
		d := int64(time.Hour) + t*ppm/1_000_000
		upper = append(upper, bound{t, d + int64(time.Millisecond)})
		lower = append(lower, bound{t, d - int64(time.Millisecond)})
	}
	a, b := &survey{point: Point{Hop: "a"}}, &survey{point: Point{Hop: "b"}}
	c := &calibration{surveys: []*survey{a, b}, pairs: map[[2]int]*clockPair{{0, 1}: newClockPair(upper, lower, 0)}}
	c.link()
	return c
}

func TestOffsetsFollowDrift(t *testing.T) {
	for _, ppm := range []int64{0, 100, -100} {
		c := clocksApart(ppm)
		for _, at := range []time.Duration{0, 30 * time.Second, 59 * time.Second} {
			truth := int64(time.Hour) + int64(at)*ppm/1_000_000
			got := c.offset(0, 1, int64(at))
			if got.lo > truth || got.hi < truth || got.hi-got.lo > int64(4*time.Millisecond) {
				t.Errorf("%d ppm at %v: got %v to %v, want %v inside and no more than 4 ms", ppm, at, time.Duration(got.lo), time.Duration(got.hi), time.Duration(truth))
			}
			back := c.offset(1, 0, int64(at)+truth)
			if back.lo > -truth || back.hi < -truth || back.hi-back.lo > int64(4*time.Millisecond) {
				t.Errorf("%d ppm at %v, the other way: got %v to %v, want %v inside", ppm, at, time.Duration(back.lo), time.Duration(back.hi), -time.Duration(truth))
			}
		}
	}
}

func TestOneMomentBeforeAnother(t *testing.T) {
	c := clocksApart(0)
	at, hour, ms := int64(30*time.Second), int64(time.Hour), int64(time.Millisecond)
	for _, row := range []struct {
		name string
		u    int64 // q's time
		want order
	}{
		{"q's is later by more than the clocks leave open", at + hour + 5*ms, proven},
		{"q's is earlier by more than that", at + hour - 5*ms, refuted},
		{"the difference is within what they leave open", at + hour, undecidable},
	} {
		if got := c.before(0, at, 1, row.u); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
	alone := &calibration{surveys: c.surveys, pairs: map[[2]int]*clockPair{}}
	alone.link()
	if got := alone.before(0, at, 1, at+hour); got != undecidable {
		t.Errorf("clocks that nothing links: got %d, want %d", got, undecidable)
	}
}
