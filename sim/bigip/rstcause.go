package bigip

import (
	"fmt"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// Cause is why the proxy resets a half, in the words a BIG-IP uses (K13223). The zero
// value is no cause.
type Cause struct {
	Text string
	// line stands in for the line of TMM source that a real box reports.
	line uint16
}

// The causes that arise here. Those of which only practitioners tell may be spelt
// otherwise on a box: they are marked.
var (
	RetransmitTimeout = Cause{"TCP retransmit timeout", 1234}
	RemoteReset       = Cause{"TCP RST from remote system", 4666}
	FlowExpired       = Cause{"Flow expired (sweeper)", 704}
	HandshakeExpired  = Cause{"handshake timeout", 1511}
	ZeroWindow        = Cause{"TCP zero window timeout", 1260} // spelling unconfirmed
	KeepAlive         = Cause{"TCP keep-alive timeout", 1287}  // spelling unconfirmed

	NoLocalListener = Cause{"No local listener", 2267}
	NoFlowForACK    = Cause{"No flow found for ACK", 2574}
	PolicyAction    = Cause{"Policy action", 2574} // of the same table as the one before
	VIPDown         = Cause{"VIP down", 2574}
	LimitExceeded   = Cause{"Connection limit exceeded", 2618}

	LinuxHost = Cause{"RST from BIG-IP internal Linux host", 2649} // of a monitor's connection

	NoServerSelected = Cause{"No server selected", 1790}
	NoPoolMember     = Cause{"No pool member available", 1804}
	NoRoute          = Cause{"No route to host", 2031}
	NoLocalPort      = Cause{"Unable to obtain local port", 877} // spelling unconfirmed
	NoSNATAddress    = Cause{"No available SNAT addr", 912}
	IRuleReject      = Cause{"iRule execution (reject command)", 3310}                           // spelling unconfirmed
	HeaderTooLarge   = Cause{"HTTP header (32768) exceeded maximum allowed size of 32768", 3907} // with the profile's size
	HeaderCount      = Cause{"HTTP header count exceeded maximum allowed count of 64", 3921}     // … and its count
	HTTPInternal     = Cause{"HTTP internal error (bad state transition)", 3988}                 // spelling unconfirmed

	NoSharedCiphers     = Cause{"No shared ciphers between SSL peers", 5102} // spelling unconfirmed
	BadSSLRecord        = Cause{"Bad SSL record", 5140}                      // spelling unconfirmed
	SSLHandshakeExpired = Cause{"SSL handshake timeout exceeded", 5177}      // spelling unconfirmed
	SSLAlert            = Cause{"SSL alert received", 5190}                  // spelling unconfirmed
)

// causeOf returns the cause of an event, with the profile's numbers in it.
func (p *HTTPProfile) causeOf(e Event) Cause {
	c := endings[e].cause
	switch e {
	case HeaderOversized:
		n := p.headerSize()
		c.Text = fmt.Sprintf("HTTP header (%d) exceeded maximum allowed size of %d", n, n)
	case TooManyHeaders:
		c.Text = fmt.Sprintf("HTTP header count exceeded maximum allowed count of %d", p.headerCount())
	}
	return c
}

// IsHTTPLimit says whether c is one of the causes that have the http profile's limits
// in their text.
func (c Cause) IsHTTPLimit() bool { return c.line == HeaderTooLarge.line || c.line == HeaderCount.line }

// causeValue stands in for the opaque number of a source file in a TMM build.
const causeValue = 0x287fa34

// record returns the cause as the trailer carries it. peer says that the other
// half is the one that failed.
func (c Cause) record(peer bool) f5trailer.RSTCause {
	return f5trailer.RSTCause{Peer: peer, Value: causeValue, Line: c.line, Text: c.Text}
}
