package analyzer

import "testing"

func TestAPortIsClosedAtOnceOrNotAtAll(t *testing.T) {
	const second = int64(1e9)
	syn := func(frame uint64, at int64) *sighting {
		return &sighting{frame: frame, time: at, toServer: true, flags: flagSYN}
	}
	for _, c := range []struct {
		name string
		syns []*sighting
		rst  *sighting
		want bool
	}{
		{"right behind the SYN", []*sighting{syn(1, 0)}, &sighting{frame: 2, time: 20_000}, false},
		{"right behind the SYN that was sent again", []*sighting{syn(1, 0), syn(2, second)}, &sighting{frame: 3, time: second + 20_000}, false},
		{"five seconds behind the only SYN", []*sighting{syn(1, 0)}, &sighting{frame: 2, time: 5 * second}, true},
		{"a second behind the last of five SYNs", []*sighting{syn(1, 0), syn(2, 4*second)}, &sighting{frame: 3, time: 5 * second}, true},
		{"right behind a SYN, and before another", []*sighting{syn(1, 0), syn(3, second)}, &sighting{frame: 2, time: 20_000}, false},
		{"behind no SYN that was captured", []*sighting{syn(3, second)}, &sighting{frame: 2, time: 20_000}, false},
	} {
		if got := late(c.syns, c.rst); got != c.want {
			t.Errorf("%s: late %v, want %v", c.name, got, c.want)
		}
	}
}
