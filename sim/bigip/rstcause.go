package bigip

import "github.com/hopblame/hopblame/analyzer/f5trailer"

// Cause is why the proxy resets a half, in the words a BIG-IP uses (K13223).
type Cause struct {
	Text string
	// line stands in for the line of TMM source that a real box reports.
	line uint16
}

// The causes that arise so far.
var (
	RetransmitTimeout = Cause{"TCP retransmit timeout", 1234}
	RemoteReset       = Cause{"TCP RST from remote system", 4666}
	NoRoute           = Cause{"No route to host", 2031}
	HeaderTooLarge    = Cause{"HTTP header (32768) exceeded maximum allowed size of 32768", 3907}
	NoLocalPort       = Cause{"Unable to obtain local port", 877}
)

// causeValue stands in for the opaque number of a source file in a TMM build.
const causeValue = 0x287fa34

// record returns the cause as the trailer carries it. peer says that the other
// half is the one that failed.
func (c Cause) record(peer bool) f5trailer.RSTCause {
	return f5trailer.RSTCause{Peer: peer, Value: causeValue, Line: c.line, Text: c.Text}
}
