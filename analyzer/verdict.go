package analyzer

import "time"

// SchemaVersion is the version of the JSON shapes of this package.
const SchemaVersion = 1

// Report is the result of an analysis; as JSON it is verdicts.json.
type Report struct {
	SchemaVersion int           `json:"schema_version"`
	Points        []PointReport `json:"points"`
	Requests      RequestCounts `json:"requests"`
	Verdicts      []Verdict     `json:"verdicts"` // by start of the request
	Findings      []Finding     `json:"findings"`
	Warnings      []string      `json:"warnings"`
	// Links are pairs of points, as indexes into Points, client end first: between them
	// connections pass and no other point lies. nil in a report that was read from a file.
	Links [][2]int `json:"-"`
}

// PointReport says what a capture covers and how far it can be trusted.
type PointReport struct {
	Name  string   `json:"name"`
	File  string   `json:"file"`            // the first one, in order of time
	Files []string `json:"files,omitempty"` // all, if there are several
	// Interface is which one of the file's interfaces the point is: its name, its
	// number from 0, or "ifindex N" in a Linux cooked capture; empty for all.
	Interface string    `json:"interface,omitempty"`
	Packets   uint64    `json:"packets"`
	First     time.Time `json:"first"` // begin of coverage; zero without packets
	Last      time.Time `json:"last"`
	// ClockOffset bounds this point's clock minus the first point's, in
	// nanoseconds; nil when no traffic links them.
	ClockOffset *[2]int64  `json:"clock_offset_ns"`
	Loss        [2]float64 `json:"loss"` // share of packets the capture misses, as an interval
	Dropped     uint64     `json:"dropped,omitempty"`
}

// RequestCounts counts requests at the start point. Those still open when the
// capture ended are seen, but neither ok nor failed.
type RequestCounts struct {
	Seen   int `json:"seen"`
	OK     int `json:"ok"`
	Failed int `json:"failed"`

	slowest int64 // ns from the first byte of a good request to the last of its response
	answers bool  // some request has had a byte of an answer
}

// RequestRef identifies a request.
type RequestRef struct {
	Client     string    `json:"client"`
	Server     string    `json:"server"`
	Start      time.Time `json:"start"` // the SYN, or the first byte on a re-used connection; StartPoint's clock
	StartPoint string    `json:"start_point"`
	Method     string    `json:"method"`
	Target     string    `json:"target"`
	ID         string    `json:"id"` // X-Request-ID
}

// Outcome is how a request ended for the client.
type Outcome string

// Outcomes of requests.
const (
	OK        Outcome = "ok"
	Reset     Outcome = "reset"
	Refused   Outcome = "refused"
	Timeout   Outcome = "timeout"
	Truncated Outcome = "truncated"
	Error     Outcome = "error"     // 5xx
	TLSError  Outcome = "tls-error" // a fatal alert ended the handshake
	Unknown   Outcome = "unknown"   // it failed, and how that looked to the client is inside TLS
)

// Directions of a packet.
const (
	ToServer = "to-server"
	ToClient = "to-client"
)

// RST says who reset the client's connection and why.
type RST struct {
	By    string `json:"by"`    // hop; "" if unknown
	Cause string `json:"cause"` // as the sender tells it; "" if it does not
	Peer  bool   `json:"peer"`  // the reason lies on the other side of the proxy
}

// Verdict is the judgement of one failed request.
type Verdict struct {
	Request     RequestRef   `json:"request"`
	Outcome     Outcome      `json:"outcome"`
	RST         *RST         `json:"rst"`
	Hop         string       `json:"hop"`     // a node, link:A-B, or "" when inconclusive
	Between     []string     `json:"between"` // points: last that saw the packet, first that did not
	Direction   string       `json:"direction"`
	Cause       Cause        `json:"cause"`
	Confidence  float64      `json:"confidence"` // probability that Hop and Cause are right
	Evidence    []Evidence   `json:"evidence"`
	Eliminated  []Hypothesis `json:"eliminated"`
	WouldSettle string       `json:"would_settle"`
}

// Kinds of evidence.
const (
	KindFrame   = "frame"
	KindAbsence = "absence"
)

// Evidence is a frame, or the absence of one in a range of frames. Frame
// numbers are Wireshark's.
type Evidence struct {
	Kind  string `json:"kind"`
	Point string `json:"point"`
	File  string `json:"file"`
	Frame uint64 `json:"frame,omitempty"`
	// Time is the frame's, as the file has it; zero for an absence.
	Time time.Time `json:"time,omitzero"`
	What string    `json:"what,omitempty"`
	// Filter is a Wireshark display filter. Of a frame it matches that one, and at
	// most its retransmissions; of an absence it matches nothing in the range.
	Filter string `json:"filter,omitempty"`
	// Digest is the first 8 bytes of SHA-256 over the frame's captured bytes, in
	// lower-case hexadecimal; empty for an absence.
	Digest    string `json:"digest,omitempty"`
	FromFrame uint64 `json:"from_frame,omitempty"`
	ToFrame   uint64 `json:"to_frame,omitempty"`
}

// Hypothesis is a rival explanation and what it founders on.
type Hypothesis struct {
	Hypothesis string     `json:"hypothesis"`
	Why        string     `json:"why"`
	Evidence   []Evidence `json:"evidence"`
}

// Finding is what several requests share.
type Finding struct {
	What     string     `json:"what"`
	Requests int        `json:"requests"`
	Evidence []Evidence `json:"evidence"`
}
