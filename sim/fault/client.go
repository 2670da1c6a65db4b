package fault

// What the client can do instead of its part, what it sends, and which cause of the
// f5's that brings about. The limits and timeouts are the f5's configuration.
//
//	send-malformed-request  a request line of four words      HTTP internal error (bad state transition)
//	send-large-header       more than max-header-size         HTTP header … exceeded maximum allowed size
//	send-many-headers       more than max-header-count lines  HTTP header count exceeded …
//	abort                   the request, then RST             serverside: TCP RST from remote system {peer}
//	stop-reading            the request, and its window shut  TCP zero window timeout
//	pause                   half of the request, then the     Flow expired (sweeper); without
//	                        rest after a time                 reset-on-timeout: No flow found for ACK
//	give-up                the request, then FIN, before      none: the f5 passes the FIN on
//	                        the response has come
//	speak-plain             HTTP where TLS is expected        Bad SSL record
//	offer-old-ciphers       TLS 1.2 with RC4 and 3DES         an alert; No shared ciphers between SSL peers
//	offer-tls-1.1           TLS 1.1 at most                   the same
//	distrust-certificate    its half of the handshake, and    an alert of the client's; SSL alert received
//	                        then an alert
//	dawdle                  nothing                           Flow expired (sweeper); with TLS: SSL handshake
//	                                                          timeout exceeded
//	connect-elsewhere       a SYN to another port             No local listener
const (
	SendMalformedRequest Do = "send-malformed-request"
	SendLargeHeader      Do = "send-large-header"
	SendManyHeaders      Do = "send-many-headers"
	Abort                Do = "abort"
	StopReading          Do = "stop-reading"
	Pause                Do = "pause"   // see [Fault.After]
	GiveUp               Do = "give-up" // see [Fault.After]
	SpeakPlain           Do = "speak-plain"
	OfferOldCiphers      Do = "offer-old-ciphers"
	OfferTLS11           Do = "offer-tls-1.1"
	DistrustCertificate  Do = "distrust-certificate"
	Dawdle               Do = "dawdle"
	ConnectElsewhere     Do = "connect-elsewhere" // see [Fault.Port]
)
