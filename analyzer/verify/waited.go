package verify

import (
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// Causes for which bytes do not get to who waits for them, and what a proxy says that waited for them, or that has no such
// connection any more.
var (
	bytesLost = []analyzer.Cause{analyzer.DataDropped, analyzer.ResponseDropped, analyzer.MTUBlackhole, analyzer.Corrupted, analyzer.Rewritten}
	waitEnds  = []string{"Flow expired (sweeper)", "handshake timeout", "SSL handshake timeout", "No flow found for ACK"}
)

// waitedFor tells whether what a trailer says is what a proxy says that never got what the
// verdict says was lost, or not as it was.
func (t *trial) waitedFor(said string) bool {
	return slices.Contains(bytesLost, t.v.Cause) && slices.ContainsFunc(waitEnds, func(w string) bool { return strings.HasPrefix(said, w) })
}
