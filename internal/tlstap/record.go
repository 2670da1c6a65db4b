package tlstap

// Content types of records, RFC 8446 §B.1.
const (
	ChangeCipherSpec = 20
	Alert            = 21
	Handshake        = 22
	ApplicationData  = 23
	heartbeat        = 24 // RFC 6520
)

const (
	headLen = 5
	// maxBody is the longest body of a record: TLS 1.2 allows for 2,048 bytes of
	// protection, RFC 5246 §6.2.3.
	maxBody = 1<<14 + 2048
)

// Versions of TLS that are told apart here.
const (
	TLS12 = 0x0303
	TLS13 = 0x0304
)

// Side is who sent a record.
type Side uint8

// The two sides.
const (
	Client Side = iota
	Server
)

// Mark is a place in one direction of a connection: the TCP sequence number of a
// byte, and the time and clock epoch of the packet that carried it.
type Mark struct {
	Seq   uint32
	Time  int64
	Epoch uint16
}

// Record is one record of a connection. It is valid until the next one.
type Record struct {
	Side   Side
	Begins Mark // its first byte
	Type   byte // content type; of an opened record the true one
	Length int  // of its body on the wire, protection included
	Opened bool // it was protected, and Plain is what it said
	Plain  []byte
}

// Sink takes the records of a connection.
type Sink interface {
	Record(*Record)
}

// IsTLS tells whether bytes that begin a direction of a connection are those of TLS,
// as far as they go.
func IsTLS(b []byte) bool {
	return len(b) > 0 && b[0] >= ChangeCipherSpec && b[0] <= ApplicationData && (len(b) < 2 || b[1] == 3)
}

// bodyLen returns the length of a record's body; ok is false for bytes that begin
// none.
func bodyLen(head []byte) (n int, ok bool) {
	n = int(head[3])<<8 | int(head[4])
	return n, head[0] >= ChangeCipherSpec && head[0] <= heartbeat && head[1] == 3 && n <= maxBody
}
