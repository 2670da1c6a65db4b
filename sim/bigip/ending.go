package bigip

// Event is what ends a connection, or keeps it from coming about.
type Event uint8

// The events.
const (
	// NothingLeft: both sides have said all they had to say.
	NothingLeft Event = iota
	// ClientGone: the client ends a connection that no member has been asked for.
	ClientGone

	// What the far ends do.
	ClientReset         // RST from the client
	MemberReset         // RST from the member, in answer to the SYN too
	ClientUnresponsive  // data to the client was repeated max-retrans times
	MemberUnresponsive  // data to the member was, or the SYN syn-max-retrans times
	ClientWindowShut    // the client's window was zero for zero-window-timeout
	MemberWindowShut    // the member's was
	ClientKeepAliveLost // keep-alive probes to the client are not answered
	MemberKeepAliveLost // … to the member
	FlowIdle            // nothing passed for idle-timeout
	FlowIdleUntold      // … without reset-on-timeout
	MemberHandshakeSlow // FastL4: no SYN-ACK from the member within tcp-handshake-timeout
	ClientHandshakeSlow // … or no ACK for it from the client

	// What the configuration forbids or cannot do.
	VirtualServerFull // connection-limit of the virtual server
	MembersFull       // connection-limit of every member that is up
	NoMember          // no member is up
	NoServer          // the virtual server has no pool
	Unroutable        // no route or no neighbour on the way to the member
	PortsExhausted    // every source port of the SNAT address is in use
	NoTranslation     // no SNAT address of the member's family
	RuleRejects       // a rule
	RuleDrops         // … that drops
	BadRequest        // a request that is no HTTP
	HeaderOversized   // a header above max-header-size
	TooManyHeaders    // … above max-header-count
	BadResponse       // a member's answer that is no HTTP

	// What becomes of TLS.
	NotTLS           // the client's first bytes are no TLS record
	NoCommonCipher   // no cipher suite or version in common
	HandshakeSlow    // the TLS handshake took handshake-timeout
	ClientSendsAlert // the client ends the handshake with an alert

	events // how many there are
)

// packet is what a half is ended with.
type packet uint8

const (
	silence packet = iota // nothing: the other end knows, or is not to know
	fin
	rst
)

// ending is what an event means for the two halves.
type ending struct {
	client, server packet
	cause          Cause
	at             side // the half that the event befell: the other one's RST has the peer flag
	both           bool // it befell both, and neither has
}

// endings is the one table of who gets a RST, a FIN or nothing, and of the cause that
// the RST gives. A half that was not opened gets nothing.
//
// Sources: K9812 for idle timeouts (RST on both sides), connection limits, rejects and
// pools without a member; K7381 and K10372 for max-retrans and syn-max-retrans (RST on
// the client's side). Of a handshake that takes too long nothing says which side is the
// peer: here it is the one that was waited for. A half that timed out is silent: a
// kernel's socket that gave up sends nothing more — but where keep-alive probes ran out,
// a RST of its own, without a cause — and whether a BIG-IP sends a last RST there is not
// documented.
var endings = [events]ending{
	NothingLeft: {client: fin, server: fin},
	ClientGone:  {client: fin},

	ClientReset:         {server: rst, cause: RemoteReset, at: clientside},
	MemberReset:         {client: rst, cause: RemoteReset, at: serverside},
	ClientUnresponsive:  {server: rst, cause: RetransmitTimeout, at: clientside},
	MemberUnresponsive:  {client: rst, cause: RetransmitTimeout, at: serverside},
	ClientWindowShut:    {client: rst, server: rst, cause: ZeroWindow, at: clientside},
	MemberWindowShut:    {client: rst, server: rst, cause: ZeroWindow, at: serverside},
	ClientKeepAliveLost: {server: rst, cause: KeepAlive, at: clientside},
	MemberKeepAliveLost: {client: rst, cause: KeepAlive, at: serverside},
	FlowIdle:            {client: rst, server: rst, cause: FlowExpired, both: true},
	FlowIdleUntold:      {},
	MemberHandshakeSlow: {client: rst, server: rst, cause: HandshakeExpired, at: serverside},
	ClientHandshakeSlow: {client: rst, server: rst, cause: HandshakeExpired, at: clientside},

	VirtualServerFull: {client: rst, cause: LimitExceeded},
	MembersFull:       {client: rst, cause: LimitExceeded},
	NoMember:          {client: rst, cause: NoPoolMember},
	NoServer:          {client: rst, cause: NoServerSelected},
	Unroutable:        {client: rst, cause: NoRoute},
	PortsExhausted:    {client: rst, cause: NoLocalPort},
	NoTranslation:     {client: rst, cause: NoSNATAddress},
	RuleRejects:       {client: rst, server: rst, cause: IRuleReject},
	RuleDrops:         {},
	BadRequest:        {client: rst, server: rst, cause: HTTPInternal},
	HeaderOversized:   {client: rst, server: rst, cause: HeaderTooLarge},
	TooManyHeaders:    {client: rst, server: rst, cause: HeaderCount},

	BadResponse: {client: rst, server: rst, cause: HTTPInternal, at: serverside},

	NotTLS:           {client: rst, cause: BadSSLRecord},
	NoCommonCipher:   {client: rst, cause: NoSharedCiphers},
	HandshakeSlow:    {client: rst, cause: SSLHandshakeExpired},
	ClientSendsAlert: {client: rst, cause: SSLAlert},
}

// peer says whether the RST of a half has the peer flag.
func (e *ending) peer(of side) bool { return !e.both && e.at != of }
