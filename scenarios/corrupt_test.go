package scenarios

import (
	"testing"

	"github.com/hopblame/hopblame/analyzer"
)

// A header that was captured in part has a checksum that nobody can verify: the server's
// capture shows a SYN and no answer, and that would be the server's silence.
func TestWhoWasSentADamagedSYNIsNotBlamedWhereTheCapturesCutItShort(t *testing.T) {
	s := quick(t, "link-corrupts-syn")
	s.Observe.Faults = []ObserverFault{{Do: CutFrames, Bytes: 60}}
	for i := range s.Expect {
		s.Expect[i].Accept = []Pair{{Cause: analyzer.Inconclusive}}
	}
	r, _ := run(t, s, 7)
	if !r.Valid || r.Requests.Failed == 0 || r.Score.Acceptable != r.Requests.Failed {
		t.Errorf("valid %v, %d failed, score %s: %+v", r.Valid, r.Requests.Failed, r.Score.String(), r.Score.Errors)
	}
}
