package verify

import (
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// Causes of lost bytes, and what a proxy says that waited for them, or that has no such
// connection any more.
var (
	bytesLost = []analyzer.Cause{analyzer.DataDropped, analyzer.ResponseDropped, analyzer.MTUBlackhole}
	waitEnds  = []string{"Flow expired (sweeper)", "handshake timeout", "SSL handshake timeout", "No flow found for ACK"}
)

// waitedFor tells whether what a trailer says is what a proxy says that never got what the
// verdict says was lost.
func (t *trial) waitedFor(said string) bool {
	return slices.Contains(bytesLost, t.v.Cause) && slices.ContainsFunc(waitEnds, func(w string) bool { return strings.HasPrefix(said, w) })
}
