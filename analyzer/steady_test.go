package analyzer

import (
	"testing"
	"time"
)

func TestWhatAHopHeldBackIsNoStepOfAClock(t *testing.T) {
	// s are packets sent a second apart, by how late they are, and atOnce come together.
	const second = float64(time.Second)
	s := func(late ...float64) (m middle) {
		for i, x := range late {
			m.add(int64((float64(i)+x)*second), int64(float64(i)*second))
		}
		return m
	}
	atOnce := func(late ...float64) (m middle) {
		for _, x := range late {
			m.add(0, -int64(x*second))
		}
		return m
	}
	type epoch = [2]middle // to the client, to the server
	for _, row := range []struct {
		name   string
		epochs []epoch
		step   []float64 // seconds
		away   []bool
	}{
		{"a clock set forward is off both ways", []epoch{{s(0), s(0)}, {s(30), s(30.001)}}, []float64{0, 30}, []bool{false, false}},
		{"a clock set back and forth", []epoch{{s(0), s(0)}, {s(-30), s(-30)}, {s(0.1), s(0.1)}}, []float64{0, -30, 0}, []bool{false, false, false}},
		{"data held back for seconds is late one way, and its answers are not", []epoch{{s(0), s(0)}, {s(0.01), atOnce(5.9, 5.8, 5.7)}}, []float64{0, 0}, []bool{false, false}},
		{"answers held back are late the other way", []epoch{{s(0), s(0)}, {s(-4), s(0)}}, []float64{0, 0}, []bool{false, false}},
		{"both ways held back", []epoch{{s(0), s(0)}, {s(-4), s(4)}}, []float64{0, 0}, []bool{false, false}},
		{"only one way is captured, and the clock is set", []epoch{{s(), s(0, 0)}, {s(), s(30, 30, 30.01)}}, []float64{0, 30}, []bool{false, false}},
		{"answers held back alike for seconds come alone, and may have waited", []epoch{{s(0), s(0)}, {s(8, 8, 8.001), s()}}, []float64{0, 8}, []bool{false, true}},
		{"what ends their connections comes at its time", []epoch{{s(0), s(0)}, {s(8, 8, 8.001), s(0)}}, []float64{0, 0}, []bool{false, false}},
		{"only one way passes, and waited for different times", []epoch{{s(0), s(0)}, {s(), atOnce(1, 3, 5, 7)}}, []float64{0, 5}, []bool{false, true}},
		{"those that were sent at once have waited alike", []epoch{{s(0), s(0)}, {s(), atOnce(6, 6, 6.01)}}, []float64{0, 6}, []bool{false, true}},
		{"one packet alone may have waited, or the clock be set", []epoch{{s(0), s(0)}, {s(), s(6)}}, []float64{0, 6}, []bool{false, true}},
		{"what follows says that it had waited", []epoch{{s(0), s(0)}, {s(), s(6)}, {s(0), s(0)}}, []float64{0, 0, 0}, []bool{false, false, false}},
		{"what follows says that the clock was set", []epoch{{s(0), s(0)}, {s(), s(6)}, {s(6), s(6)}}, []float64{0, 6, 6}, []bool{false, false, false}},
		{"the clock was set before, and nothing passes for a while", []epoch{{s(0), s(0)}, {s(6), s(6)}, {}}, []float64{0, 6, 6}, []bool{false, false, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := &survey{}
			for i := range row.epochs {
				v.epochs = append(v.epochs, clockEpoch{min: int64(i) * int64(time.Minute)})
			}
			v.decideSteps(guessSteps(row.epochs))
			for i, e := range v.epochs {
				if got := time.Duration(e.step).Seconds(); got < row.step[i]-0.02 || got > row.step[i]+0.02 || e.away != row.away[i] {
					t.Errorf("epoch %d: step %v, away %v", i, got, e.away)
				}
			}
		})
	}
}
