package analyzer

import "strings"

// Cause says what went wrong, in the words of the whole project.
type Cause string

// All causes. Where each can occur is in [Causes].
const (
	SYNDropped Cause = "syn-dropped" // the SYN went in and did not come out
	// The hop before it asked for the hardware address of the next host, and got no answer.
	NeighbourUnresolved Cause = "neighbour-unresolved"
	SYNAckDropped       Cause = "syn-ack-dropped"    // the SYN-ACK was lost on its way back
	AsymmetricPath      Cause = "asymmetric-path"    // the SYN came past the hop, which then dropped the SYN-ACK
	AckDropped          Cause = "ack-dropped"        // a bare ACK was lost: the handshake's last, or a keep-alive probe
	DataDropped         Cause = "data-dropped"       // request bytes were lost
	ResponseDropped     Cause = "response-dropped"   // response bytes were lost
	MTUBlackhole        Cause = "mtu-blackhole"      // only large packets are lost
	Corrupted           Cause = "corrupted"          // bits were changed on the way, and the receiver threw it away
	Rewritten           Cause = "rewritten"          // a field was changed on the way, so that it did not get to its receiver
	Delayed             Cause = "delayed"            // it arrived when nobody waited for it any more
	ResetInjected       Cause = "reset-injected"     // a RST that its alleged sender never sent
	Rejected            Cause = "rejected"           // a hop answered with RST or ICMP, as told to
	SessionExpired      Cause = "session-expired"    // a hop forgot the flow
	TupleReused         Cause = "tuple-reused"       // the 5-tuple was still in use somewhere
	PortClosed          Cause = "port-closed"        // the host has no listener there
	ListenQueueFull     Cause = "listen-queue-full"  // the listener accepts too slowly
	NoAnswer            Cause = "no-answer"          // received, never answered
	AppSilent           Cause = "app-silent"         // request ACKed, no response
	AppReset            Cause = "app-reset"          // the server reset an open connection
	AppTruncated        Cause = "app-truncated"      // the server closed inside a response
	AppError            Cause = "app-error"          // the server answered 5xx
	NoPoolMember        Cause = "no-pool-member"     // the proxy had nowhere to send it
	SNATExhausted       Cause = "snat-exhausted"     // the proxy ran out of source ports
	ConnectionLimit     Cause = "connection-limit"   // the proxy refused one more connection
	IdleTimeout         Cause = "idle-timeout"       // a timer closed a connection in use
	ProtocolViolation   Cause = "protocol-violation" // the proxy disliked what it parsed
	TLSFailure          Cause = "tls-failure"        // the TLS handshake failed
	NoListener          Cause = "no-listener"        // the proxy has no virtual server there
	NoRoute             Cause = "no-route"           // the hop knows no way to the destination
	ZeroWindow          Cause = "zero-window"        // its receive window stayed shut
	ClientAbort         Cause = "client-abort"       // the client gave up first
	Inconclusive        Cause = "inconclusive"       // the captures do not prove anything
)

// Place is a kind of network element a cause can be found in; a set of bits.
type Place uint8

// Kinds of places. A router or firewall forwards packets; a proxy ends one
// connection and starts another.
const (
	AtLink Place = 1 << iota
	AtForwarder
	AtProxy
	AtServer
	AtClient
	nowhere Place = 0
)

// Causes is the one table of what can go wrong where.
var Causes = map[Cause]Place{
	SYNDropped:          AtLink | AtForwarder,
	SYNAckDropped:       AtLink | AtForwarder,
	NeighbourUnresolved: AtLink | AtServer,
	AsymmetricPath:      AtForwarder,
	AckDropped:          AtLink | AtForwarder,
	DataDropped:         AtLink | AtForwarder,
	ResponseDropped:     AtLink | AtForwarder,
	MTUBlackhole:        AtLink | AtForwarder,
	Corrupted:           AtLink | AtForwarder,
	Rewritten:           AtLink | AtForwarder,
	Delayed:             AtLink | AtForwarder,
	ResetInjected:       AtLink | AtForwarder,
	Rejected:            AtLink | AtForwarder | AtProxy | AtServer,
	SessionExpired:      AtForwarder | AtProxy,
	TupleReused:         AtForwarder | AtServer,
	PortClosed:          AtServer | AtProxy,
	ListenQueueFull:     AtServer | AtProxy,
	NoAnswer:            AtServer | AtProxy,
	AppSilent:           AtServer,
	AppReset:            AtServer,
	AppTruncated:        AtServer,
	AppError:            AtServer | AtProxy,
	NoPoolMember:        AtProxy,
	SNATExhausted:       AtProxy,
	ConnectionLimit:     AtProxy,
	IdleTimeout:         AtProxy | AtServer | AtForwarder,
	ProtocolViolation:   AtProxy,
	TLSFailure:          AtProxy | AtServer | AtClient,
	NoListener:          AtProxy,
	NoRoute:             AtProxy | AtForwarder,
	ZeroWindow:          AtClient | AtServer,
	ClientAbort:         AtClient,
	Inconclusive:        nowhere,
}

// Valid tells whether c is a known cause.
func (c Cause) Valid() bool { _, ok := Causes[c]; return ok }

// CanBeAt tells whether c can occur at any of the places p.
func (c Cause) CanBeAt(p Place) bool { return Causes[c]&p != 0 }

// String implements fmt.Stringer.
func (p Place) String() string {
	var names []string
	for i, n := range []string{"link", "forwarder", "proxy", "server", "client"} {
		if p&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " or ")
}
